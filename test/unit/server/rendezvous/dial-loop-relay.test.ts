import { randomUUID } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type ConnectOptions, ExecClient } from '../../../../src/client/exec-client.ts';
import { decodeFrame, encodeFrame } from '../../../../src/relay/frame.ts';
import { openRelayStream } from '../../../../src/relay/open-stream.ts';
import { DialledExecutor } from '../../../support/rendezvous-executor.ts';
import { type OpenedSocket, RecordedRegistry, replies } from '../../../support/rendezvous-registry.ts';

let registry: RecordedRegistry;

beforeEach(async () => {
  registry = await RecordedRegistry.start();
  registry.replies(replies(200, { environment_id: 'env-1', url: registry.socketUrl() }));
});

afterEach(() => registry[Symbol.asyncDispose]());

/** A client whose relay stream goes over the sockets of the executor, without a service between them. */
async function clientOverFrames(
  onSocket: (socket: OpenedSocket) => void = () => {},
  options: ConnectOptions = {},
): Promise<ExecClient> {
  const dial = async () => {
    const socket = await registry.socket();
    onSocket(socket);
    return socket.frames();
  };
  return ExecClient.connect(
    { dial: (signal) => openRelayStream({ dial, reconnectMs: 10_000 }, signal) },
    options,
  );
}

describe('a socket for relay frames', () => {
  it('serves a session, and stays when that has ended', async () => {
    await using executor = new DialledExecutor(registry);
    let socket: OpenedSocket | undefined;
    const client = await clientOverFrames((opened) => (socket = opened));
    const process = await client.start({ argv: ['sh', '-c', 'exit 7'], cwd: '/' });
    expect((await process.exited).exitCode).toBe(7);
    await client.close();
    expect(socket?.webSocket.readyState).not.toBe(socket?.webSocket.CONNECTING);
    expect(registry.requests).toHaveLength(1);
    expect(executor.warnings()).toEqual([]);
  });

  it('serves plain peers with a session for each stream, as releases of 2026 have it', async () => {
    await using executor = new DialledExecutor(registry);
    const frames = (await registry.socket()).frames();
    const answers = new Map<string, unknown>();
    const both = new Promise<void>((resolve) => {
      frames.attach({
        onFrame: (bytes) => {
          const frame = decodeFrame(bytes);
          if (typeof frame === 'string' || frame.body.kind !== 'data') return;
          answers.set(frame.streamId, JSON.parse(Buffer.from(frame.body.payload).toString()));
          if (answers.size === 2) resolve();
        },
        onText: () => {},
        onDrain: () => {},
        onClose: () => {},
      });
    });
    const streams = [randomUUID(), randomUUID()];
    for (const streamId of streams) {
      const send = (body: Parameters<typeof encodeFrame>[0]['body']): void =>
        frames.send(encodeFrame({ streamId, reliable: false, ack: 0, ackBits: 0, body }));
      const payload = Buffer.from('{"id":1,"method":"initialize","params":{"clientName":"x"}}');
      send({ kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: 0 });
      send({ kind: 'data', seq: 0, segmentIndex: 0, segmentCount: 1, payload });
    }
    await both;
    expect([...answers.keys()].toSorted()).toEqual(streams.toSorted());
    expect(executor.server.load.sessions).toBe(2);
    frames.close({ kind: 'normal', message: 'done' });
  });

  it('when it is lost leaves its streams, which carry on over the next one', async () => {
    await using executor = new DialledExecutor(registry, { waits: { firstMs: 16, mostMs: 4096 } });
    let sockets = 0;
    await using client = await clientOverFrames(() => (sockets += 1));
    const process = await client.start({
      argv: ['sh', '-c', 'for i in 1 2 3 4 5; do echo $i; read x; done'],
      cwd: '/',
      pipeStdin: true,
    });
    let output = '';
    for await (const text of process.stdout.text()) {
      output += text;
      registry.cut();
      await process.write('x\n');
    }
    expect(output).toBe('1\n2\n3\n4\n5\n');
    expect(sockets).toBeGreaterThan(4);
    const connections = executor.log.filter(({ message }) => message === 'connection opened').length;
    // One stream all the time: its session has noticed nothing.
    expect(connections).toBe(1);
    expect(registry.requests.length).toBeGreaterThan(4);
    // However often: its client waits for it.
    const waits = executor.log.flatMap(({ nextMs }) => nextMs ?? []);
    expect(Math.max(...waits)).toBeLessThanOrEqual(16);
  });

  it('is pinged, and given up when the service is silent', async () => {
    await using executor = new DialledExecutor(registry, { limits: { pingIntervalMs: 20 } });
    await registry.socket();
    await registry.socket();
    expect(executor.warnings()[0]).toMatch(/^no sign of life for \d+ ms$/);
  });

  it('ends with the executor, whose client is told why', async () => {
    const executor = new DialledExecutor(registry);
    const client = await clientOverFrames(undefined, { reconnectMs: 0 });
    const process = await client.start({ argv: ['sleep', '60'], cwd: '/' });
    await executor.server.close(1000);
    expect((await process.exited).signal).toBe('SIGTERM');
    expect(await client.closed).toMatchObject({ kind: 'goingAway' });
    await executor[Symbol.asyncDispose]();
    expect(await executor.ended).toBe('stopped');
    expect(registry.requests).toHaveLength(1);
  });

  it('that is lost does not hold up the end of the executor', async () => {
    const executor = new DialledExecutor(registry);
    const client = await clientOverFrames(undefined, { reconnectMs: 0 });
    await client.start({ argv: ['sleep', '60'], cwd: '/' });
    registry.replies(replies(503));
    registry.cut();
    await registry.until('a registration', () => registry.requests.length > 1);
    const begin = performance.now();
    await executor.server.close(10_000);
    await executor[Symbol.asyncDispose]();
    expect(performance.now() - begin).toBeLessThan(3_000);
    expect(await executor.ended).toBe('stopped');
  });

  it('is left by its streams when the service answers with plain sockets', async () => {
    await using executor = new DialledExecutor(registry);
    const relayed = await clientOverFrames();
    registry.replies(
      replies(200, { environment_id: 'env-1', url: registry.socketUrl(), transport: 'direct_jsonrpc_v1' }),
    );
    registry.cut();
    await using client = await ExecClient.connect({
      dial: async () => (await registry.socket()).transport(),
    });
    const process = await client.start({ argv: ['true'], cwd: '/' });
    expect((await process.exited).exitCode).toBe(0);
    expect(executor.server.load.sessions).toBe(2);
    await relayed.close();
  });
});
