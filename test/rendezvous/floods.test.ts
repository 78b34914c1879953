import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';

import { beforeDeadline } from '../support/cli-program.ts';
import {
  Peer,
  ask,
  codeOf,
  connectUrl,
  dial,
  executor,
  executorUrl,
  open,
  orchestrator,
} from '../support/rendezvous-peers.ts';
import { type Service, startService, tokens } from '../support/rendezvous-tenants.ts';

const MiB = 1024 * 1024;

async function register(service: Service, id: string, token: string): Promise<[number, unknown]> {
  const answer = await ask(service.url, `/cloud/environment/${id}/register`, { token });
  return [answer.status, codeOf(answer)];
}

/** Each orchestrator opens a stream of its name, and the executor hears of it. */
async function openStreams(box: Peer, orchestrators: Readonly<Record<string, Peer>>): Promise<void> {
  for (const [name, peer] of Object.entries(orchestrators)) {
    peer.openStream(name);
    await box.frame();
  }
}

/** Bytes of memory of the service. */
async function memoryOf({ child }: Service): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

describe('registrations', () => {
  test('a principal has so many environments, and a tenant, and others have theirs', async () => {
    await using service = await startService({ limits: ['principalEnvironments=3', 'tenantEnvironments=4'] });
    for (const id of ['a', 'b', 'c'])
      expect(await register(service, id, tokens.executor)).toStrictEqual([200, undefined]);
    expect(await register(service, 'd', tokens.executor)).toStrictEqual([429, 'limit_reached']);
    expect(await register(service, 'a', tokens.executor)).toStrictEqual([200, undefined]);
    expect(await register(service, 'e', tokens.otherExecutor)).toStrictEqual([200, undefined]);
    expect(await register(service, 'f', tokens.otherExecutor)).toStrictEqual([429, 'limit_reached']);
    expect(await register(service, 'a', tokens.foreignExecutor)).toStrictEqual([200, undefined]);
  });

  test('many for one environment are slowed down, and those for others are not', async () => {
    await using service = await startService({ limits: ['environmentBurst=20'] });
    const flood = await Promise.all(
      Array.from({ length: 200 }, async () => register(service, 'a', tokens.executor)),
    );
    const refused = flood.filter(([status]) => status === 429);
    expect(refused.length).toBeGreaterThan(100);
    expect(flood.filter(([status]) => status === 200).length).toBeGreaterThanOrEqual(20);
    expect(await register(service, 'b', tokens.executor)).toStrictEqual([200, undefined]);
  });

  test('thousands of guessed tokens are slowed down, hold up nobody, and fill no log', async () => {
    await using service = await startService({ limits: ['refusalBurst=50', 'refusalRate=1'] });
    const guesses = Array.from({ length: 2000 }, async (_, n) =>
      register(service, 'a', `guess-${n}-that-is-no-token`),
    );
    const statuses = (await Promise.all(guesses)).map(([status]) => status);
    expect(new Set(statuses)).toStrictEqual(new Set([401, 429]));
    expect(statuses.filter((status) => status === 401).length).toBeLessThan(150);
    expect(await register(service, 'a', tokens.executor)).toStrictEqual([200, undefined]);
    const log = service.child.stderr.bytes().toString();
    expect(log.split('\n').length).toBeLessThan(60);
    expect(log).not.toContain('guess-');
  });

  test('long bodies and headers are refused', async () => {
    await using service = await startService();
    const path = '/cloud/environment/a/register';
    const long = await ask(service.url, path, { token: tokens.executor, body: { name: 'x'.repeat(20_000) } });
    expect([long.status, codeOf(long)]).toStrictEqual([413, 'body_too_large']);
    const header = await ask(service.url, path, {
      token: tokens.executor,
      headers: { 'x-long': 'x'.repeat(20_000) },
    });
    expect(header.status).toBe(431);
    const name = await ask(service.url, path, { token: tokens.executor, body: { name: 'x'.repeat(300) } });
    expect([name.status, codeOf(name)]).toStrictEqual([400, 'invalid_body']);
    const id = await ask(service.url, `/cloud/environment/${'x'.repeat(300)}/register`, {
      token: tokens.executor,
    });
    expect([id.status, codeOf(id)]).toStrictEqual([400, 'invalid_environment_id']);
    const text = await ask(service.url, path, { token: tokens.executor, body: '{' });
    expect([text.status, codeOf(text)]).toStrictEqual([400, 'invalid_body']);
  });
});

