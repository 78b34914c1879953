import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';

import { RegistrationError } from '../../../../src/server/rendezvous/registration-error.ts';
import { secureFrom } from '../../../../src/server/rendezvous/secure.ts';
import { DialledExecutor, clientThrough } from '../../../support/rendezvous-executor.ts';
import { TunnelProxy } from '../../../support/rendezvous-proxy.ts';
import { bearer } from '../../../support/rendezvous-registering.ts';
import {
  RecordedRegistry,
  type Reply,
  authorityFile,
  breaks,
  drops,
  refuses,
  replies,
  silence,
  stalls,
} from '../../../support/rendezvous-registry.ts';

let registry: RecordedRegistry;

/** The answer that names a plain socket of this registry. */
const plain = (): Reply =>
  replies(200, { environment_id: 'env-1', url: registry.socketUrl(), transport: 'direct_jsonrpc_v1' });

beforeEach(async () => {
  registry = await RecordedRegistry.start();
  registry.replies(plain());
});

afterEach(() => registry[Symbol.asyncDispose]());

/** The service ends the next socket as soon as it is there. */
async function closeNext(code: number): Promise<void> {
  const { webSocket } = await registry.socket();
  webSocket.resume();
  webSocket.close(code);
}

async function outputOf(command: string, options = {}): Promise<string> {
  await using client = await clientThrough(registry, options);
  const process = await client.start({ argv: ['sh', '-c', command], cwd: '/' });
  const output: string[] = [];
  for await (const text of process.stdout.text()) output.push(text);
  return output.join('');
}

describe('a plain socket', () => {
  it('is opened without anything but the URL, and serves one session', async () => {
    await using executor = new DialledExecutor(registry);
    expect(await outputOf('echo $((40 + 2))')).toBe('42\n');
    const names = registry.upgrades[0]
      ?.filter((_, place) => place % 2 === 0)
      .map((name) => name.toLowerCase());
    expect(names?.toSorted()).toEqual([
      'connection',
      'host',
      'sec-websocket-key',
      'sec-websocket-version',
      'upgrade',
    ]);
    expect(executor.warnings()).toEqual([]);
  });

  it('is replaced by the next one when its client is done, with a new registration', async () => {
    await using executor = new DialledExecutor(registry, { waits: { firstMs: 60_000, mostMs: 60_000 } });
    for (const number of [1, 2, 3]) expect(await outputOf(`echo ${number}`)).toBe(`${number}\n`);
    await registry.socket();
    expect(registry.requests.length).toBe(4);
    expect(executor.warnings()).toEqual([]);
  });

  it('takes JSON in binary frames, and answers garbage with the id -1', async () => {
    await using _executor = new DialledExecutor(registry);
    const { webSocket } = await registry.socket();
    const answers: unknown[] = [];
    const answered = new Promise<void>((resolve) => {
      webSocket.on('message', (data: Buffer, isBinary) => {
        expect(isBinary).toBe(false);
        answers.push(JSON.parse(data.toString()));
        if (answers.length === 2) resolve();
      });
    });
    webSocket.resume();
    webSocket.send('no JSON');
    webSocket.send(Buffer.from('{"id":1,"method":"initialize","params":{"clientName":"binary"}}'));
    await answered;
    expect(answers).toMatchObject([
      { id: -1, error: { code: -32600 } },
      { id: 1, result: {} },
    ]);
  });

  it('may wait for its client for longer than a handshake may take', async () => {
    await using executor = new DialledExecutor(registry, { limits: { handshakeMs: 1, pingIntervalMs: 20 } });
    const { webSocket } = await registry.socket();
    let pings = 0;
    const pinged = new Promise<void>((resolve) => {
      webSocket.on('ping', () => ++pings === 5 && resolve());
    });
    webSocket.resume();
    await pinged;
    expect(registry.requests).toHaveLength(1);
    expect(executor.warnings()).toEqual([]);
  });

  it('is given up when the service is silent', async () => {
    await using executor = new DialledExecutor(registry, { limits: { pingIntervalMs: 20 } });
    // Nobody reads it, so nobody answers its pings.
    await registry.socket();
    await registry.socket();
    expect(executor.warnings()[0]).toMatch(/^no sign of life for \d+ ms$/);
  });

  it('of wss is opened with the authorities of https', async () => {
    await using secure = await RecordedRegistry.start({ secure: true });
    secure.replies(
      replies(200, { environment_id: 'env-1', url: secure.socketUrl(), transport: 'direct_jsonrpc_v1' }),
    );
    await using _executor = new DialledExecutor(secure, {
      secure: () => secureFrom({ SSL_CERT_FILE: authorityFile }),
    });
    await secure.socket();
  });
});

