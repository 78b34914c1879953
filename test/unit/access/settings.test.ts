import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../../src/access/authenticator.ts';
import { isLoopback } from '../../../src/access/loopback.ts';
import { type AccessFlags, accessSettings } from '../../../src/access/settings.ts';
import { limits } from '../../../src/protocol/limits.ts';

const digest = 'aB'.repeat(32);

describe('accessSettings', () => {
  it('is nothing without flags', () => {
    expect(accessSettings({}, true)).toBeUndefined();
    expect(accessSettings({}, false)).toBeUndefined();
  });

  it.each<[string, AccessFlags, string]>([
    ['a token mode without a token', { wsAuth: 'capability-token' }, '--ws-token-file or --ws-token-sha256'],
    [
      'two tokens',
      { wsAuth: 'capability-token', wsTokenFile: 't', wsTokenSha256: digest },
      'give one of them',
    ],
    ['a short digest', { wsAuth: 'capability-token', wsTokenSha256: 'ab' }, '64 hex digits'],
    ['a digest that is none', { wsAuth: 'capability-token', wsTokenSha256: 'x'.repeat(64) }, '64 hex digits'],
    ['a signed mode without a key', { wsAuth: 'signed-bearer-token' }, 'needs --ws-shared-secret-file'],
    [
      'an empty audience',
      { wsAuth: 'signed-bearer-token', wsSharedSecretFile: 's', wsAudience: ' ' },
      'leave it out',
    ],
    ['a token file alone', { wsTokenFile: 't' }, 'need --ws-auth'],
    ['a digest alone', { wsTokenSha256: digest }, 'need --ws-auth'],
    ['a key alone', { wsSharedSecretFile: 's' }, 'need --ws-auth'],
    ['an issuer alone', { wsIssuer: 'i' }, 'need --ws-auth'],
    ['an audience alone', { wsAudience: 'a' }, 'need --ws-auth'],
    ['a skew alone', { wsMaxClockSkewSeconds: 0 }, 'need --ws-auth'],
    ...[
      { wsSharedSecretFile: 's' },
      { wsIssuer: 'i' },
      { wsAudience: 'a' },
      { wsMaxClockSkewSeconds: 0 },
    ].map((flag): [string, AccessFlags, string] => [
      `${Object.keys(flag).join()} in token mode`,
      { wsAuth: 'capability-token', wsTokenFile: 't', ...flag },
      'need --ws-auth signed-bearer-token',
    ]),
    ...[{ wsTokenFile: 't' }, { wsTokenSha256: digest }].map((flag): [string, AccessFlags, string] => [
      `${Object.keys(flag).join()} in signed mode`,
      { wsAuth: 'signed-bearer-token', wsSharedSecretFile: 's', ...flag },
      'need --ws-auth capability-token',
    ]),
  ])('refuses %s', (_, flags, text) => {
    expect(accessSettings(flags, true)).toContain(text);
  });

  it('is for a WebSocket listener only', () => {
    expect(accessSettings({ wsAuth: 'capability-token', wsTokenFile: 't' }, false)).toContain('stdio');
  });

  it('takes a blank issuer for none, and has a skew of 30 s', () => {
    const flags = { wsAuth: 'signed-bearer-token', wsSharedSecretFile: 's', wsIssuer: ' ' } as const;
    expect(accessSettings(flags, true)).toEqual({
      mode: 'signed-bearer-token',
      sharedSecretFile: 's',
      issuer: undefined,
      audience: undefined,
      maxClockSkewSeconds: 30,
    });
    expect(accessSettings({ ...flags, wsMaxClockSkewSeconds: 0 }, true)).toMatchObject({
      maxClockSkewSeconds: 0,
    });
  });
});

describe('createAuthenticator', () => {
  let folder = '';
  const file = async (name: string, content: string | Uint8Array, mode = 0o600): Promise<string> => {
    const made = path.join(folder, name);
    await writeFile(made, content);
    await chmod(made, mode);
    return made;
  };
  const token = (tokenFile: string): ReturnType<typeof createAuthenticator> =>
    createAuthenticator({ mode: 'capability-token', tokenFile });
  const key = (sharedSecretFile: string): ReturnType<typeof createAuthenticator> =>
    createAuthenticator({
      mode: 'signed-bearer-token',
      sharedSecretFile,
      issuer: undefined,
      audience: undefined,
      maxClockSkewSeconds: 30,
    });

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'authenticator-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('names a file that cannot be read, and why', async () => {
    const missing = path.join(folder, 'missing');
    for (const create of [token, key])
      await expect(create(missing)).rejects.toThrow(
        `The secret in ${missing} cannot be read: No such file or directory (os error 2)`,
      );
    await expect(token(folder)).rejects.toThrow('cannot be read');
  });

  it('refuses what is no regular file at once, and what is too long', async () => {
    const fifo = path.join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    await expect(token(fifo)).rejects.toThrow('not a regular file');
    const long = await file('long', 'x'.repeat(limits.secretFileBytes + 1));
    await expect(token(long)).rejects.toThrow(`more than ${limits.secretFileBytes} bytes`);
  });

  it('refuses an empty secret, and one with an inner blank as a token, without showing it', async () => {
    const blank = await file('blank', ' \r\n\t\n');
    for (const create of [token, key]) await expect(create(blank)).rejects.toThrow('is empty');
    const two = await file('two', 'first-line\nsecond-line\n');
    await expect(token(two)).rejects.toThrow(/^(?!.*first)(?!.*second).*is no token/);
  });

  it('needs 32 bytes of key behind the blanks', async () => {
    await expect(key(await file('short', `${'k'.repeat(31)}\n`))).rejects.toThrow('has 31 bytes');
    await key(await file('enough', ` ${'k'.repeat(32)}\n`));
    await key(await file('binary', Buffer.alloc(32, 0xa0)));
  });

  it('follows a link, and tells whether others can read the file', async () => {
    const link = path.join(folder, 'link');
    await symlink(await file('target', 'token'), link);
    expect((await token(link)).secretIsShared).toBe(false);
    expect((await token(await file('open', 'token', 0o640))).secretIsShared).toBe(true);
  });

  it('gives the holders of one token one principal, and each issuer and subject its own', async () => {
    const { sharedSecret, signed, inSeconds } = await import('../../support/access-tokens.ts');
    const capability = await token(await file('capability', 'token'));
    expect(await capability.admit('Bearer token')).toEqual({ principal: 'capability' });
    const authenticator = await key(await file('key', sharedSecret));
    const principal = async (claims: object): Promise<unknown> => {
      const admission = await authenticator.admit(`Bearer ${signed({ exp: inSeconds(60), ...claims })}`);
      return 'principal' in admission ? admission.principal : admission;
    };
    const all = [{}, { sub: 'a' }, { sub: 'b' }, { iss: 'a' }, { iss: 'a', sub: 'a' }];
    const principals = await Promise.all(all.map(principal));
    expect(new Set(principals).size).toBe(all.length);
    expect(await principal({ sub: 'a', exp: inSeconds(90), jti: 'another' })).toBe(principals[1]);
  });
});

describe('isLoopback', () => {
  it.each(['127.0.0.1', '127.255.0.9', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])('%s is', (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '::ffff:10.0.0.1', 'fe80::1', '::2'])(
    '%s is not',
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
