import { describe, expect, test } from 'vitest';
import { MiB, generator, pseudoRandomBytes, sha256 } from '../support/faults-bytes.ts';
import { RawClient } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';
import { isAlive, isGone, until } from '../support/faults-proc.ts';
import type { ProcessLog } from '../support/faults-process-log.ts';

const OUTPUT_BYTES = 32 * MiB;
const DISK_BYTES = 4 * MiB;
/** What the sockets between executor and client hold, and the memory of the journal, with room to spare. */
const ON_THE_WAY_BYTES = 20 * MiB;
const FLOOD_MS = 60_000;
const expected = pseudoRandomBytes(OUTPUT_BYTES);
const disk = ['--journal-disk-bytes', String(DISK_BYTES)];

/** Waits for a word before it writes, so that its pid is known and its readers are there. */
const waiting = (argv: readonly string[]): string[] => ['/bin/sh', '-c', 'read go; exec "$@"', 'sh', ...argv];
const raw = (argv: readonly string[]): string[] => [
  '/bin/sh',
  '-c',
  'stty raw -echo; echo ready; head -n1 >/dev/null; exec "$@"',
  'sh',
  ...argv,
];

async function go(client: RawClient): Promise<void> {
  await client.request('process/write', { processId: 'flood', chunk: btoa('go\n') });
}

/** Resolves when the program waits: the journal is as full as it gets, and does not drop anything. */
async function held(other: RawClient, pid: number): Promise<void> {
  const deadline = performance.now() + FLOOD_MS;
  for (;;) {
    const { diskBytes } = (await other.request('environment/metrics', {})).journal;
    expect(diskBytes).toBeLessThan(DISK_BYTES + MiB);
    if (diskBytes > DISK_BYTES) break;
    expect(performance.now(), `${diskBytes} bytes are on disk`).toBeLessThan(deadline);
  }
  expect(isAlive(pid), 'the program waits').toBe(true);
}

function expectWhole(log: ProcessLog): void {
  expect(log.gaps).toEqual([]);
  expect(log.bytes).toBe(OUTPUT_BYTES);
  expect(log.digest()).toBe(sha256(expected));
  expect(log.exit).toMatchObject({ exitCode: 0, endReason: 'exited' });
}

/** What came is what was written, but for what a gap names. */
function expectNamedLoss(log: ProcessLog): void {
  expect(log.gaps).toHaveLength(1);
  const at = log.gaps[0]?.at ?? 0;
  const content = log.content();
  expect(content.length + (log.gaps[0]?.bytes ?? 0)).toBe(OUTPUT_BYTES);
  expect(sha256(content.subarray(0, at))).toBe(sha256(expected.subarray(0, at)));
  const tail = content.length - at;
  expect(sha256(content.subarray(at))).toBe(sha256(expected.subarray(OUTPUT_BYTES - tail)));
}