describe('a proxy', () => {
  it.each([
    [{}, 2],
    [{ NO_PROXY: '127.0.0.1' }, 0],
  ])('of HTTPS_PROXY is gone through with %j for %d connections', async (variables, count) => {
    await using secure = await RecordedRegistry.start({ secure: true });
    secure.replies(
      replies(200, { environment_id: 'env-1', url: secure.socketUrl(), transport: 'direct_jsonrpc_v1' }),
    );
    await using proxy = await TunnelProxy.start();
    const env = {
      SSL_CERT_FILE: authorityFile,
      HTTPS_PROXY: `http://user:hidden@${proxy.host}`,
      ...variables,
    };
    await using executor = new DialledExecutor(secure, { secure: () => secureFrom(env) });
    await using client = await clientThrough(secure);
    const process = await client.start({ argv: ['true'], cwd: '/' });
    expect((await process.exited).exitCode).toBe(0);
    expect(proxy.targets).toEqual(Array.from({ length: count }, () => new URL(secure.url).host));
    expect(JSON.stringify(executor.log)).not.toContain('hidden');
  });

  it('that is not there is told without its password, and may come back', async () => {
    await using secure = await RecordedRegistry.start({ secure: true });
    const proxy = await TunnelProxy.start();
    await proxy[Symbol.asyncDispose]();
    const env = { SSL_CERT_FILE: authorityFile, HTTPS_PROXY: `http://user:hidden@${proxy.host}` };
    const warned = Promise.withResolvers<void>();
    await using executor = new DialledExecutor(secure, {
      secure: () => secureFrom(env),
      onWarning: warned.resolve,
    });
    await warned.promise;
    expect(executor.warnings()[0]).toBe(`${secure.url} cannot be reached (connection refused, ECONNREFUSED)`);
    expect(secure.requests).toEqual([]);
  });
});

describe('a lost socket', () => {
  it.each([
    ['without a word', () => registry.cut()],
    ['with a Close frame', undefined],
  ])('%s leaves the session, which is resumed over the next one', async (_name, cut) => {
    await using executor = new DialledExecutor(registry);
    let socket = await registry.socket();
    await using client = await (async () => {
      const { ExecClient } = await import('../../../../src/client/exec-client.ts');
      let first = true;
      const dial = async () => {
        if (!first) socket = await registry.socket();
        first = false;
        return socket.transport();
      };
      return ExecClient.connect({ dial });
    })();
    const { sessionId } = client;
    const process = await client.start({
      argv: ['sh', '-c', 'for i in 1 2 3 4 5 6; do echo $i; read x; done'],
      pipeStdin: true,
      cwd: '/',
    });
    let output = '';
    for await (const text of process.stdout.text()) {
      output += text;
      if (cut === undefined) socket.webSocket.close(1001, 'pod_draining: elsewhere');
      else cut();
      await process.write('x\n');
    }
    expect(output).toBe('1\n2\n3\n4\n5\n6\n');
    expect(client.sessionId).toBe(sessionId);
    expect(registry.requests.length).toBeGreaterThan(3);
    expect(new Set(executor.warnings())).toEqual(
      new Set([cut === undefined ? 'pod_draining: elsewhere' : 'the socket closed without a Close frame']),
    );
  });
});

