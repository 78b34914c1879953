import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import {
  CompletionUnknownError,
  type ConnectOptions,
  type ConnectionEvent,
  ExecClient,
  type OutputView,
  type ProcessAttachments,
} from '../../src/client/exec-client.ts';
import { dialWebSocket } from '../../src/client/dial.ts';
import { ConnectionError } from '../../src/rpc/connection-error.ts';
import { type GaugedExecutor, startGaugedExecutor, untilIdle } from '../support/chaos-executor.ts';
import { type ChaosProxy, startChaosProxy } from '../support/chaos-proxy.ts';
import { WireClient } from '../support/conformance-wire.ts';
import { until, within } from '../support/faults-proc.ts';

const pingIntervalMs = 100;
const detachedSessionMs = 1_500;
const soonMs = 15_000;

let executor: GaugedExecutor;
let folder = '';
let told: ConnectionEvent[] = [];

beforeAll(async () => {
  executor = await startGaugedExecutor({ detachedSessionMs, closedRetentionMs: 1_500 });
  folder = await mkdtemp(path.join(tmpdir(), 'exec-reconnect-'));
});

afterAll(async () => {
  await untilIdle(executor, soonMs);
  await executor[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  told = [];
});

async function connect(proxy: ChaosProxy, options: ConnectOptions = {}): Promise<ExecClient> {
  const onConnection = (event: ConnectionEvent): void => void told.push(event);
  return ExecClient.connect(
    { url: proxy.url },
    { pingIntervalMs, connectTimeoutMs: 1_000, onConnection, ...options },
  );
}

const cat = { argv: ['/bin/cat'], cwd: '/', pipeStdin: true };
const kinds = (): string[] => told.map(({ kind }) => kind);

async function reads(view: OutputView, wanted: string): Promise<void> {
  let text = '';
  for await (const piece of view.text()) {
    text += piece;
    if (text.includes(wanted)) return;
  }
  throw new Error(`The output ended with ${JSON.stringify(text)}.`);
}

/** Holds when so many milliseconds have passed. */
function ageOver(milliseconds: number): () => boolean {
  const begin = performance.now();
  return () => performance.now() - begin > milliseconds;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return within(
    soonMs,
    'a failure',
    promise.then(
      (value) => new Error(`It succeeded with ${JSON.stringify(value)}.`),
      (error: unknown) => error,
    ),
  );
}

describe('a client whose connection is lost', () => {
  test('goes on where it was, and tells of it once', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const child = await client.start(cat);
    await child.write('one\n');
    await reads(child.stdout, 'one\n');
    proxy.strike({ kind: 'reset' });
    await child.write('two\n');
    await child.closeStdin();
    expect((await child.stdout.collect()).toString()).toBe('one\ntwo\n');
    expect((await child.closed).complete).toBe(true);
    expect(kinds()).toEqual(['disconnected', 'reconnected']);
    expect(told[1]).toMatchObject({ attempts: 1 });
  });

  test('notices a connection that is dead without a word, and takes its session back', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const child = await client.start(cat);
    const begin = performance.now();
    proxy.strike({ kind: 'halfOpen' });
    await child.write('one\n');
    await child.closeStdin();
    expect((await child.stdout.collect()).toString()).toBe('one\n');
    expect(performance.now() - begin).toBeGreaterThan(2 * pingIntervalMs - 20);
    expect(told[0]).toMatchObject({ kind: 'disconnected', reason: { kind: 'lost', message: /silent/ } });
  });

  test('makes one connection for all who wait', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    proxy.strike({ kind: 'abandon' });
    const waiting = Array.from({ length: 50 }, async () => client.call('environment/status', undefined));
    expect(new Set((await Promise.all(waiting)).map(({ status }) => status))).toEqual(new Set(['ready']));
    expect(proxy.connections).toBe(2);
  });

  test('says of a call that changes something that its completion is unknown, and repeats what changes nothing', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const file = path.join(folder, 'unknown');
    await writeFile(file, 'before');
    const child = await client.start(cat);
    proxy.strike({ kind: 'halfOpen' });
    const [write, signal, read, watch] = await Promise.all([
      failure(client.files.writeFile(file, 'after')),
      failure(child.signal('INT')),
      client.files.readFile(file),
      failure(client.call('fs/watch', { watchId: 'w', path: folder })),
    ]);
    expect(write).toBeInstanceOf(CompletionUnknownError);
    expect(write).toMatchObject({ method: 'fs/writeFile', reason: 'closed' });
    expect(signal).toMatchObject({ name: 'CompletionUnknownError', method: 'process/signal' });
    expect(Buffer.from(read).toString()).toBe('before');
    // It belonged to the connection: it is gone, and nothing is unknown.
    expect(watch).toMatchObject({ name: 'ConnectionError', reason: 'closed' });
    expect(await readFile(file, 'utf8')).toBe('before');
    await child.terminate();
  });

  test('gives each call its time, connection or not', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy, { callTimeoutMs: 400 });
    const file = path.join(folder, 'late');
    proxy.shut(true);
    proxy.strike({ kind: 'drop' });
    const begin = performance.now();
    const [safe, never] = await Promise.all([
      failure(client.call('environment/status', undefined)),
      failure(client.files.writeFile(file, 'x')),
    ]);
    expect(performance.now() - begin).toBeLessThan(5_000);
    for (const error of [safe, never]) expect(error).toBeInstanceOf(ConnectionError);
    expect(safe).toMatchObject({ name: 'ConnectionError', reason: 'timeout' });
    proxy.shut(false);
  });

  test('ends every wait with the reason when the session does not come back', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy, { reconnectMs: 600 });
    const child = await client.start(cat);
    await child.write('ready\n');
    await reads(child.stdout, 'ready\n');
    const upload = client.files.writeStream(path.join(folder, 'stream')).getWriter();
    await upload.write(Buffer.from('x'));
    proxy.shut(true);
    proxy.strike({ kind: 'reset' });
    await until(
      soonMs,
      () => told.length > 0,
      () => 'the connection is not lost',
    );
    const waiting = [
      child.exited,
      child.closed,
      child.stdout.collect(),
      client.call('environment/status', undefined),
    ];
    const [stream, ...others] = await Promise.all([upload.close(), ...waiting].map(failure));
    expect(stream).toBeInstanceOf(ConnectionError);
    for (const error of others) expect(error).toMatchObject({ name: 'ConnectionError', reason: 'lost' });
    expect((await client.closed).kind).toBe('lost');
    expect(kinds()).toEqual(['disconnected', 'lost']);
    expect(await failure(child.write('x'))).toMatchObject({ reason: 'lost' });
    expect(await failure(client.start(cat))).toMatchObject({ reason: 'lost' });
  });

  test('is told when its session has expired', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const child = await client.start(cat);
    proxy.shut(true);
    proxy.strike({ kind: 'reset' });
    const idle = await untilIdle(executor, soonMs);
    expect(idle.sessions).toBe(0);
    proxy.shut(false);
    expect(await failure(child.exited)).toMatchObject({ reason: 'expired' });
    expect(await failure(client.call('process/list', {}))).toMatchObject({ reason: 'expired' });
    expect(kinds()).toEqual(['disconnected', 'lost']);
  });

  test('gets the end of a process that closed meanwhile, however short its retention is', async () => {
    await using patient = await startGaugedExecutor({ detachedSessionMs: 60_000, closedRetentionMs: 100 });
    await using proxy = await startChaosProxy(patient.url);
    await using client = await connect(proxy);
    const waiting = ['/bin/sh', '-c', 'until [ -e gate ]; do sleep 0.05; done'];
    const [short, long] = [await client.start({ argv: waiting, cwd: folder }), await client.start(cat)];
    proxy.shut(true);
    proxy.strike({ kind: 'reset' });
    await until(
      soonMs,
      () => told.length > 0,
      () => 'the connection is not lost',
    );
    await writeFile(path.join(folder, 'gate'), '');
    for (let processes = 2; processes > 1;) ({ processes } = await patient.gauges());
    // Its whole retention passes, and more.
    await until(soonMs, ageOver(300), () => 'time stands still');
    expect((await patient.gauges()).closedProcesses).toBe(1);
    proxy.shut(false);
    expect(await short.exited).toMatchObject({ exitCode: 0 });
    expect((await short.closed).complete).toBe(true);
    await long.write('on\n');
    await reads(long.stdout, 'on\n');
    await long.terminate();
  });

  test('does not fight with another one that has resumed its session', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const child = await client.start(cat);
    const transport = await dialWebSocket(executor.url, {}, AbortSignal.timeout(soonMs));
    await using other = new WireClient(transport, { cwd: '/', env: {} });
    const { sessionId: resumeSessionId, sessionSecret: secret } = client;
    await other.call('initialize', { clientName: 'other', resumeSessionId, resume: { secret } });
    expect(await failure(child.exited)).toMatchObject({ reason: 'displaced' });
    expect(kinds()).toEqual(['lost']);
    expect(proxy.connections).toBe(1);
    other.notify('initialized');
    await other.call('process/terminate', { processId: child.id });
  });

  test('stops coming back when it is closed', async () => {
    await using proxy = await startChaosProxy(executor.url);
    const client = await connect(proxy);
    const child = await client.start(cat);
    proxy.shut(true);
    proxy.strike({ kind: 'reset' });
    await until(
      soonMs,
      () => told.length > 0,
      () => 'the connection is not lost',
    );
    const waiting = failure(client.call('environment/status', undefined));
    await within(1_000, 'the end of the client', client.close());
    expect((await client.closed).kind).toBe('normal');
    expect(await waiting).toMatchObject({ reason: 'closed' });
    expect(await failure(child.closed)).toMatchObject({ reason: 'closed' });
    expect(kinds()).toEqual(['disconnected']);
  });
});

