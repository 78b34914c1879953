import { hostname } from 'node:os';

import { describe, expect, it, test } from 'vitest';

import { ConfigError, serveConfig } from '../../../../src/config.ts';
import type { RendezvousSettings } from '../../../../src/server/rendezvous/settings.ts';

type Flags = Readonly<Record<string, unknown>>;
type Variables = Readonly<Record<string, string>>;

const token: Variables = { EXEC_SERVER_REMOTE_TOKEN: 'top-secret' };

function settings(flags: Flags, env: Variables = token): RendezvousSettings {
  const { rendezvous } = serveConfig(flags, env);
  if (rendezvous === undefined) throw new Error('It would listen.');
  return rendezvous;
}

function problem(flags: Flags, env: Variables = token): string {
  try {
    serveConfig(flags, env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error(`It is accepted: ${JSON.stringify({ flags, env })}`);
}

const remote = { remote: 'https://rendezvous.example.org', environmentId: 'build-7' };
const cloud = { cloud: true, cloudBaseUrl: 'https://cloud.example.org' };

test('without --remote and --cloud it listens, whatever tokens there are', () => {
  expect(serveConfig({}, token).rendezvous).toBeUndefined();
  expect(
    serveConfig({}, { ...token, EXEC_SERVER_NAME: 'x', CODEX_CLOUD_ENVIRONMENTS_BASE_URL: 'https://c' })
      .rendezvous,
  ).toBeUndefined();
});

describe('--remote', () => {
  it('registers as an environment, under the name of the host, for either framing', () => {
    expect(settings(remote)).toEqual({
      registry: 'https://rendezvous.example.org',
      endpoint: 'environment',
      id: 'build-7',
      name: hostname(),
      framings: ['relay_v1', 'direct_jsonrpc_v1'],
      credential: { variable: 'EXEC_SERVER_REMOTE_TOKEN', token: 'top-secret' },
      accountId: undefined,
      allowHttp: false,
    });
  });

  it('takes everything from variables, and a flag wins', () => {
    const env = {
      ...token,
      EXEC_SERVER_REMOTE: 'https://one.example.org/',
      EXEC_SERVER_ENVIRONMENT_ID: 'one',
      EXEC_SERVER_NAME: 'first',
      EXEC_SERVER_REMOTE_TRANSPORT: 'direct',
      EXEC_SERVER_CHATGPT_ACCOUNT_ID: 'account',
      EXEC_SERVER_REMOTE_TOKEN_FILE: '/run/token',
    };
    expect(settings({}, env)).toMatchObject({
      registry: 'https://one.example.org',
      endpoint: 'environment-direct',
      id: 'one',
      name: 'first',
      accountId: 'account',
      credential: { file: '/run/token' },
    });
    expect(settings({ environmentId: 'two', name: 'second', remoteTransport: 'relay' }, env)).toMatchObject({
      endpoint: 'environment',
      framings: ['relay_v1'],
      id: 'two',
      name: 'second',
    });
  });

  it('registers as an executor by the flag of May 2026', () => {
    const flags = { remote: 'https://r.example.org', executorId: ' e-1 ' };
    const expected = { endpoint: 'executor', id: 'e-1', name: 'codex-exec-server' };
    expect(settings(flags)).toMatchObject(expected);
    expect(settings({ ...flags, remoteTransport: 'relay' })).toMatchObject({ endpoint: 'executor-relay' });
  });

  it.each([
    ['https://r.example.org///', 'https://r.example.org'],
    [' https://r.example.org/prefix/ ', 'https://r.example.org/prefix'],
    ['http://127.0.0.1:80', 'http://127.0.0.1:80'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['http://localhost:1', 'http://localhost:1'],
  ])('the base of %j is %j', (url, base) => {
    expect(settings({ ...remote, remote: url }).registry).toBe(base);
  });

  it.each(['', ' ', 'rendezvous.example.org', '/path', 'ws://127.0.0.1', 'ftp://x', 'http:///x', 'https://'])(
    '%j is no URL of a rendezvous',
    (url) => {
      expect(problem({ ...remote, remote: url })).toBe(
        '--remote must be the URL of a rendezvous, such as https://rendezvous.example.org',
      );
    },
  );

  it('refuses a URL with credentials, a query or a fragment, and does not repeat it', () => {
    for (const url of ['https://user:hidden@r', 'https://r/?token=hidden', 'https://r/#hidden']) {
      const text = problem({ ...remote, remote: url });
      expect(text).toMatch(/^--remote must/);
      expect(text).not.toContain('hidden');
    }
  });

  it('refuses plain http to another machine unless that is asked for', () => {
    for (const url of [
      'http://10.0.0.1',
      'http://rendezvous',
      'http://127.0.0.1.example.org',
      'http://localhost.example',
    ])
      expect(problem({ ...remote, remote: url })).toContain('--remote-allow-http');
    expect(settings({ ...remote, remote: 'http://rendezvous', remoteAllowHttp: true }).allowHttp).toBe(true);
    const env = { ...token, EXEC_SERVER_REMOTE_ALLOW_HTTP: '1' };
    expect(settings({ ...remote, remote: 'http://rendezvous' }, env).allowHttp).toBe(true);
  });

  it.each([
    [
      { remote: 'https://r' },
      '--remote needs --environment-id ID, the environment that this executor serves',
    ],
    [{ ...remote, executorId: 'e' }, '--environment-id and --executor-id name two things'],
    [{ ...remote, environmentId: ' ' }, '--environment-id is empty'],
    [{ remote: 'https://r', executorId: '' }, '--executor-id is empty'],
    [{ ...remote, environmentId: '..' }, '--environment-id must not be ".."'],
    [{ ...remote, environmentId: '.' }, '--environment-id must not be "."'],
    [{ ...remote, environmentId: 'a\nb' }, '--environment-id must be 1 to 256 characters'],
    [{ ...remote, environmentId: 'x'.repeat(257) }, '--environment-id must be 1 to 256 characters'],
    [{ ...remote, environmentId: '\ud800' }, '--environment-id must be 1 to 256 characters'],
    [{ ...remote, name: '' }, '--name must be 1 to 256 printable ASCII characters'],
    [{ ...remote, name: 'a\r\nb: c' }, '--name must be 1 to 256 printable ASCII characters'],
    [{ ...remote, chatgptAccountId: 'ä' }, '--chatgpt-account-id must be 1 to 256'],
    [{ ...remote, remoteTransport: 'noise' }, '--remote-transport: must be relay or direct'],
    [{ ...remote, listen: 'stdio' }, '--remote and --listen exclude each other'],
    [{ ...remote, listen: 'ws://127.0.0.1:0' }, '--remote and --listen exclude each other'],
    [{ ...remote, wsAuth: 'capability-token', wsTokenFile: '/t' }, '--ws-auth is for a WebSocket listener'],
    [{ ...remote, cloud: true }, '--cloud and --remote are two ways to register'],
    [{ ...remote, cloudName: 'x' }, '--cloud-name needs --cloud'],
    [{ environmentId: 'x' }, '--environment-id needs --remote URL'],
    [{ name: 'x' }, '--name needs --remote URL'],
    [{ remoteTokenFile: '/x' }, '--remote-token-file needs --remote URL'],
  ] as const)('%j is refused', (flags, text) => {
    expect(problem(flags)).toContain(text);
  });
});

describe('--cloud', () => {
  it('lets the service choose the environment, under the name of the field', () => {
    expect(settings(cloud)).toMatchObject({
      registry: 'https://cloud.example.org',
      endpoint: 'cloud',
      id: undefined,
      name: 'codex-exec-server',
    });
  });

  it('takes the URL of its variable, and the flag wins', () => {
    const env = { ...token, CODEX_CLOUD_ENVIRONMENTS_BASE_URL: 'https://variable.example.org' };
    expect(settings({ cloud: true }, env).registry).toBe('https://variable.example.org');
    expect(settings(cloud, env).registry).toBe('https://cloud.example.org');
  });

  it.each([
    [
      { cloud: true },
      '--cloud needs the URL of the registry: give --cloud-base-url or set CODEX_CLOUD_ENVIRONMENTS_BASE_URL',
    ],
    [{ ...cloud, cloudEnvironmentId: '' }, '--cloud-environment-id is empty'],
    [{ ...cloud, cloudName: '\t' }, '--cloud-name must be'],
    [{ ...cloud, environmentId: 'x' }, '--environment-id is for --remote; write --cloud-environment-id'],
    [{ ...cloud, name: 'x' }, '--name is for --remote; write --cloud-name'],
    [{ ...cloud, cloudBaseUrl: 'c' }, '--cloud-base-url must be the URL of a rendezvous'],
    [{ ...cloud, listen: 'stdio' }, '--cloud and --listen exclude each other'],
    [{ cloudEnvironmentId: 'x' }, '--cloud-environment-id needs --cloud'],
  ] as const)('%j is refused', (flags, text) => {
    expect(problem(flags)).toContain(text);
  });
});

describe('the token', () => {
  it('comes from the file, then from our variable, then from that of May 2026', () => {
    const both = { ...token, CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN: ' theirs ' };
    expect(settings({ ...remote, remoteTokenFile: '/f' }, both).credential).toEqual({ file: '/f' });
    expect(settings(remote, both).credential).toMatchObject({ token: 'top-secret' });
    const theirs = { CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN: both.CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN };
    expect(settings(remote, theirs).credential).toEqual({
      variable: 'CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN',
      token: 'theirs',
    });
  });

  it.each([
    [
      {},
      'give --remote-token-file FILE, or set EXEC_SERVER_REMOTE_TOKEN or CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN',
    ],
    [{ EXEC_SERVER_REMOTE_TOKEN: '' }, 'EXEC_SERVER_REMOTE_TOKEN is empty'],
    [{ CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN: ' \n' }, 'CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN is empty'],
    [{ EXEC_SERVER_REMOTE_TOKEN: 'hid den' }, 'EXEC_SERVER_REMOTE_TOKEN is no token'],
  ])('%j is refused before anything is sent, without the token', (env, text) => {
    expect(problem(remote, env)).toContain(text);
    expect(problem(remote, env)).not.toContain('hid den');
  });
});
