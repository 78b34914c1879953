import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { limits } from '../../src/protocol/limits.ts';
import { ask } from '../support/access-tokens.ts';
import { eventually, expectNothingLeft } from '../support/conformance-leftovers.ts';
import { startListener } from '../support/wire-listener.ts';

const mark = randomUUID();
const initialize = '{"id":1,"method":"initialize","params":{"clientName":"liveness"}}';
const initialized = '{"method":"initialized"}';

afterAll(() => expectNothingLeft(mark));

/** A client that answers pings or not, and a promise of its end. */
async function open(url: string, autoPong: boolean): Promise<WebSocket> {
  const webSocket = new WebSocket(url, { perMessageDeflate: false, autoPong, maxPayload: 0 });
  webSocket.on('error', () => {});
  await once(webSocket, 'open');
  return webSocket;
}

async function closed(webSocket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(webSocket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}

async function result(webSocket: WebSocket): Promise<Record<string, unknown>> {
  const [data] = (await once(webSocket, 'message')) as [Buffer];
  return (JSON.parse(data.toString()) as { result: Record<string, unknown> }).result;
}

async function pings(webSocket: WebSocket, count: number): Promise<void> {
  for (let ping = 0; ping < count; ping++) await once(webSocket, 'ping');
}

describe('a peer', () => {
  test('that shows no sign of life is given up, and its session is free', async () => {
    await using listener = await startListener(mark, '--limit', 'pingIntervalMs=1000');
    const silent = await open(listener.url, false);
    silent.send(initialize);
    const { sessionId } = await result(silent);
    silent.send(initialized);
    expect(await closed(silent)).toEqual({ code: 1001, reason: 'no sign of life for 2000 ms' });
    const next = await listener.connect();
    await next.handshake(sessionId as string);
  });

  test('that answers pings stays, and so does one that only sends', async () => {
    await using listener = await startListener(mark, '--limit', 'pingIntervalMs=500');
    const answering = await open(listener.url, true);
    const sending = await open(listener.url, false);
    for (const webSocket of [answering, sending]) {
      webSocket.send(initialize);
      await result(webSocket);
      webSocket.send(initialized);
    }
    sending.on('ping', () => sending.send('{"id":2,"method":"environment/status"}'));
    await Promise.all([pings(answering, 10), pings(sending, 10)]);
    expect([answering.readyState, sending.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
    answering.terminate();
    sending.terminate();
  });

  test('that reads slowly, with pings that it has not seen yet, stays', async () => {
    await using listener = await startListener(mark, '--limit', 'pingIntervalMs=1000');
    const slow = await open(listener.url, false);
    slow.send(initialize);
    await result(slow);
    slow.send(initialized);
    const argv = ['/bin/sh', '-c', 'head -c 48000000 /dev/zero'];
    const params = { processId: 'flood', argv, cwd: '/', env: {}, tty: false };
    slow.send(JSON.stringify({ id: 2, method: 'process/start', params }));
    const begin = performance.now();
    let bytes = 0;
    const done = Promise.withResolvers<void>();
    slow.on('message', (data: Buffer) => {
      bytes += data.length;
      if (data.includes('process/closed')) done.resolve();
      // The pace of the reader: less than a MiB in an interval.
      slow.pause();
      setTimeout(() => slow.resume(), 12);
    });
    const end = closed(slow).then(({ code, reason }) => {
      throw new Error(`closed with ${code} ${reason} after ${bytes} bytes`);
    });
    await Promise.race([done.promise, end]);
    end.catch(() => {});
    // Long enough to be given up several times over.
    expect(performance.now() - begin).toBeGreaterThan(3 * 1000 * limits.silentPings);
    slow.terminate();
  });
});

test('a peer that takes nothing of a flood is given up, and loses nothing of it', async () => {
  await using listener = await startListener(mark, '--limit', 'pingIntervalMs=1500');
  const deaf = await open(listener.url, true);
  deaf.send(initialize);
  const { sessionId } = await result(deaf);
  deaf.send(initialized);
  const argv = ['/bin/sh', '-c', 'head -c 24000000 /dev/zero'];
  const params = { processId: 'flood', argv, cwd: '/', env: {}, tty: false };
  deaf.send(JSON.stringify({ id: 2, method: 'process/start', params }));
  await once(deaf, 'message');
  deaf.pause();
  const next = await listener.connect();
  await eventually('the session to be free', async () => {
    const resume = { clientName: 'next', resumeSessionId: sessionId };
    return (await next.request('initialize', resume)).error === undefined ? true : undefined;
  });
  next.notify('initialized');
  let bytes = 0;
  let read = await next.call('process/read', { processId: 'flood', afterSeq: 0, waitMs: 30_000 });
  for (;;) {
    for (const { chunk } of read.chunks) bytes += chunk.length;
    if (read.closed) break;
    const afterSeq = read.nextSeq - 1;
    read = await next.call('process/read', { processId: 'flood', afterSeq, waitMs: 30_000 });
  }
  expect(bytes).toBe(24_000_000);
  deaf.terminate();
});

describe('the handshake', () => {
  test.each([
    ['nothing was said', []],
    ['only initialize was called', [initialize]],
  ])('is waited for so long: %s', async (_, messages) => {
    await using listener = await startListener(mark, '--limit', 'handshakeMs=300');
    const webSocket = await open(listener.url, true);
    for (const message of messages) webSocket.send(message);
    expect(await closed(webSocket)).toEqual({
      code: 1008,
      reason:
        'no initialize and initialized within 300 ms (--limit handshakeMs=N of the executor changes that)',
    });
  });

  test('is waited for so long on a connection that says nothing at all', async () => {
    await using listener = await startListener(mark, '--limit', 'handshakeMs=300');
    const { hostname, port } = new URL(listener.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.resume();
    await once(socket, 'close');
    expect(await ask(listener.url, { path: '/readyz', upgrade: false })).toMatchObject({ status: 200 });
  });

  test('that is done has no end', async () => {
    await using listener = await startListener(
      mark,
      '--limit',
      'handshakeMs=1500',
      '--limit',
      'pingIntervalMs=500',
    );
    const webSocket = await open(listener.url, true);
    webSocket.send(initialize);
    await result(webSocket);
    webSocket.send(initialized);
    await pings(webSocket, 5);
    expect(webSocket.readyState).toBe(WebSocket.OPEN);
    webSocket.terminate();
  });
});

describe('an event loop that stalls', () => {
  test('is not ready for a while, and says how late it was', async () => {
    await using listener = await startListener(mark, '--limit', 'stallMs=400');
    const client = await listener.open();
    const ready = async (): Promise<unknown> => ask(listener.url, { path: '/readyz', upgrade: false });
    await eventually('a calm start', async () =>
      ((await ready()) as { status: number }).status === 200 ? true : undefined,
    );
    const { process: child } = listener.executor;
    // The first sample of a fresh executor has none before it to be late against, so that a stall around it is not seen.
    const answer = await eventually('a stall', async () => {
      child.kill('SIGSTOP');
      await new Promise((resolve) => void setTimeout(resolve, 800));
      child.kill('SIGCONT');
      const seen = (await ready()) as { status: number };
      return seen.status === 503 ? seen : undefined;
    });
    expect(answer).toMatchObject({ status: 503, body: 'stalled' });
    const { eventLoop } = await client.call('environment/metrics');
    expect(eventLoop).toMatchObject({ stalled: true });
    expect(eventLoop.longestLagMs).toBeGreaterThan(400);
    expect(await ask(listener.url, { path: '/livez', upgrade: false })).toMatchObject({ status: 200 });
    await eventually('readiness', async () =>
      ((await ready()) as { status: number }).status === 200 ? true : undefined,
    );
    await client[Symbol.asyncDispose]();
  });
});