describe('handshakes', () => {
  test('there are so many sockets', async () => {
    await using service = await startService({ limits: ['sockets=3'] });
    using box = await executor(service.url, 'a', tokens.executor);
    using one = await orchestrator(service.url, 'a', tokens.orchestrator);
    using two = await orchestrator(service.url, 'a', tokens.orchestrator);
    const third = await connectUrl(service.url, 'a', tokens.orchestrator);
    expect(await dial(third)).toStrictEqual({ status: 503, reason: 'route_unavailable' });
    two.webSocket.close();
    await two.closed();
    // A refused ticket is not used up, and the service may hear of the end a moment later than its peer.
    let again = await dial(third);
    while (!(again instanceof Peer)) again = await dial(third);
    using last = again;
    expect([box, one, last].map((peer) => peer.webSocket.readyState)).toStrictEqual([1, 1, 1]);
  });

  test('an environment and an orchestrator have so many', async () => {
    await using service = await startService({
      limits: ['environmentOrchestrators=1', 'principalOrchestrators=1'],
    });
    using a = await executor(service.url, 'a', tokens.executor);
    using b = await executor(service.url, 'b', tokens.executor);
    const late = await connectUrl(service.url, 'a', tokens.otherOrchestrator);
    using one = await orchestrator(service.url, 'a', tokens.orchestrator);
    expect(await dial(late)).toStrictEqual({ status: 409, reason: 'route_unavailable' });
    const elsewhere = await connectUrl(service.url, 'b', tokens.orchestrator);
    expect(await dial(elsewhere)).toStrictEqual({ status: 503, reason: 'route_unavailable' });
    using other = await orchestrator(service.url, 'b', tokens.otherOrchestrator);
    expect([a, b, one, other].map((peer) => peer.webSocket.readyState)).toStrictEqual([1, 1, 1, 1]);
  });

  test('so many wait for an executor, and the others hear at once that it is not there', async () => {
    await using service = await startService({ limits: ['principalWaiting=2', 'returnMs=20000'] });
    await executorUrl(service.url, 'a', tokens.executor);
    const answers = Array.from({ length: 10 }, async () =>
      ask(service.url, '/cloud/environment/a/connect', { token: tokens.orchestrator }),
    );
    const refused = await Promise.race(answers);
    expect([refused.status, codeOf(refused)]).toStrictEqual([503, 'executor_offline']);
    using box = await executor(service.url, 'a', tokens.executor);
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(2);
    expect(box.waiting).toBe(0);
  });

  test('a request that does not come to its end is cut off', async () => {
    await using service = await startService({ limits: ['requestMs=500'] });
    const { hostname, port } = new URL(service.url);
    const ends = Array.from({ length: 100 }, async () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.write('POST /cloud/environment/a/register HTTP/1.1\r\nHost: x\r\n');
      socket.resume();
      await once(socket, 'close');
    });
    await beforeDeadline('the end of half requests', Promise.all(ends));
    expect(await register(service, 'a', tokens.executor)).toStrictEqual([200, undefined]);
  });
});