describe('a client of another session', () => {
  test('sees a process with the key for its role, also after a loss, and is told of hand-overs', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using home = await ExecClient.connect({ url: executor.url });
    await using guest = await connect(proxy);
    const child = await home.start(cat);
    const options = { sessionId: home.sessionId, processId: child.id };
    const seen = await guest.attach({ ...options, role: 'viewer', key: child.attachKey('viewer') });
    await child.write('one\n');
    await reads(seen.stdout, 'one\n');
    expect(await failure(seen.write('no'))).toMatchObject({ name: 'RpcError', code: -32600 });
    proxy.strike({ kind: 'drop' });
    await child.write('two\n');
    await reads(seen.stdout, 'two\n');
    expect(kinds()).toEqual(['disconnected', 'reconnected']);

    const handedOver = Promise.withResolvers<ProcessAttachments>();
    child.onAttachments = (change) => change.cause === 'handedOver' && handedOver.resolve(change);
    await seen.takeRole('owner', child.attachKey('owner'));
    const { attachments, attachmentId } = await within(soonMs, 'the hand-over', handedOver.promise);
    expect(attachments.find(({ attachmentId: id }) => id === attachmentId)).toMatchObject({ role: 'writer' });
    proxy.strike({ kind: 'drop' });
    await seen.write('three\n');
    await child.takeRole('owner');
    expect(await failure(seen.terminate())).toMatchObject({ name: 'RpcError', code: -32600 });
    await child.closeStdin();
    for (const one of [child, seen]) {
      expect((await one.stdout.collect()).toString()).toBe('one\ntwo\nthree\n');
      expect((await one.closed).complete).toBe(true);
    }
    expect(() => seen.attachKey('viewer')).toThrow(ConnectionError);
  });

  test('is refused with a key for something else', async () => {
    await using home = await ExecClient.connect({ url: executor.url });
    await using guest = await ExecClient.connect({ url: executor.url });
    const child = await home.start(cat);
    const wrong = {
      sessionId: home.sessionId,
      processId: child.id,
      role: 'owner',
      key: child.attachKey('writer'),
    } as const;
    expect(await failure(guest.attach(wrong))).toMatchObject({ name: 'RpcError', code: -32004 });
    await child.terminate();
  });
});