describe('a program that outruns its only reader by more than the disk may hold', () => {
  test('waits for it, and nothing is lost', async () => {
    await using executor = await startExecutor(...disk);
    await using client = await RawClient.connect(executor.url);
    await using other = await RawClient.connect(executor.url);
    const log = await client.start({
      processId: 'flood',
      argv: waiting(generator(OUTPUT_BYTES)),
      pipeStdin: true,
    });
    const pid = await client.pidOf('flood');
    await go(client);
    client.pause();
    await held(other, pid);
    client.resume();
    await log.closed(FLOOD_MS);
    expectWhole(log);
  });

  test('waits on a PTY, too, and its end is not lost', async () => {
    await using executor = await startExecutor(...disk);
    await using client = await RawClient.connect(executor.url);
    await using other = await RawClient.connect(executor.url);
    const ready = Promise.withResolvers<void>();
    const log = await client.start(
      { processId: 'flood', argv: raw(generator(OUTPUT_BYTES)), tty: true },
      () => ready.resolve(),
    );
    await ready.promise;
    const pid = await client.pidOf('flood');
    await client.request('process/write', { processId: 'flood', chunk: btoa('go\n') });
    client.pause();
    await held(other, pid);
    client.resume();
    await log.closed(FLOOD_MS);
    expect(log.gaps).toEqual([]);
    const content = log.content();
    expect(content.subarray(0, 6).toString()).toBe('ready\n');
    expect(sha256(content.subarray(6))).toBe(sha256(expected));
  });

  test('goes on when the reader has stopped for longer than the limit says', async () => {
    await using executor = await startExecutor(...disk, '--limit', 'journalHoldMs=1000');
    await using client = await RawClient.connect(executor.url);
    const log = await client.start({
      processId: 'flood',
      argv: waiting(generator(OUTPUT_BYTES)),
      pipeStdin: true,
    });
    const pid = await client.pidOf('flood');
    const begin = performance.now();
    await go(client);
    client.pause();
    await until(
      FLOOD_MS,
      () => isGone(pid),
      () => 'the program has not ended',
    );
    expect(performance.now() - begin, 'it has waited').toBeGreaterThan(500);
    client.resume();
    await log.closed(FLOOD_MS);
    expectNamedLoss(log);
  });

  test('goes on when the reader goes away', async () => {
    await using executor = await startExecutor(...disk);
    const client = await RawClient.connect(executor.url);
    await using other = await RawClient.connect(executor.url);
    await client.start({ processId: 'flood', argv: waiting(generator(OUTPUT_BYTES)), pipeStdin: true });
    const pid = await client.pidOf('flood');
    await go(client);
    client.pause();
    await held(other, pid);
    client.resume();
    await client[Symbol.asyncDispose]();
    await until(
      FLOOD_MS,
      () => isGone(pid),
      () => 'the program has not ended',
    );
    await using later = await RawClient.connect(executor.url, client.sessionId);
    const answer = await later.request('process/read', { processId: 'flood', afterSeq: 0 });
    expect(answer.gap).toMatchObject({ fromSeq: 1 });
  });

  test('can be ended while it waits', async () => {
    await using executor = await startExecutor(...disk);
    await using client = await RawClient.connect(executor.url);
    await using other = await RawClient.connect(executor.url);
    const argv = waiting(['/bin/cat', '/dev/zero']);
    const log = await client.start({ processId: 'flood', argv, pipeStdin: true });
    const pid = await client.pidOf('flood');
    await go(client);
    client.pause();
    await held(other, pid);
    const ended = client.request('process/terminate', { processId: 'flood' });
    await until(
      FLOOD_MS,
      () => !isAlive(pid),
      () => 'the program is alive',
    );
    client.resume();
    expect(await ended).toEqual({ running: true });
    const closed = await log.closed(FLOOD_MS);
    expect(log.gaps).toEqual([]);
    expect(closed.bytes?.stdout).toBe(log.bytes);
  });
});

describe('a program with several readers', () => {
  test('waits for the slowest that goes on: all of them get everything', async () => {
    await using executor = await startExecutor(...disk);
    await using owner = await RawClient.connect(executor.url);
    await using second = await RawClient.connect(executor.url);
    const argv = waiting(generator(OUTPUT_BYTES));
    const log = await owner.start({ processId: 'flood', argv, pipeStdin: true });
    const pid = await owner.pidOf('flood');
    const slow = await second.attach(owner, 'flood', 'writer');
    second.pause();
    await go(owner);
    await held(owner, pid);
    expect(log.bytes).toBeLessThan(DISK_BYTES + ON_THE_WAY_BYTES);
    second.resume();
    await Promise.all([log.closed(FLOOD_MS), slow.closed(FLOOD_MS)]);
    expectWhole(log);
    expectWhole(slow);
  });

  test.each([
    { who: 'a writer that has stopped', role: 'writer', holdMs: 1_000 },
    { who: 'a viewer', role: 'viewer', holdMs: 3_600_000 },
  ] as const)('does not wait for $who, which is told what it has lost', async ({ role, holdMs }) => {
    await using executor = await startExecutor(...disk, '--limit', `journalHoldMs=${holdMs}`);
    await using owner = await RawClient.connect(executor.url);
    await using second = await RawClient.connect(executor.url);
    const argv = waiting(generator(OUTPUT_BYTES));
    const log = await owner.start({ processId: 'flood', argv, pipeStdin: true });
    const stopped = await second.attach(owner, 'flood', role);
    second.pause();
    await go(owner);
    await log.closed(FLOOD_MS);
    expectWhole(log);
    second.resume();
    await stopped.closed(FLOOD_MS);
    expectNamedLoss(stopped);
  });
});