describe('frames', () => {
  test('a message that is too long ends its socket, and no other', async () => {
    await using service = await startService({ limits: ['frameBytes=100000'] });
    using box = await executor(service.url, 'a', tokens.executor);
    using bad = await orchestrator(service.url, 'a', tokens.orchestrator);
    using good = await orchestrator(service.url, 'a', tokens.orchestrator);
    bad.openStream('bad');
    bad.sendData('bad', Buffer.alloc(200_000));
    expect(await bad.closed()).toMatchObject({ code: 1009 });
    good.openStream('good');
    while ((await box.frame()).streamId !== 'good') expect(box.webSocket.readyState).toBe(1);
  });

  test('ten thousand that are none are dropped', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'a', tokens.executor);
    using harness = await orchestrator(service.url, 'a', tokens.orchestrator);
    for (let n = 0; n < 10_000; n += 1) {
      harness.webSocket.send(Buffer.from([n % 256, n >> 8, 1, 2, 3]));
      box.webSocket.send(Buffer.from([0x08, 1, 0x12, 0xff, n % 256]));
    }
    // Two ids, two versions and two bodies: what one reader takes for the frame another one would not.
    const twice = [0x08, 1, 0x12, 1, 0x61, 0x12, 1, 0x62, 0x4a, 0];
    harness.webSocket.send(Buffer.from(twice));
    harness.webSocket.send(Buffer.from([0x08, 1, 0x08, 2, 0x12, 1, 0x61, 0x3a, 0]));
    harness.webSocket.send(Buffer.from([0x08, 1, 0x12, 1, 0x61, 0x3a, 0, 0x42, 0]));
    harness.openStream('s');
    expect((await box.frame()).streamId).toBe('s');
  });

  test('so many streams are open, and what else is opened is reset', async () => {
    await using service = await startService({ limits: ['streams=5', 'orchestratorStreams=3'] });
    using box = await executor(service.url, 'a', tokens.executor);
    using one = await orchestrator(service.url, 'a', tokens.orchestrator);
    using two = await orchestrator(service.url, 'a', tokens.orchestrator);
    for (const n of [1, 2, 3, 4]) one.openStream(`one-${n}`);
    const { streamId, body } = await one.frameOf('reset');
    expect([streamId, body]).toStrictEqual([
      'one-4',
      { kind: 'reset', reason: 'policyViolation: a socket has at most 3 streams' },
    ]);
    for (const n of [1, 2, 3]) two.openStream(`two-${n}`);
    expect((await two.frameOf('reset')).body).toMatchObject({
      reason: 'policyViolation: the executor has 5 streams',
    });
    const opened = [];
    while (opened.length < 5) opened.push((await box.frame()).streamId);
    expect(opened).toStrictEqual(['one-1', 'one-2', 'one-3', 'two-1', 'two-2']);
    expect(box.waiting).toBe(0);
  });

  test('a hundred thousand streams of an executor that nobody has opened cost nothing', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'a', tokens.executor);
    for (let n = 0; n < 100_000; n += 1) box.sendData(`invented-${n}`, 'x'.repeat(100));
    using harness = await orchestrator(service.url, 'a', tokens.orchestrator);
    harness.openStream('s');
    while ((await box.frame()).streamId !== 's') expect(box.webSocket.readyState).toBe(1);
    expect(await memoryOf(service)).toBeLessThan(300 * MiB);
  });
});

describe('a side that does not read', () => {
  const chunk = Buffer.alloc(60_000, 'x');

  test('loses its own plain stream, and no other is held up', async () => {
    await using service = await startService({ limits: ['streamQueueBytes=1000000'] });
    using box = await executor(service.url, 'a', tokens.executor);
    using slow = await orchestrator(service.url, 'a', tokens.orchestrator);
    using quick = await orchestrator(service.url, 'a', tokens.orchestrator);
    await openStreams(box, { slow, quick });
    slow.webSocket.pause();
    let reset: string | undefined;
    // More than the buffers of the system and of the service: the stream has to end on the way.
    for (let n = 0; n < 2000 && reset === undefined; n += 1) {
      box.sendData('slow', chunk, n);
      box.sendData('quick', String(n), n);
      const { body } = await quick.frame();
      expect(body.kind === 'data' && Buffer.from(body.payload).toString()).toBe(String(n));
      if (box.waiting === 0) continue;
      const frame = await box.frame();
      if (frame.streamId === 'slow' && frame.body.kind === 'reset') reset = frame.body.reason;
    }
    expect(reset).toMatch(/^lost: the orchestrator has left \d+ bytes of the stream unread$/);
    slow.webSocket.resume();
    expect((await slow.frameOf('reset')).body).toMatchObject({ reason: reset });
    expect(await memoryOf(service)).toBeLessThan(300 * MiB);
  }, 120_000);

  test('keeps a reliable stream, of which frames are lost that are sent again', async () => {
    await using service = await startService({ limits: ['streamQueueBytes=1000000'] });
    using box = await executor(service.url, 'a', tokens.executor);
    using slow = await orchestrator(service.url, 'a', tokens.orchestrator);
    slow.openStream('slow', true);
    await box.frame();
    box.sendFrame('slow', { kind: 'ack' }, true);
    await slow.frameOf('ack');
    slow.webSocket.pause();
    for (let n = 0; n < 500; n += 1) box.sendData('slow', chunk, n, true);
    // Behind all of them on the executor's socket.
    using other = await orchestrator(service.url, 'a', tokens.orchestrator);
    other.openStream('other');
    expect((await box.frameOf('resume')).streamId).toBe('other');
    box.sendData('other', 'here');
    await other.frame();
    slow.webSocket.resume();
    const seqs: number[] = [];
    while (slow.waiting > 0 || seqs.length < 10) {
      const { body } = await slow.frame();
      expect(body.kind).toBe('data');
      if (body.kind === 'data') seqs.push(body.seq);
    }
    expect(seqs.slice(0, 10)).toStrictEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(seqs.length).toBeLessThan(500);
  });

  test('an executor holds its orchestrator back, and then gets everything in order', async () => {
    await using service = await startService({ limits: ['streamPauseBytes=200000'] });
    using box = await executor(service.url, 'a', tokens.executor);
    using harness = await orchestrator(service.url, 'a', tokens.orchestrator);
    harness.openStream('s');
    await box.frame();
    box.webSocket.pause();
    const count = 1000;
    for (let n = 0; n < count; n += 1) harness.sendData('s', chunk, n);
    // The service answers others while it holds back 60 MB.
    expect(await register(service, 'b', tokens.executor)).toStrictEqual([200, undefined]);
    expect(harness.webSocket.bufferedAmount).toBeGreaterThan(20 * MiB);
    expect(await memoryOf(service)).toBeLessThan(250 * MiB);
    box.webSocket.resume();
    for (let n = 0; n < count; n += 1) {
      const { body } = await box.frame();
      expect(body.kind === 'data' && [body.seq, body.payload.length]).toStrictEqual([n, chunk.length]);
    }
  });

  test('is left behind by streams that have little to say', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'a', tokens.executor);
    using bulk = await orchestrator(service.url, 'a', tokens.orchestrator);
    using small = await orchestrator(service.url, 'a', tokens.orchestrator);
    await openStreams(box, { bulk, small });
    box.webSocket.pause();
    for (let n = 0; n < 500; n += 1) bulk.sendData('bulk', chunk, n);
    // The service has read of it what it takes.
    await register(service, 'b', tokens.executor);
    small.sendData('small', 'now');
    await register(service, 'c', tokens.executor);
    box.webSocket.resume();
    let before = 0;
    for (;;) {
      const { streamId } = await box.frame();
      if (streamId === 'small') break;
      before += 1;
    }
    // What the buffers of the system hold is before it, and one turn of the other stream.
    expect(before).toBeLessThan(250);
  });
});

