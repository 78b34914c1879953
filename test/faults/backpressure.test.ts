import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { MiB, generator, pseudoRandomBytes, sha256 } from '../support/faults-bytes.ts';
import { RawClient } from '../support/faults-client.ts';
import { type Executor, startExecutor, startStdioExecutor } from '../support/faults-executor.ts';
import { isAlive, residentMiB, until, within } from '../support/faults-proc.ts';
import type { ProcessLog } from '../support/faults-process-log.ts';

const OUTPUT_BYTES = 200 * MiB;
/** How long a reader does not read. */
const PAUSE_MS = 5_000;
/** An idle executor that runs from its sources has half of it; all of the output in memory would be more than the rest. */
const MEMORY_MIB = 250;
/** For work that takes a fraction of it on an idle machine. */
const PROMPT_MS = 10_000;
/** So that it is the output that memory is spent on, and not the thousand processes that have closed. */
const TRIP_PAUSE_MS = 50;
const FLOOD_MS = 120_000;

const sleeper = ['/bin/sleep', '1000'];

/** Stops reading, once, when that much output has come. */
function pauseAfter(
  client: RawClient,
  bytes: number,
): { onOutput: (seen: number) => void; paused: Promise<void> } {
  const stopped = Promise.withResolvers<void>();
  let done = false;
  const onOutput = (seen: number): void => {
    if (done || seen < bytes) return;
    done = true;
    client.pause();
    stopped.resolve();
  };
  return { onOutput, paused: within(FLOOD_MS, `${bytes} bytes of output`, stopped.promise) };
}

/** Starts the flood. Resolves when the client has stopped reading in the midst of it. */
async function floodAndPause(client: RawClient): Promise<ProcessLog> {
  const { onOutput, paused } = pauseAfter(client, 20 * MiB);
  const log = await client.start({ processId: 'flood', argv: generator(OUTPUT_BYTES) }, onOutput);
  await paused;
  return log;
}

async function expectWhole(log: ProcessLog, executor: Executor): Promise<void> {
  const closed = await log.closed(FLOOD_MS);
  expect(log.gaps).toEqual([]);
  expect(log.bytes).toBe(OUTPUT_BYTES);
  expect(log.digest()).toBe(sha256(pseudoRandomBytes(OUTPUT_BYTES)));
  expect(log.exit).toMatchObject({ exitCode: 0, endReason: 'exited' });
  expect(closed).toMatchObject({ bytes: { stdout: OUTPUT_BYTES, stderr: 0 }, droppedBytes: 0 });
  expect(residentMiB(executor.pid).peak, 'MiB of resident memory').toBeLessThan(MEMORY_MIB);
}

/** Starts a program every now and then until the time is over. Answers how long each took, in milliseconds. */
async function roundTrips(client: RawClient, milliseconds: number): Promise<number[]> {
  const end = performance.now() + milliseconds;
  const durations: number[] = [];
  while (performance.now() < end) {
    const begin = performance.now();
    const processId = `trip-${durations.length}`;
    const log = await client.start({ processId, argv: ['/bin/echo', processId] });
    await log.closed(PROMPT_MS);
    expect(log.content().toString()).toBe(`${processId}\n`);
    durations.push(performance.now() - begin);
    await delay(TRIP_PAUSE_MS);
  }
  return durations;
}

describe('a WebSocket client that stops reading for five seconds', () => {
  test('gets 200 MiB whole and in order, while other connections are served and memory stays bounded', async () => {
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    await using other = await RawClient.connect(executor.url);
    const log = await floodAndPause(client);
    const durations = await roundTrips(other, PAUSE_MS);
    expect(durations.length, 'round trips of the other connection').toBeGreaterThanOrEqual(10);
    expect(log.bytes, 'output that came in spite of the pause').toBeLessThan(OUTPUT_BYTES / 2);
    client.resume();
    await expectWhole(log, executor);
  });

  test('can still end a sibling of the stalled process', async () => {
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    await client.start({ processId: 'sibling', argv: sleeper });
    const pid = await client.pidOf('sibling');
    const log = await floodAndPause(client);
    const answer = client.request('process/terminate', { processId: 'sibling' });
    await until(
      PROMPT_MS,
      () => !isAlive(pid),
      () => 'the sibling is alive',
    );
    await delay(PAUSE_MS);
    client.resume();
    expect(await answer).toEqual({ running: true });
    await expectWhole(log, executor);
  });

  test('can still end the stalled process itself, and gets what it had written', async () => {
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    // Its pid is asked for before the flood begins.
    const argv = ['/bin/sh', '-c', 'read go; exec cat /dev/zero'];
    const { onOutput, paused } = pauseAfter(client, 16 * MiB);
    const log = await client.start({ processId: 'endless', argv, pipeStdin: true }, onOutput);
    const pid = await client.pidOf('endless');
    await client.request('process/write', { processId: 'endless', chunk: btoa('go\n') });
    await paused;
    const answer = client.request('process/terminate', { processId: 'endless' });
    await until(
      PROMPT_MS,
      () => !isAlive(pid),
      () => 'the process is alive',
    );
    client.resume();
    expect(await answer).toEqual({ running: true });
    const closed = await log.closed();
    const lost = log.gaps.reduce((sum, gap) => sum + gap.bytes, 0);
    expect(closed.bytes?.stdout).toBe(log.bytes + lost);
    expect(log.exit).toMatchObject({ exitCode: 137, signal: 'SIGKILL', endReason: 'terminated' });
  });
});

describe('a stdio client that stops reading for five seconds', () => {
  test('gets 200 MiB whole and in order, and can end a sibling meanwhile', async () => {
    await using executor = startStdioExecutor();
    await using client = await RawClient.overStdio(executor);
    await client.start({ processId: 'sibling', argv: sleeper });
    const pid = await client.pidOf('sibling');
    const log = await floodAndPause(client);
    const answer = client.request('process/terminate', { processId: 'sibling' });
    await until(
      PROMPT_MS,
      () => !isAlive(pid),
      () => 'the sibling is alive',
    );
    await delay(PAUSE_MS);
    client.resume();
    expect(await answer).toEqual({ running: true });
    await expectWhole(log, executor);
  });
});
