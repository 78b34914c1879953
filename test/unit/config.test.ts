import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, clientToken, ownVariables, serveConfig } from '../../src/config.ts';
import { limits } from '../../src/protocol/limits.ts';

function problem(flags: Record<string, unknown>, env: Record<string, string> = {}): string {
  try {
    serveConfig(flags, env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error(`It is accepted: ${JSON.stringify({ flags, env })}`);
}

const ownState = join(tmpdir(), `exec-server-${process.getuid?.() ?? 0}`);
const webSocket = (host: string, port: number): object => ({ kind: 'websocket', host, port });

describe('serveConfig: listen', () => {
  it.each([
    [undefined, webSocket('127.0.0.1', 0)],
    ['ws://127.0.0.1:0', webSocket('127.0.0.1', 0)],
    ['ws://127.0.0.1:8765', webSocket('127.0.0.1', 8765)],
    ['ws://0.0.0.0:65535', webSocket('0.0.0.0', 65_535)],
    ['ws://[::1]:0', webSocket('::1', 0)],
    ['ws://[::]:1', webSocket('::', 1)],
    ['ws://[::ffff:127.0.0.1]:1', webSocket('::ffff:127.0.0.1', 1)],
    ['stdio', { kind: 'stdio' }],
    ['stdio://', { kind: 'stdio' }],
  ])('%s is accepted', (listen, expected) => {
    expect(serveConfig({ listen }, {}).listen).toEqual(expected);
  });

  it.each([
    'ws://localhost:0',
    'ws://127.0.0.1',
    'ws://127.0.0.1:',
    'ws://127.0.0.1:0/',
    'ws://127.0.0.1:0/path',
    'ws://127.0.0.1:99999',
    'ws://127.0.0.1:65536',
    'ws://127.0.0.1:-1',
    'ws://127.0.0.1:+1',
    'ws://127.0.0.1:1e3',
    'ws://127.0.0.1:0x10',
    'ws://127.0.0.1:0?x',
    'ws://127.0.0.1: 0',
    'ws://127.0.0.1:0\n',
    'ws://127.0.0:0',
    'ws://256.0.0.1:0',
    'ws://user@127.0.0.1:0',
    'ws://[::1]',
    'ws://::1:0',
    'ws://[127.0.0.1]:0',
    'ws://[::g]:0',
    'ws://:0',
    'ws://',
  ])('%j has no literal address and port', (listen) => {
    expect(problem({ listen })).toContain(`--listen: "${listen}" has no literal address and port`);
  });

  it.each([
    '',
    'tcp://127.0.0.1:0',
    'wss://127.0.0.1:0',
    'http://127.0.0.1:0',
    'unix:///tmp/socket',
    'WS://127.0.0.1:0',
    'STDIO',
    'stdio:',
    'stdio:///',
    'off',
    '127.0.0.1:0',
    ' ws://127.0.0.1:0',
  ])('%j is not supported', (listen) => {
    expect(problem({ listen })).toContain(`--listen: "${listen}" is not supported`);
  });
});

describe('serveConfig', () => {
  it('has a default for everything but folders and programs', () => {
    expect(serveConfig({}, {})).toEqual({
      listen: webSocket('127.0.0.1', 0),
      logLevel: 'warn',
      journalDiskBytes: limits.journalDiskBytes,
      journalDiskTotalBytes: limits.journalDiskTotalBytes,
      limit: {},
      unauthenticated: false,
      access: undefined,
      detachedSessionSeconds: 80,
      stateDir: ownState,
      allowWeaker: [],
    });
  });

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(serveConfig({}, {}))).toBe(true);
  });

  it('takes variables, and lets a flag win', () => {
    const env = {
      EXEC_SERVER_LISTEN: 'ws://0.0.0.0:1',
      EXEC_SERVER_LIMITS: 'sessions=2,connections=1',
      EXEC_SERVER_UNAUTHENTICATED: '1',
      EXEC_SERVER_WS_AUTH: 'capability-token',
      EXEC_SERVER_WS_TOKEN_FILE: '/run/token',
      EXEC_SERVER_LOG_LEVEL: 'debug',
      EXEC_SERVER_JOURNAL_DIR: '/var/journal',
      EXEC_SERVER_JOURNAL_DISK_BYTES: '1000',
      EXEC_SERVER_JOURNAL_DISK_TOTAL_BYTES: '2000',
      EXEC_SERVER_DETACHED_SESSION_SECONDS: '0.5',
      EXEC_SERVER_BUBBLEWRAP: '/opt/bwrap',
      EXEC_SERVER_STATE_DIR: '/var/state',
      EXEC_SERVER_ALLOW_WEAKER: 'protected-metadata',
      EXEC_SERVER_UNKNOWN: 'ignored',
    };
    const flags = { logLevel: 'error', journalDiskBytes: '0', bubblewrap: 'off' };
    expect(serveConfig(flags, env)).toEqual({
      listen: webSocket('0.0.0.0', 1),
      logLevel: 'error',
      journalDir: '/var/journal',
      journalDiskBytes: 0,
      journalDiskTotalBytes: 2000,
      limit: { sessions: 2, connections: 1 },
      unauthenticated: true,
      access: { mode: 'capability-token', tokenFile: '/run/token' },
      detachedSessionSeconds: 0.5,
      bubblewrap: 'off',
      stateDir: '/var/state',
      allowWeaker: ['protected-metadata'],
    });
  });

  it.each([
    [{}, ownState],
    [{ XDG_RUNTIME_DIR: '/run/user/7' }, '/run/user/7/exec-server'],
    [{ XDG_RUNTIME_DIR: 'relative' }, ownState],
    [{ XDG_RUNTIME_DIR: '' }, ownState],
    [{ XDG_RUNTIME_DIR: '/run/user/7', EXEC_SERVER_STATE_DIR: '/var/state' }, '/var/state'],
    [{ EXEC_SERVER_STATE_DIR: 'state' }, join(process.cwd(), 'state')],
  ])('finds the folder of its state: %j', (env: Record<string, string>, expected) => {
    expect(serveConfig({}, env).stateDir).toBe(expected);
  });

  it('takes a guarantee that is given up, from flags or a variable', () => {
    const twice = ['protected-metadata', 'protected-metadata'];
    expect(serveConfig({ allowWeaker: twice }, {}).allowWeaker).toEqual(twice);
    const env = { EXEC_SERVER_ALLOW_WEAKER: ' protected-metadata ,protected-metadata' };
    expect(serveConfig({}, env).allowWeaker).toEqual(twice);
  });

  it.each([
    [{ logLevel: 'loud' }, '--log-level: '],
    [{ logLevel: '' }, '--log-level: '],
    [{ logLevel: 'WARN' }, '--log-level: '],
    [{ journalDir: '' }, '--journal-dir: '],
    [{ journalDiskBytes: '-1' }, '--journal-disk-bytes: '],
    [{ journalDiskBytes: '1.5' }, '--journal-disk-bytes: '],
    [{ journalDiskBytes: '1 GiB' }, '--journal-disk-bytes: '],
    [{ journalDiskBytes: 'Infinity' }, '--journal-disk-bytes: '],
    [{ journalDiskBytes: '' }, '--journal-disk-bytes: '],
    [{ journalDiskBytes: '  ' }, '--journal-disk-bytes: '],
    [{ limit: ['sessions'] }, '--limit: '],
    [{ limit: ['sessions=0'] }, '--limit: sessions must be between 1 and'],
    [{ limit: ['sessions=1', 'chunkBytes=1'] }, '--limit: "chunkBytes=1"'],
    [{ limit: ['messageBytes=999999999'] }, '--limit: messageBytes'],
    [{ wsMaxClockSkewSeconds: '-1' }, '--ws-max-clock-skew-seconds: '],
    [{ wsMaxClockSkewSeconds: '1.5' }, '--ws-max-clock-skew-seconds: '],
    [{ httpAllow: '10.0.0.0/33' }, '--http-allow: '],
    [{ httpDeny: 'private, 2130706433' }, '--http-deny: '],
    [{ httpAllowMetadata: 'yes' }, '--http-allow-metadata: '],
    [{ journalDiskTotalBytes: 'all' }, '--journal-disk-total-bytes: '],
    [{ bubblewrap: 'bwrap' }, '--bubblewrap: must be an absolute path, or "off"'],
    [{ bubblewrap: '' }, '--bubblewrap: '],
    [{ stateDir: '' }, '--state-dir: '],
    [{ allowWeaker: ['everything'] }, '--allow-weaker: only "protected-metadata" can be given up'],
    [{ allowWeaker: [''] }, '--allow-weaker: '],
    [{ journalDiskTotalBytes: '99999999999999999999' }, '--journal-disk-total-bytes: '],
    [{ detachedSessionSeconds: '-1' }, '--detached-session-seconds: '],
    [{ detachedSessionSeconds: '1e9' }, '--detached-session-seconds: '],
    [{ detachedSessionSeconds: '9999999' }, '--detached-session-seconds: '],
  ])('names the flag that is wrong: %j', (flags, named) => {
    expect(problem(flags)).toContain(named);
  });

  it.each([
    ['EXEC_SERVER_LISTEN', 'localhost:80', '--listen: '],
    ['EXEC_SERVER_LOG_LEVEL', 'loud', '--log-level: '],
    ['EXEC_SERVER_JOURNAL_DISK_BYTES', '', '--journal-disk-bytes: '],
    ['EXEC_SERVER_BUBBLEWRAP', './bwrap', '--bubblewrap: '],
    ['EXEC_SERVER_ALLOW_WEAKER', 'protected-metadata,network', '--allow-weaker: '],
  ])('checks a variable as it checks a flag: %s=%s', (name, value, named) => {
    expect(problem({}, { [name]: value })).toContain(named);
  });

  it('reads rules with commas between, and an empty text as an empty list', () => {
    expect(serveConfig({ httpDeny: ' private , *.test:80,' }, { EXEC_SERVER_HTTP_ALLOW: '' })).toMatchObject({
      httpAllow: [],
      httpDeny: ['private', '*.test:80'],
    });
    expect(serveConfig({}, { EXEC_SERVER_HTTP_ALLOW_METADATA: '1' }).httpAllowMetadata).toBe(true);
    expect(serveConfig({}, {}).httpAllow).toBeUndefined();
  });

  it('refuses a flag that it does not know', () => {
    expect(problem({ listenn: 'stdio' })).toContain('listenn');
  });
});

describe('clientToken', () => {
  it.each([
    ['nothing', undefined, {}, undefined],
    ['empty variables', undefined, { EXEC_SERVER_TOKEN: '', EXEC_SERVER_TOKEN_FILE: '' }, undefined],
    ['the token', undefined, { EXEC_SERVER_TOKEN: 't' }, 't'],
    [
      'the file before the token',
      undefined,
      { EXEC_SERVER_TOKEN: 't', EXEC_SERVER_TOKEN_FILE: 'f' },
      { file: 'f' },
    ],
    ['the flag before both', 'g', { EXEC_SERVER_TOKEN: 't', EXEC_SERVER_TOKEN_FILE: 'f' }, { file: 'g' }],
  ])('takes %s', (_, flag, env, expected) => {
    expect(clientToken(flag, env)).toEqual(expected);
  });
});

describe('ownVariables', () => {
  it('are those of this process', () => {
    expect(ownVariables()['PATH']).toBe(process.env['PATH']);
  });
});
