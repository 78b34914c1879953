import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { ExecClient } from '../../../src/client/exec-client.ts';
import { type CliChild, type Folder, cli, cliFolder, startCli } from '../../support/cli-program.ts';
import {
  type OpenedSocket,
  RecordedRegistry,
  type Reply,
  authorityFile,
  replies,
  silence,
} from '../../support/rendezvous-registry.ts';

const token = 'top-secret-token';
const env = { EXEC_SERVER_REMOTE_TOKEN: token };

let registry: RecordedRegistry;
let folder: Folder;

beforeEach(async () => {
  registry = await RecordedRegistry.start();
  registry.replies(named('env 1/a'));
  folder = await cliFolder();
});

afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** The answer with the plain socket of an environment. */
function named(id: string): Reply {
  return replies(200, {
    id: 'executor-1',
    executor_id: id,
    environment_id: id,
    url: registry.socketUrl(),
    transport: 'direct_jsonrpc_v1',
  });
}

const flags = (): string[] => ['serve', '--remote', registry.url, '--environment-id', 'env 1/a'];

async function connect(socket: OpenedSocket): Promise<ExecClient> {
  return ExecClient.connect({ transport: socket.transport() });
}

/** What it has said in the end, which never has a secret. */
async function outcomeOf(child: CliChild): ReturnType<CliChild['outcome']> {
  const outcome = await child.outcome();
  for (const text of [outcome.stdout, outcome.stderr]) {
    expect(text).not.toContain(token);
    expect(text).not.toContain('signature');
    expect(text).not.toContain('hidden');
  }
  return outcome;
}

