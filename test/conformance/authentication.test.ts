import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mode, type Secrets, createSecrets, modes } from '../support/access-modes.ts';
import { ask } from '../support/access-tokens.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { type ExecutorChild, spawnExecutor, webSocketTarget } from '../support/conformance-targets.ts';

const { mark } = webSocketTarget();
let secrets: Secrets;

beforeAll(async () => {
  secrets = await createSecrets();
});

afterAll(async () => {
  await secrets[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});

const wrong: readonly [string, readonly string[]][] = [
  ['without a token', []],
  ['with a wrong token', ['Authorization: Bearer wrong']],
];

test('clients that are refused do not fill the log', async () => {
  const [mode] = modes;
  const executor = spawnExecutor(['--listen', 'ws://127.0.0.1:0', ...(mode?.flags(secrets) ?? [])], mark);
  const url = await executor.firstLine();
  let log = '';
  executor.process.stderr?.on('data', (text: string) => void (log += text));
  const begin = performance.now();
  for (let number = 0; number < 200; number++)
    expect(await ask(url, { headers: ['Authorization: Bearer wrong'] })).toMatchObject({ status: 401 });
  const seconds = (performance.now() - begin) / 1000;
  executor.process.kill('SIGTERM');
  await executor.expectExit();
  const lines = log.split('\n').filter((line) => line.includes('a client was refused'));
  expect(lines.length).toBeGreaterThanOrEqual(1);
  expect(lines.length).toBeLessThanOrEqual(2 + 2 * seconds);
});

describe.each(modes)('with $name a listener', ({ flags, right, rows }: Mode) => {
  let executor: ExecutorChild;
  let url: string;

  beforeAll(async () => {
    executor = spawnExecutor(['--listen', 'ws://127.0.0.1:0', ...flags(secrets)], mark);
    url = await executor.firstLine();
  });

  afterAll(async () => {
    executor.process.kill('SIGTERM');
    await executor.expectExit();
  });

  test.each(rows)('answers $title', async ({ title, headers, body }) => {
    const path = title.includes('query') ? `/?token=${right().join().slice(22)}` : '/';
    const answer = await ask(url, { path, headers: headers() });
    if (body === undefined) return expect(answer.status).toBe(101);
    expect(answer).toMatchObject({ status: 401, body });
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });

  describe.each(wrong)('%s', (_, headers) => {
    test('answers the probes, which say nothing', async () => {
      for (const path of ['/readyz', '/livez']) {
        expect(await ask(url, { path, headers, upgrade: false })).toMatchObject({ status: 200, body: '' });
        const post = await ask(url, { path, headers, upgrade: false, method: 'POST' });
        expect(post).toMatchObject({ status: 405 });
      }
    });

    test('serves nothing else', async () => {
      expect(await ask(url, { headers })).toMatchObject({ status: 401 });
      expect(await ask(url, { headers, path: '/?token=x' })).toMatchObject({ status: 401 });
      expect(await ask(url, { headers, upgrade: false })).toMatchObject({ status: 400 });
      expect(await ask(url, { headers, upgrade: false, method: 'POST' })).toMatchObject({ status: 405 });
      for (const method of ['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
        expect((await ask(url, { headers, method })).status, method).toBeGreaterThanOrEqual(400);
      for (const path of [`${url.replace('ws', 'http')}/`, '/.', '/?/../', '*'])
        expect((await ask(url, { headers, path })).status, path).toBeGreaterThanOrEqual(400);
      for (const path of ['/x', '/metrics', '/healthz', '//', '/%2f', '/readyz/x']) {
        for (const upgrade of [true, false])
          expect((await ask(url, { headers, path, upgrade })).status, path).toBe(404);
      }
      for (const path of ['/readyz', '/livez'])
        expect((await ask(url, { headers, path })).status, path).not.toBe(101);
    });

    test('refuses an origin before it asks for the token', async () => {
      for (const path of ['/', '/x', '/readyz']) {
        const answer = await ask(url, { path, headers: ['Origin: null', ...headers] });
        expect(answer).toMatchObject({ status: 403, body: '' });
      }
    });
  });
});
