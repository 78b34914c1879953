import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { type Socket, connect } from 'node:net';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { expectNothingLeft, isRunning, markVariable, untilGone } from '../support/conformance-leftovers.ts';
import { type ExecutorChild, spawnExecutor, webSocketTarget } from '../support/conformance-targets.ts';

const { mark } = webSocketTarget();
const initialize = '{"id":1,"method":"initialize","params":{"clientName":"http"}}';

let executor: ExecutorChild;
let url: URL;

beforeAll(async () => {
  executor = spawnExecutor(['--listen', 'ws://127.0.0.1:0'], mark);
  url = new URL(await executor.firstLine());
});

afterAll(async () => {
  executor.process.kill('SIGTERM');
  await executor.expectExit();
  await expectNothingLeft(mark);
});

interface Response {
  readonly status: number | undefined;
  readonly allow: string | undefined;
  readonly body: string;
}

async function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
  const sent = request({ host: url.hostname, port: url.port, method, path, headers, agent: false });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk as string;
  return { status: response.statusCode, allow: response.headers.allow, body };
}

/** An upgrade by hand, and all that comes back until the head has ended. */
async function upgrade(
  path: string,
  headers: readonly string[] = [],
  version = 13,
  target: URL = url,
): Promise<string> {
  const socket = await tcp(target);
  const head = [
    `GET ${path} HTTP/1.1`,
    `Host: ${url.host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Version: ${version}`,
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1');
    if (text.includes('\r\n\r\n')) break;
  }
  socket.destroy();
  return text;
}

async function tcp(target: URL = url): Promise<Socket> {
  const socket = connect(Number(target.port), target.hostname);
  await once(socket, 'connect');
  return socket;
}

async function open(path = '/', target: URL = url): Promise<WebSocket> {
  const webSocket = new WebSocket(new URL(path, target), { perMessageDeflate: false });
  webSocket.on('error', () => {});
  await once(webSocket, 'open');
  return webSocket;
}

async function message(webSocket: WebSocket): Promise<Record<string, unknown>> {
  const [data, isBinary] = (await once(webSocket, 'message')) as [Buffer, boolean];
  expect(isBinary).toBe(false);
  return JSON.parse(data.toString()) as Record<string, unknown>;
}

async function closed(webSocket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(webSocket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}

/** An executor of the test alone, which ends at SIGTERM as it should, whatever it was asked. */
async function withOwnExecutor(work: (url: URL) => Promise<void>): Promise<void> {
  const own = spawnExecutor(['--listen', 'ws://127.0.0.1:0'], mark);
  try {
    await work(new URL(await own.firstLine()));
  } finally {
    own.process.kill('SIGTERM');
  }
  await own.expectExit();
}

describe('over HTTP the listener', () => {
  test.each(['/readyz', '/livez'])('answers GET and HEAD of %s with 200 and nothing else', async (path) => {
    expect(await ask('GET', path)).toMatchObject({ status: 200, body: '' });
    expect(await ask('HEAD', path)).toMatchObject({ status: 200, body: '' });
  });

  test.each(['/readyz', '/livez', '/'])(
    'answers other methods of %s with 405 and the ones allowed',
    async (path) => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
        expect(await ask(method, path), method).toMatchObject({ status: 405, allow: 'GET,HEAD' });
    },
  );

  test('answers a GET of / that is no upgrade with 400', async () => {
    expect(await ask('GET', '/')).toMatchObject({ status: 400 });
  });

  test('answers other paths with 404', async () => {
    for (const path of ['/healthz', '/metrics', '/status', '/x', '/readyz/', '/readyz/x'])
      for (const method of ['GET', 'POST'])
        expect(await ask(method, path), path).toMatchObject({ status: 404 });
  });

  test('refuses whatever names an origin with 403 and no text', async () => {
    for (const origin of ['http://localhost', 'null', '', url.origin])
      for (const [method, path] of [
        ['GET', '/'],
        ['GET', '/readyz'],
        ['POST', '/readyz'],
        ['GET', '/nothing'],
      ] as const)
        expect(await ask(method, path, { origin }), `${method} ${path} ${origin}`).toMatchObject({
          status: 403,
          body: '',
        });
  });

  test('refuses an upgrade that names an origin with 403', async () => {
    await withOwnExecutor(async (own) => {
      for (const origin of ['https://example.com', 'null', ''])
        for (const path of ['/', '/other'])
          expect(await upgrade(path, [`Origin: ${origin}`], 13, own)).toMatch(/^HTTP\/1\.1 403 /);
    });
  });

  test('upgrades / with any query, and no other path', async () => {
    expect(await upgrade('/')).toMatch(/^HTTP\/1\.1 101 /);
    expect(await upgrade('/?token=x&y')).toMatch(/^HTTP\/1\.1 101 /);
    expect(await upgrade('/other')).toMatch(/^HTTP\/1\.1 404 /);
  });

  test.each(['/readyz', '/livez'])('does not upgrade %s', async (path) => {
    await withOwnExecutor(async (own) => {
      expect(await upgrade(path, [], 13, own)).not.toMatch(/^HTTP\/1\.1 101 /);
    });
  });

  test('refuses another version of WebSocket with 400', async () => {
    expect(await upgrade('/', [], 99)).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test('negotiates no compression and no sub-protocol', async () => {
    const head = await upgrade('/', [
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      'Sec-WebSocket-Protocol: one, two',
    ]);
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head.toLowerCase()).not.toContain('sec-websocket-extensions');
    expect(head.toLowerCase()).not.toContain('sec-websocket-protocol');
  });

  test('goes on after what is no HTTP', async () => {
    const socket = await tcp();
    socket.on('error', () => {});
    socket.end('\x16\x03\x01 this is no HTTP\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    expect(await ask('GET', '/readyz')).toMatchObject({ status: 200 });
  });
});

describe('over a WebSocket the executor', () => {
  test('takes binary frames, and answers with text', async () => {
    const webSocket = await open();
    webSocket.send(Buffer.from(initialize), { binary: true });
    expect(await message(webSocket)).toMatchObject({ id: 1, result: { sessionId: expect.any(String) } });
    webSocket.close();
  });

  test('takes a message in several frames', async () => {
    const webSocket = await open();
    webSocket.send(initialize.slice(0, 10), { fin: false });
    webSocket.send(initialize.slice(10, 20), { fin: false });
    webSocket.send(initialize.slice(20), { fin: true });
    expect(await message(webSocket)).toMatchObject({ id: 1 });
    webSocket.close();
  });

  test('answers a binary frame that is no UTF-8 with id -1, and goes on', async () => {
    const webSocket = await open();
    webSocket.send(Buffer.from([0x7b, 0xff, 0xfe]), { binary: true });
    expect(await message(webSocket)).toMatchObject({ id: -1, error: { code: -32600 } });
    webSocket.send(initialize);
    expect(await message(webSocket)).toMatchObject({ id: 1 });
    webSocket.close();
  });

  test('closes a connection whose text frame is no UTF-8 with 1007', async () => {
    const webSocket = await open();
    const end = closed(webSocket);
    // A masked text frame with one byte, 0xff.
    (webSocket as unknown as { _socket: Socket })._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]));
    expect((await end).code).toBe(1007);
  });

  test('takes a message of 64 MiB, and closes with 1009 for one byte more', async () => {
    const webSocket = await open();
    const frame = Buffer.alloc(64 * 1024 * 1024 + 1, ' ');
    frame.write(initialize);
    webSocket.send(frame.subarray(0, -1), { binary: true });
    expect(await message(webSocket)).toMatchObject({ id: 1 });
    webSocket.send(frame, { binary: true });
    expect((await closed(webSocket)).code).toBe(1009);
    expect(await ask('GET', '/readyz')).toMatchObject({ status: 200 });
  });

  test('answers a ping with its bytes', async () => {
    const webSocket = await open();
    webSocket.ping('payload');
    const [data] = (await once(webSocket, 'pong')) as [Buffer];
    expect(data.toString()).toBe('payload');
    webSocket.close();
  });

  test('answers a Close frame with a Close frame', async () => {
    const webSocket = await open();
    webSocket.close(1000, 'done');
    expect((await closed(webSocket)).code).toBe(1000);
  });

  test('closes for a violation of the protocol with 1002 and the reason', async () => {
    const webSocket = await open();
    webSocket.send('{"method":"initialized"}');
    expect(await closed(webSocket)).toEqual({
      code: 1002,
      reason: 'initialized came before a successful initialize',
    });
  });

  test('closes for a stray answer with 1002 and the reason', async () => {
    const webSocket = await open();
    webSocket.send('{"id":7,"result":{}}');
    const { code, reason } = await closed(webSocket);
    expect(code).toBe(1002);
    expect(reason).toMatch(/answer/);
  });

  test('lives through a client that is cut off in the middle of a frame', async () => {
    const webSocket = await open();
    const socket = (webSocket as unknown as { _socket: Socket })._socket;
    socket.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0, 0x7b]));
    socket.destroy();
    expect(await ask('GET', '/readyz')).toMatchObject({ status: 200 });
  });
});