describe('a refused socket', () => {
  it.each([
    ['403 Forbidden', 'invalid_signature'],
    ['401 Unauthorized', 'missing_signature'],
    ['404 Not Found', 'unknown_route'],
    ['409 Conflict', 'wrong_rendezvous_cluster'],
    ['410 Gone', 'some_new_reason_2'],
    ['429 Too Many Requests', 'route_unavailable'],
    ['503 Service Unavailable', 'pod_draining'],
    ['500 Internal Server Error', undefined],
    ['302 Found', undefined],
  ])('with %s (%s) is told, and brings a new registration', async (status, reason) => {
    const header = reason === undefined ? [] : [`x-codex-rendezvous-rejection-reason: ${reason}`];
    registry.welcomes(refuses(status, [...header, `location: ${registry.url}/hidden`]));
    await using executor = new DialledExecutor(registry);
    await registry.socket();
    expect(registry.requests).toHaveLength(2);
    const place = registry.url.replace('http', 'ws');
    const said = reason === undefined ? '' : ` (${reason})`;
    expect(executor.warnings()).toEqual([`${place} refuses the socket with ${status.slice(0, 3)}${said}`]);
  });

  it.each(['has blanks', 'x'.repeat(65), 'Ünicode', '<script>', '{"a":1}', '7'])(
    'is told without the reason %j',
    async (reason) => {
      registry.welcomes(refuses('403 Forbidden', [`x-codex-rendezvous-rejection-reason: ${reason}`]));
      await using executor = new DialledExecutor(registry);
      await registry.socket();
      expect(executor.warnings()[0]).toMatch(/refuses the socket with 403$/);
    },
  );

  it.each([
    ['that breaks', drops, /cannot be reached/],
    ['that is never opened', stalls, /has not opened a socket within 1000 ms/],
    ['that answers with no HTTP', refuses('x'), /cannot be reached/],
  ])('%s is told, and brings a new registration', async (_name, welcome, text) => {
    registry.welcomes(welcome);
    await using executor = new DialledExecutor(registry, { connectMs: 1000 });
    await registry.socket();
    expect(registry.requests).toHaveLength(2);
    expect(executor.warnings()[0]).toMatch(text);
  });

  it('is tried at longer and longer intervals, up to the longest', async () => {
    registry.welcomes(...Array.from({ length: 8 }, () => drops));
    await using executor = new DialledExecutor(registry, { waits: { firstMs: 16, mostMs: 64 } });
    await registry.socket();
    const waits = executor.log.flatMap(({ nextMs }) => nextMs ?? []);
    const most = [16, 32, 64, 64, 64, 64, 64, 64];
    expect(waits).toHaveLength(8);
    for (const [place, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual((most[place] ?? 0) / 2);
      expect(wait).toBeLessThanOrEqual(most[place] ?? 0);
    }
    // They are kept, not only told.
    const [first = 0] = registry.times;
    expect((registry.times.at(-1) ?? 0) - first).toBeGreaterThanOrEqual(
      waits.reduce((sum, wait) => sum + wait, 0) - 8,
    );
  });

  it('that opens and ends at once is not tried at full speed either', async () => {
    await using executor = new DialledExecutor(registry, { waits: { firstMs: 16, mostMs: 64 } });
    for (let count = 0; count < 4; count += 1) await closeNext(1000);
    await registry.socket();
    const waits = executor.log.flatMap(({ nextMs }) => nextMs ?? []);
    expect(waits).toHaveLength(4);
    expect(waits[3]).toBeGreaterThanOrEqual(32);
  });

  it('that another executor has taken over is not tried at full speed either', async () => {
    await using executor = new DialledExecutor(registry, { waits: { firstMs: 16, mostMs: 64 }, heldMs: 0 });
    for (let count = 0; count < 3; count += 1) await closeNext(4001);
    await registry.socket();
    expect(executor.log.flatMap(({ nextMs }) => nextMs ?? []).at(-1)).toBeGreaterThanOrEqual(32);
  });

  it('after one that has held is tried from the beginning', async () => {
    registry.welcomes(drops, drops, drops);
    await using executor = new DialledExecutor(registry, { waits: { firstMs: 16, mostMs: 64 }, heldMs: 0 });
    await closeNext(1001);
    await registry.socket();
    expect(executor.log.flatMap(({ nextMs }) => nextMs ?? []).at(-1)).toBeLessThanOrEqual(16);
  });
});

describe('a registration that fails', () => {
  it('and may pass is repeated from the first one on', async () => {
    registry.replies(
      replies(500),
      breaks,
      replies(429, '', { 'retry-after': '0' }),
      replies(503, { error: { code: 'pod_draining' } }),
      silence,
      plain(),
    );
    await using executor = new DialledExecutor(registry, { registrationMs: 1000 });
    expect(await outputOf('echo there')).toBe('there\n');
    expect(executor.warnings()).toEqual([
      'the registry answers with 500',
      expect.stringContaining('cannot be reached'),
      'the registry answers with 429',
      'the registry answers with 503 (pod_draining)',
      expect.stringContaining('has not answered within 1000 ms'),
    ]);
  });

  it('waits as long as the service asks for', async () => {
    registry.replies(replies(429, '', { 'retry-after': '1' }), plain());
    await using executor = new DialledExecutor(registry);
    await registry.socket();
    expect(executor.log.find(({ nextMs }) => nextMs !== undefined)?.nextMs).toBe(1000);
    const [first = 0, second = 0] = registry.times;
    expect(second - first).toBeGreaterThanOrEqual(990);
  });

  it.each([
    [401, 2],
    [403, 2],
    [404, 1],
    [400, 1],
    [200, 1],
  ])('with %d for good ends the executor after %d requests', async (status, count) => {
    registry.replies(replies(status));
    await using executor = new DialledExecutor(registry);
    const error = await executor.ended;
    expect(error).toBeInstanceOf(RegistrationError);
    expect(String(error)).not.toContain(bearer);
    expect(registry.requests).toHaveLength(count);
  });

  it('for good is repeated as long as a session can come back, and ends the executor then', async () => {
    await using executor = new DialledExecutor(registry, { detachedSessionMs: 300 });
    const first = await registry.socket();
    const { ExecClient } = await import('../../../../src/client/exec-client.ts');
    await using client = await ExecClient.connect({ transport: first.transport() });
    await client.start({ argv: ['sleep', '60'], cwd: '/' });
    registry.replies(replies(403), replies(403), replies(404), replies(200, 'nonsense'));
    registry.cut();
    expect(await executor.ended).toBeInstanceOf(RegistrationError);
    expect(registry.requests.length).toBeGreaterThan(5);
    expect(executor.server.load).toMatchObject({ sessions: 0, processes: 0 });
  });

  it('for good is forgotten when it is mended in time', async () => {
    await using executor = new DialledExecutor(registry);
    const first = await registry.socket();
    const { ExecClient } = await import('../../../../src/client/exec-client.ts');
    let socket = first;
    let dials = 0;
    await using client = await ExecClient.connect({
      dial: async () => {
        if (dials++ > 0) socket = await registry.socket();
        return socket.transport();
      },
    });
    registry.replies(replies(401), replies(401), replies(404), plain());
    registry.cut();
    const process = await client.start({ argv: ['echo', 'back'], cwd: '/' });
    expect((await process.exited).exitCode).toBe(0);
    expect(executor.warnings().slice(1)).toEqual([
      expect.stringContaining('answers with 401'),
      expect.stringContaining('answers with 404'),
    ]);
  });
});

describe('the end', () => {
  test('closes the socket and comes at once, wherever the loop is', async () => {
    const open = new DialledExecutor(registry);
    const { webSocket } = await registry.socket();
    const closed = new Promise((resolve) => {
      webSocket.once('close', (code, reason) => resolve([code, reason.toString()]));
    });
    webSocket.resume();
    await open.online();
    await open[Symbol.asyncDispose]();
    expect(await closed).toEqual([1001, 'the executor is shutting down']);

    registry.replies(replies(503, '', { 'retry-after': '60' }));
    const waiting = new DialledExecutor(registry);
    await registry.until('a registration', () => registry.requests.length === 2);
    await waiting[Symbol.asyncDispose]();

    registry.replies(silence);
    const registering = new DialledExecutor(registry);
    await registry.until('a registration', () => registry.requests.length === 3);
    await registering[Symbol.asyncDispose]();

    registry.replies(plain());
    registry.welcomes(stalls);
    const dialling = new DialledExecutor(registry);
    await registry.until('an upgrade', () => registry.upgrades.length === 2);
    await dialling[Symbol.asyncDispose]();
  });

  test('tells the client of a plain socket, and does not come back', async () => {
    await using executor = new DialledExecutor(registry);
    await using client = await clientThrough(registry, { reconnectMs: 0 });
    const process = await client.start({ argv: ['sleep', '60'], cwd: '/' });
    await executor.server.close(1000);
    expect((await process.exited).signal).toBe('SIGTERM');
    expect(await client.closed).toMatchObject({ kind: 'goingAway' });
    expect(await executor.ended).toBe('stopped');
    expect(registry.requests).toHaveLength(1);
  });
});

test('no line of the log has a secret', async () => {
  registry.welcomes(refuses('403 Forbidden'), drops, stalls);
  registry.replies(plain(), replies(500, { error: { message: bearer } }), plain());
  await using executor = new DialledExecutor(registry, { connectMs: 1000 });
  expect(await outputOf('echo x')).toBe('x\n');
  registry.cut();
  await registry.socket();
  const lines = JSON.stringify(executor.log);
  expect(lines).not.toContain(bearer);
  expect(lines).not.toContain('signature');
  expect(lines).not.toContain('hidden');
});