describe('serve --remote', () => {
  test('prints one line when clients reach it, serves them, and ends by TERM', async () => {
    await using executor = startCli([...flags(), '--log-level', 'debug'], { env });
    const socket = await registry.socket();
    expect(await executor.stdout.shows('\n')).toBe(`registered env%201%2Fa as ${hostname()}\n`);
    await using client = await connect(socket);
    // What the executor knows the service by is none of a process's business.
    const process = await client.start({
      argv: ['sh', '-c', 'echo "[$EXEC_SERVER_REMOTE_TOKEN]"; exec sleep 60'],
      cwd: '/',
      envPolicy: { inherit: 'all', ignoreDefaultExcludes: true, exclude: [], set: {}, includeOnly: [] },
    });
    expect(await firstOf(process.stdout.text())).toBe('[]\n');
    executor.kill('SIGTERM');
    expect((await process.exited).signal).toBe('SIGTERM');
    expect(await client.closed).toMatchObject({ kind: 'goingAway' });
    const { status, stdout } = await outcomeOf(executor);
    expect([status, stdout]).toEqual([0, `registered env%201%2Fa as ${hostname()}\n`]);
    expect(registry.requests).toHaveLength(1);
  });

  test('says at most one line, however often it comes back', async () => {
    await using executor = startCli([...flags(), '--name', 'a box'], { env });
    for (let count = 0; count < 2; count += 1) {
      const client = await connect(await registry.socket());
      await client.close();
    }
    (await registry.socket()).webSocket.resume();
    executor.kill('SIGTERM');
    expect(await outcomeOf(executor)).toEqual({
      status: 0,
      stdout: 'registered env%201%2Fa as a box\n',
      stderr: '',
    });
  });

  test.each([
    [404, /^Error: the registry answers with 404: the environment, or the address, is not known there/],
    [401, /^Error: the registry answers with 401: it does not know the token in EXEC_SERVER_REMOTE_TOKEN/],
    [200, /^Error: the registry's answer cannot be used: it is no JSON/],
  ])('ends with status 1 and a text when it is refused with %d', async (status, text) => {
    registry.replies(replies(status));
    await using executor = startCli(flags(), { env });
    const outcome = await outcomeOf(executor);
    expect(outcome).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(text) });
    expect(outcome.stderr.split('\n')).toHaveLength(2);
  });

  test('warns and goes on when the registry is away, and ends by TERM at once', async () => {
    registry.replies(replies(503, '', { 'retry-after': '60' }));
    await using executor = startCli(flags(), { env });
    const line = await executor.stderr.shows('\n');
    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      msg: 'not at the rendezvous',
      problem: 'the registry answers with 503',
      nextMs: 60_000,
    });
    executor.kill('SIGTERM');
    expect(await outcomeOf(executor)).toMatchObject({ status: 0, stdout: '' });
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('ends by %s while it registers', async (signal) => {
    registry.replies(silence);
    await using executor = startCli(flags(), { env });
    await registry.until('a registration', () => registry.requests.length > 0);
    executor.kill(signal);
    expect(await outcomeOf(executor)).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('takes the token from a file, and reads it at each registration', async () => {
    const file = folder.at('token');
    await writeFile(file, 'first-token\n', { mode: 0o600 });
    await using executor = startCli([...flags(), '--remote-token-file', file], { env });
    const client = await connect(await registry.socket());
    await writeFile(file, 'second-token\n');
    await client.close();
    (await registry.socket()).webSocket.resume();
    expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer first-token',
      'Bearer second-token',
    ]);
    executor.kill('SIGTERM');
    expect(await outcomeOf(executor)).toMatchObject({ status: 0, stderr: '' });
  });

  test('warns of a token that others can read, and ends where there is none', async () => {
    const file = folder.at('token');
    await writeFile(file, 'first-token\n', { mode: 0o644 });
    await using executor = startCli([...flags(), '--remote-token-file', file], { env });
    (await registry.socket()).webSocket.resume();
    executor.kill('SIGTERM');
    const { stderr } = await outcomeOf(executor);
    expect(JSON.parse(stderr)).toMatchObject({ msg: 'the file of the token can be read by other users' });
    const missing = await cli([...flags(), '--remote-token-file', folder.at('missing')], { env });
    expect(missing).toMatchObject({ status: 1, stdout: '' });
    expect(missing.stderr).toMatch(/^Error: The secret in \S+ cannot be read: No such file/);
    expect(registry.requests).toHaveLength(1);
  });

  test('trusts the authority of SSL_CERT_FILE', async () => {
    await using secure = await RecordedRegistry.start({ secure: true });
    secure.replies(
      replies(200, { environment_id: 'e', url: secure.socketUrl(), transport: 'direct_jsonrpc_v1' }),
    );
    const remote = ['serve', '--remote', secure.url, '--environment-id', 'e'];
    await using executor = startCli(remote, { env: { ...env, SSL_CERT_FILE: authorityFile } });
    await using client = await connect(await secure.socket());
    const process = await client.start({ argv: ['true'], cwd: '/' });
    expect((await process.exited).exitCode).toBe(0);
    const refused = await cli(remote, { env });
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('cannot be trusted') });
    const unreadable = await cli(remote, { env: { ...env, SSL_CERT_FILE: folder.at('missing') } });
    expect(unreadable).toMatchObject({
      status: 1,
      stderr: 'Error: no https connection can be made: the file that SSL_CERT_FILE names cannot be read\n',
    });
    const proxy = { HTTPS_PROXY: 'ftp://user:hidden@127.0.0.1' };
    // Without a word it would go there directly.
    const unusable = await cli(remote, { env: { ...env, ...proxy, SSL_CERT_FILE: authorityFile } });
    expect(unusable).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^Error: HTTPS_PROXY is no http:\/\/ or https:\/\/ URL, such as \S+\n$/),
    });
    executor.kill('SIGTERM');
    expect(await outcomeOf(executor)).toMatchObject({ status: 0 });
  });

  test.each([
    [['serve', '--remote', 'https://r.example.org'], '--remote needs --environment-id ID'],
    [
      ['serve', '--remote', 'r.example.org', '--environment-id', 'e'],
      '--remote must be the URL of a rendezvous',
    ],
    [['serve', '--remote', 'http://r.example.org', '--environment-id', 'e'], '--remote-allow-http'],
    [['serve', '--environment-id', 'e'], '--environment-id needs --remote URL'],
    [['serve', '--cloud'], '--cloud-base-url or set CODEX_CLOUD_ENVIRONMENTS_BASE_URL'],
  ])('%j ends with status 1 before anything is sent', async (args, text) => {
    const { status, stdout, stderr } = await cli(args, { env });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: [^\n]*\n$/);
    expect(stderr).toContain(text);
  });
});

test('serve --cloud prints the environment that the service has chosen', async () => {
  registry.replies(named('chosen-1'));
  await using executor = startCli(['serve', '--cloud'], {
    env: { CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN: token, CODEX_CLOUD_ENVIRONMENTS_BASE_URL: registry.url },
  });
  (await registry.socket()).webSocket.resume();
  expect(await executor.stdout.shows('\n')).toBe('registered chosen-1 as codex-exec-server\n');
  expect(registry.requests[0]).toMatchObject({ path: '/api/cloud/executor' });
  executor.kill('SIGTERM');
  expect(await outcomeOf(executor)).toMatchObject({ status: 0 });
});

async function firstOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of items) return item;
  return undefined;
}