describe('as a process the listener', () => {
  test('listens on IPv6 and says so', async () => {
    const own = spawnExecutor(['--listen', 'ws://[::1]:0'], mark);
    try {
      const line = await own.firstLine();
      expect(line).toMatch(/^ws:\/\/\[::1\]:\d+$/);
      const webSocket = await open('/', new URL(line));
      webSocket.send(initialize);
      expect(await message(webSocket)).toMatchObject({ id: 1 });
      webSocket.terminate();
    } finally {
      own.process.kill('SIGTERM');
      await own.expectExit();
    }
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'ends at %s: clients are told, processes are gone, its status is 0',
    async (signal) => {
      const own = spawnExecutor(['--listen', 'ws://127.0.0.1:0'], mark);
      const line = await own.firstLine();
      const webSocket = await open('/', new URL(line));
      webSocket.send(initialize);
      await message(webSocket);
      webSocket.send('{"method":"initialized"}');
      const start = {
        processId: 'p',
        argv: ['/bin/sh', '-c', 'sleep 600 & echo $! $$; wait'],
        cwd: 'file:///',
        env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', [markVariable]: mark },
        tty: false,
      };
      const output = new Promise<string>((resolve) => {
        webSocket.on('message', (data: Buffer) => {
          const { method, params } = JSON.parse(data.toString()) as {
            method?: string;
            params: { chunk: string };
          };
          if (method === 'process/output') resolve(Buffer.from(params.chunk, 'base64').toString());
        });
      });
      webSocket.send(JSON.stringify({ id: 2, method: 'process/start', params: start }));
      const pids = (await output).trim().split(' ').map(Number);
      expect(await Promise.all(pids.map(isRunning))).toEqual([true, true]);
      const end = closed(webSocket);
      own.process.kill(signal);
      expect((await end).code).toBe(1001);
      await own.expectExit();
      await Promise.all(pids.map(untilGone));
      expect(own.output()).toBe(`${line}\n`);
    },
  );

  test('does not mind that its standard input ends', async () => {
    const own = spawnExecutor(['--listen', 'ws://127.0.0.1:0'], mark);
    const line = await own.firstLine();
    own.stdin.end();
    const webSocket = await open('/', new URL(line));
    webSocket.send(initialize);
    expect(await message(webSocket)).toMatchObject({ id: 1 });
    own.process.kill('SIGTERM');
    await own.expectExit();
  });
});
