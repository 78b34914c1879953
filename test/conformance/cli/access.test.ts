import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExecClient } from '../../../src/client/exec-client.ts';
import { type Secrets, createSecrets } from '../../support/access-modes.ts';
import { capabilityToken, inSeconds, signed } from '../../support/access-tokens.ts';
import { cli, startCli, startServer } from '../../support/cli-program.ts';
import { expectNothingLeft } from '../../support/conformance-leftovers.ts';

const mark = randomUUID();
let secrets: Secrets;

beforeAll(async () => {
  secrets = await createSecrets();
});

afterAll(async () => {
  await secrets[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});

const tokenFlags = (): string[] => ['--ws-auth', 'capability-token', '--ws-token-file', secrets.tokenFile];

describe('serve', () => {
  test.each([
    ['a mode that there is not', () => ['--ws-auth', 'password'], 2, 'capability-token'],
    [
      'flags that miss the mode',
      () => ['--ws-issuer', 'x'],
      1,
      'Error: the other --ws-* flags need --ws-auth',
    ],
    ['a token on stdio', () => ['--listen', 'stdio', ...tokenFlags()], 1, 'on stdio whoever starts'],
    ['a missing file', () => ['--ws-auth', 'capability-token', '--ws-token-file', '/no'], 1, '(os error 2)'],
  ])('does not start with %s', async (_, flags, status, text) => {
    const outcome = await cli(['serve', ...flags()], { mark });
    expect(outcome).toMatchObject({ status, stdout: '' });
    expect(outcome.stderr).toContain(text);
  });

  test.each(['ws://0.0.0.0:0', 'ws://[::]:0'])('does not listen on %s without asking', async (address) => {
    const outcome = await cli(['serve', '--listen', address], { mark });
    expect(outcome).toMatchObject({ status: 1, stdout: '' });
    expect(outcome.stderr).toMatch(/^Error: .* is reached from other machines/);
  });

  test.each([['--unauthenticated'], ['--ws-auth']])('listens there with %s', async (flag) => {
    const flags = flag === '--ws-auth' ? tokenFlags() : [flag];
    await using child = startCli(['serve', '--listen', 'ws://0.0.0.0:0', ...flags], { mark });
    expect(await child.stdout.shows('\n')).toMatch(/^ws:\/\/0\.0\.0\.0:\d+\n$/);
    child.kill('SIGTERM');
    expect(await child.outcome()).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('the token of a command', () => {
  const show = ['--', '/bin/sh', '-c', 'env | grep -c EXEC_SERVER_TOKEN= || true'];

  test('is taken from a file, or from a variable that the program does not get', async () => {
    await using server = await startServer(tokenFlags(), { mark, env: { EXEC_SERVER_TOKEN: 'executor-s' } });
    const run = (env: Record<string, string>, ...flags: string[]): ReturnType<typeof cli> =>
      cli(['run', '--url', server.url, ...flags, ...show], { mark, env });
    const done = { status: 0, stdout: '0\n', stderr: '' };
    expect(await run({}, '--token-file', secrets.tokenFile)).toEqual(done);
    expect(await run({ EXEC_SERVER_TOKEN_FILE: secrets.tokenFile })).toEqual(done);
    expect(await run({ EXEC_SERVER_TOKEN: capabilityToken })).toEqual(done);
    expect(await run({})).toMatchObject({
      status: 1,
      stderr: 'Error: The executor refuses the connection with 401 (missing websocket bearer token).\n',
    });
    const wrong = await run({ EXEC_SERVER_TOKEN: 'wrong-one' });
    expect(wrong).toMatchObject({ status: 1, stdout: '' });
    expect(wrong.stderr).toContain('invalid websocket bearer token');
    expect(wrong.stderr).not.toContain('wrong-one');
  });

  test('has no place in the URL, nor beside an executor that asks for none', async () => {
    const inUrl = await cli(['run', '--url', `ws://user:${capabilityToken}@127.0.0.1:1`, ...show], { mark });
    expect(inUrl).toMatchObject({ status: 1 });
    expect(inUrl.stderr).toContain('holds no credentials');
    expect(inUrl.stderr).not.toContain(capabilityToken);
    const local = await cli(['run', '--token-file', secrets.tokenFile, ...show], { mark });
    expect(local).toMatchObject({ status: 1 });
    expect(local.stderr).toContain('--token-file is for the executor of --url');
  });
});

describe('the client', () => {
  test('asks anew for each connection what gives a token', async () => {
    await using server = await startServer(tokenFlags(), { mark });
    const file = path.join(path.dirname(secrets.tokenFile), 'changing');
    await writeFile(file, 'old', { mode: 0o600 });
    let asked = 0;
    const give = (): string => (asked++ === 0 ? 'old' : capabilityToken);
    for (const token of [{ file }, give]) {
      const refused = ExecClient.connect({ url: server.url, token });
      await expect(refused).rejects.toMatchObject({ reason: 'unauthorized' });
      await writeFile(file, capabilityToken);
      const client = await ExecClient.connect({ url: server.url, token });
      await client.close();
    }
    await expect(ExecClient.connect({ url: server.url, token: 'a\r\nb: c' })).rejects.toThrow(
      'printable ASCII',
    );
  });

  test('resumes a session only for its principal', async () => {
    const flags = ['--ws-auth', 'signed-bearer-token', '--ws-shared-secret-file', secrets.secretFile];
    await using server = await startServer(flags, { mark });
    const token = (sub: string): string => signed({ exp: inSeconds(600), sub });
    const first = await ExecClient.connect({ url: server.url, token: token('alice') });
    const { sessionId } = first;
    await first.close();
    const resume = async (sub: string): Promise<unknown> => {
      const { dialWebSocket } = await import('../../../src/client/dial.ts');
      const { WireClient } = await import('../../support/conformance-wire.ts');
      const headers = { authorization: `Bearer ${token(sub)}` };
      const transport = await dialWebSocket(server.url, headers, AbortSignal.timeout(20_000));
      await using wire = new WireClient(transport, { cwd: '/', env: {} });
      return await wire.request('initialize', { clientName: sub, resumeSessionId: sessionId });
    };
    expect(await resume('mallory')).toMatchObject({
      error: { code: -32600, message: expect.stringMatching(/^unknown session id/) as string },
    });
    expect(await resume('alice')).toMatchObject({ result: { sessionId } });
  });

  test('and the log show no token', async () => {
    const flags = [...tokenFlags(), '--log-level', 'debug'];
    await using server = await startServer(flags, { mark });
    const client = await ExecClient.connect({ url: server.url, token: capabilityToken });
    await client.close();
    await expect(ExecClient.connect({ url: server.url, token: 'wrong-token' })).rejects.toThrow('401');
    server.kill('SIGTERM');
    const { stdout, stderr } = await server.outcome();
    expect(stderr).toContain('"refusal":"invalid websocket bearer token"');
    expect(stdout + stderr).not.toMatch(/capability-token-of|wrong-token|Bearer /);
  });
});
