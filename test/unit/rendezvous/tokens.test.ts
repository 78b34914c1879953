import { createHash } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { describe, expect, test } from 'vitest';

import { anybody, createAuthority } from '../../../src/rendezvous/authority.ts';
import { matches, mayBe, readScope } from '../../../src/rendezvous/principal.ts';
import { inSeconds, sharedSecret, signed } from '../../support/access-tokens.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const bearer = (token: string): string => `Bearer ${token}`;

async function fileAuthority(text: string, mode = 0o600) {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'tokens');
  await writeFile(path, text);
  await chmod(path, mode);
  return await createAuthority({ tokens: path, webTokens: undefined });
}

describe('patterns of environment ids', () => {
  test.each([
    ['*', '', true],
    ['*', 'anything', true],
    ['a', 'a', true],
    ['a', 'ab', false],
    ['a*', 'a', true],
    ['a*', 'b', false],
    ['*a', 'ba', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['ab*ba', 'aba', false],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a*b*c', 'abbc', true],
    ['a**c', 'ac', true],
    ['ci-*', 'CI-1', false],
    ['.*', 'x', false],
    ['*bc*bc', 'abc', false],
    ['*bc*bc', 'bcbc', true],
  ])('%s and %s', (pattern, id, is) => {
    expect(matches(pattern, id)).toBe(is);
  });

  test('take no long time, whatever they are', () => {
    const start = performance.now();
    expect(matches('a*'.repeat(100) + 'b', 'a'.repeat(10_000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(200);
  });

  test('come with a role', () => {
    expect(readScope('executor:ci-*')).toStrictEqual({ role: 'executor', environment: 'ci-*' });
    expect(readScope('orchestrator')).toStrictEqual({ role: 'orchestrator', environment: '*' });
    expect(['admin:*', 'executor:', ':x', ''].map(readScope)).toStrictEqual(Array(4).fill(undefined));
  });
});

describe('a file of tokens', () => {
  const json = JSON.stringify({
    tokens: [
      {
        sha256: sha256('one').toUpperCase(),
        tenant: 'acme',
        roles: ['executor'],
        environments: ['ci-*', 'x'],
      },
      { sha256: sha256('two'), subject: 'me', roles: ['executor', 'orchestrator'] },
      { sha256: sha256('old'), roles: ['executor'], expires: '2020-01-01T00:00:00Z' },
    ],
  });
  const toml = `
    [[tokens]]
    sha256 = "${sha256('one')}"
    tenant = "acme"
    roles = ["executor"]
    environments = ["ci-*", "x"]
    [[tokens]]
    sha256 = "${sha256('two')}"
    subject = "me"
    roles = ["executor", "orchestrator"]
    [[tokens]]
    sha256 = "${sha256('old')}"
    roles = ["executor"]
    expires = 2020-01-01T00:00:00Z
  `;

  test.each([
    ['JSON', json],
    ['TOML', toml],
  ])('is %s', async (_kind, text) => {
    const authority = await fileAuthority(text);
    const one = await authority.admit(bearer('one'));
    expect(one).toMatchObject({ tenant: 'acme', subject: `token-${sha256('one').slice(0, 12)}` });
    expect(one && [mayBe(one, 'executor', 'ci-7'), mayBe(one, 'executor', 'x')]).toStrictEqual([true, true]);
    expect(one && [mayBe(one, 'executor', 'y'), mayBe(one, 'orchestrator', 'x')]).toStrictEqual([
      false,
      false,
    ]);
    const two = await authority.admit(bearer('two'));
    expect(two).toMatchObject({ tenant: 'default', subject: 'me', expiresAt: undefined });
    expect(two && mayBe(two, 'orchestrator', 'anything')).toBe(true);
    const others = ['old', 'three', sha256('one'), ''].map(async (token) => authority.admit(bearer(token)));
    expect(await Promise.all(others)).toStrictEqual(Array(4).fill(undefined));
    expect([authority.isKnown('default', 'me'), authority.isKnown('acme', 'me')]).toStrictEqual([
      true,
      false,
    ]);
    expect(authority.isKnown('default', `token-${sha256('old').slice(0, 12)}`)).toBe(false);
  });

  test.each([
    [undefined],
    ['two'],
    ['Basic two'],
    ['Bearer'],
    ['Bearer two three'],
    ['Bearer\ttwo'],
    ['Bearer two\nX: y'],
  ])('does not take the header %j', async (header) => {
    const authority = await fileAuthority(json);
    expect(await authority.admit(header)).toBeUndefined();
  });

  test.each([
    ['my-secret-token', 'is neither JSON nor TOML'],
    ['{"tokens":["my-secret-token"]}', 'tokens.0'],
    ['{"tokens":[{"token":"my-secret-token","roles":["executor"]}]}', 'sha256'],
    [`{"tokens":[{"sha256":"${sha256('x')}","roles":[]}]}`, 'roles'],
    [`{"tokens":[{"sha256":"${sha256('x')}","roles":["admin"]}]}`, 'roles'],
    [`{"tokens":[{"sha256":"${sha256('x')}","roles":["executor"],"subject":"jwt:[1]"}]}`, 'subject'],
    [`{"tokens":[{"sha256":"${sha256('x')}","roles":["executor"],"tenant":"a\\u0000b"}]}`, 'tenant'],
    [
      `{"tokens":[{"sha256":"${sha256('x')}","roles":["executor"]},{"sha256":"${sha256('x')}","roles":["executor"]}]}`,
      'the same token',
    ],
    [`{"tokens":[{"sha256":"${sha256('x')}","roles":["executor"],"environment":["x"]}]}`, 'environment'],
  ])('is refused with what is wrong: %j', async (text, problem) => {
    const error = await fileAuthority(text).catch((caught: Error) => caught);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toContain(problem);
    expect((error as Error).message).not.toContain('my-secret-token');
  });

  test('is warned of where others can write to it', async () => {
    expect((await fileAuthority(json, 0o620)).warning).toContain('written to by other users');
    expect((await fileAuthority(json, 0o644)).warning).toBeUndefined();
  });
});

describe('signed tokens', () => {
  const claims = {
    sub: 'ci',
    tenant: 'acme',
    scope: 'openid executor:ci-* orchestrator:x',
    exp: inSeconds(60),
  };

  async function secretAuthority(issuer?: string, audience?: string) {
    await using folder = await temporaryFolder();
    const secretFile = join(folder.path, 'secret');
    await writeFile(secretFile, sharedSecret, { mode: 0o600 });
    return await createAuthority({
      tokens: undefined,
      webTokens: { key: { secretFile }, issuer, audience, maxClockSkewSeconds: 0 },
    });
  }

  test('say who somebody is and what they may', async () => {
    const authority = await secretAuthority();
    const principal = await authority.admit(bearer(signed(claims)));
    expect(principal).toStrictEqual({
      tenant: 'acme',
      subject: 'jwt:[null,"ci"]',
      scopes: [
        { role: 'executor', environment: 'ci-*' },
        { role: 'orchestrator', environment: 'x' },
      ],
      expiresAt: claims.exp * 1000,
    });
    expect(authority.isKnown('acme', 'jwt:[null,"ci"]')).toBe(true);
  });

  test.each([
    ['another key', () => signed(claims, {}, 'x'.repeat(32))],
    ['no algorithm', () => signed(claims, { alg: 'none' })],
    ['a past end', () => signed({ ...claims, exp: inSeconds(-5) })],
    ['no end', () => signed({ ...claims, exp: undefined })],
    ['no subject', () => signed({ ...claims, sub: undefined })],
    ['an empty subject', () => signed({ ...claims, sub: '' })],
    ['a tenant that is no text', () => signed({ ...claims, tenant: 7 })],
    ['no scope', () => signed({ ...claims, scope: undefined })],
    ['too many scopes', () => signed({ ...claims, scope: 'executor '.repeat(300) })],
    ['a word in place of one', () => 'a.b.c'],
  ])('are refused: %s', async (_title, token) => {
    expect(await (await secretAuthority()).admit(bearer(token()))).toBeUndefined();
  });

  test('name an issuer and an audience where they must', async () => {
    const authority = await secretAuthority('issuer', 'relay');
    const right = { ...claims, iss: 'issuer', aud: 'relay' };
    expect(await authority.admit(bearer(signed(right)))).toMatchObject({ subject: 'jwt:["issuer","ci"]' });
    expect(await authority.admit(bearer(signed({ ...right, aud: 'other' })))).toBeUndefined();
    expect(await authority.admit(bearer(signed(claims)))).toBeUndefined();
  });

  test('are checked with one of a set of public keys', async () => {
    await using folder = await temporaryFolder();
    const keySetFile = join(folder.path, 'keys.json');
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const other = await generateKeyPair('ES256');
    await writeFile(
      keySetFile,
      JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: '1', alg: 'ES256' }] }),
    );
    const webTokens = { key: { keySetFile }, issuer: undefined, audience: undefined, maxClockSkewSeconds: 0 };
    const authority = await createAuthority({ tokens: undefined, webTokens });
    const token = async (key: typeof privateKey): Promise<string> =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: '1' }).sign(key);
    expect(await authority.admit(bearer(await token(privateKey)))).toMatchObject({ tenant: 'acme' });
    expect(await authority.admit(bearer(await token(other.privateKey)))).toBeUndefined();
    // The public key as the secret of another algorithm.
    expect(await authority.admit(bearer(signed(claims, { kid: '1' })))).toBeUndefined();
  });

  test('need a key that is long enough', async () => {
    await using folder = await temporaryFolder();
    const secretFile = join(folder.path, 'secret');
    await writeFile(secretFile, 'short');
    const webTokens = { key: { secretFile }, issuer: undefined, audience: undefined, maxClockSkewSeconds: 0 };
    await expect(createAuthority({ tokens: undefined, webTokens })).rejects.toThrow('it takes 32 or more');
  });
});

test('without authentication everybody is one principal', async () => {
  const principal = await anybody.admit(undefined);
  expect(principal && mayBe(principal, 'executor', 'x')).toBe(true);
  expect(anybody.isKnown('default', 'anybody')).toBe(true);
});