describe('a side that is gone without a word', () => {
  const mute = async (url: string): Promise<Peer> => {
    const peer = await dial(url, {}, false);
    if (peer instanceof Peer) return peer;
    throw new Error(`The upgrade was refused: ${peer.status}`);
  };

  test.each(['executor', 'orchestrator'] as const)('is found out: the %s', async (role) => {
    await using service = await startService({
      limits: ['pingMs=200', 'executorGraceMs=200', 'orchestratorGraceMs=200'],
    });
    const isExecutor = role === 'executor';
    const boxUrl = await executorUrl(service.url, 'a', tokens.executor);
    using box = isExecutor ? await mute(boxUrl) : await open(boxUrl);
    const harnessUrl = await connectUrl(service.url, 'a', tokens.orchestrator);
    using harness = isExecutor ? await open(harnessUrl) : await mute(harnessUrl);
    harness.openStream('s');
    await box.frame();
    const { body } = await (isExecutor ? harness : box).frameOf('reset');
    expect(body.kind === 'reset' && body.reason).toMatch(
      isExecutor ? /^executorGone: / : /^orchestratorGone: no sign of life/,
    );
    expect((await (isExecutor ? box : harness).closed()).reason).toMatch(/^no sign of life for 400 ms|^$/);
  });
});

test('no log has a token, a ticket or a message', async () => {
  await using service = await startService({ args: ['--log-level', 'debug'] });
  using box = await executor(service.url, 'a', tokens.executor);
  using harness = await orchestrator(service.url, 'a', tokens.orchestrator);
  harness.openStream('s');
  harness.sendData('s', 'the-message');
  await box.frameOf('data');
  const ticket = await connectUrl(service.url, 'a', tokens.orchestrator);
  await dial(`${ticket}&more=1`);
  await dial(ticket.slice(0, -4));
  service.child.kill('SIGTERM');
  const { status, stderr } = await service.child.outcome();
  expect(status).toBe(0);
  expect(stderr).toContain('a socket has connected');
  for (const secret of [...Object.values(tokens), 'ticket=', 'v1.', 'the-message', 'secret', '?role'])
    expect(stderr).not.toContain(secret);
});
