import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, expectNothingLeft, markVariable } from '../support/conformance-leftovers.ts';
import { RawClient } from '../support/faults-client.ts';
import { type ListeningExecutor, startExecutor } from '../support/faults-executor.ts';
import { reapersOf, within } from '../support/faults-proc.ts';
import { Chance } from '../support/faults-random.ts';

const ROUNDS = 20;
const SEED = 20_261_120;
const DEAD_MS = 10_000;
/** The kill comes after so many bytes of output at most: before the first starts have ended, or long after. */
const MOST_BYTES = 8 * 1024 * 1024;

const mark = randomUUID();
const env = { PATH: '/usr/bin:/bin', [markVariable]: mark };
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'killed-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
  await expectNothingLeft(mark);
});

/** What a program can do to live on: children in the background, in other groups, deaf to signals, with other parents. */
const scripts: readonly { readonly script: string; readonly tty: boolean }[] = [
  { script: 'yes "$0" | head -c 100000000; sleep 600', tty: false },
  { script: 'yes "$0" | head -c 100000000; sleep 600', tty: true },
  { script: 'sleep 600 & sleep 600 & echo started; wait', tty: false },
  {
    script: '(trap "" TERM HUP INT; sleep 600 & nohup sleep 600 >/dev/null 2>&1 & wait) & echo started; wait',
    tty: true,
  },
  { script: 'set -m; (sleep 600 </dev/null >/dev/null 2>&1 &) ; echo started; exec sleep 600', tty: true },
  { script: '( (sleep 600 </dev/null >/dev/null 2>&1 &) & ) ; echo started; exec sleep 600', tty: false },
  { script: 'while :; do sleep 0.01 & done', tty: false },
];

async function load(executor: ListeningExecutor, bytes: number): Promise<RawClient> {
  const client = await RawClient.connect(executor.url);
  const enough = Promise.withResolvers<void>();
  let seen = 0;
  const count = (total: number): void => {
    seen = Math.max(seen, total);
    if (seen >= bytes) enough.resolve();
  };
  const starts = scripts.map(({ script, tty }, number) =>
    client.start(
      { processId: `p${number}`, argv: ['/bin/sh', '-c', script, 'x'.repeat(500)], tty, env },
      count,
    ),
  );
  // The first flood alone goes on for long enough.
  for (const start of starts) start.catch(() => {});
  await within(60_000, `${bytes} bytes of output`, enough.promise);
  return client;
}

async function expectSpillsGone(): Promise<void> {
  await using executor = await startExecutor('--journal-dir', folder);
  expect(await readdir(folder)).toEqual([]);
  await using client = await RawClient.connect(executor.url);
  const log = await client.start({ processId: 'next', argv: ['/bin/echo', 'next'], env });
  await log.closed();
  expect(log.content().toString()).toBe('next\n');
  expect(executor.stderr).toBe('');
}

describe('an executor that is killed under load', () => {
  test(`leaves no process behind, ${ROUNDS} times, and the next one starts clean`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await using executor = await startExecutor(
        '--journal-dir',
        folder,
        '--limit',
        'journalMemoryBytes=65536',
      );
      const client = await load(executor, new Chance(SEED, round).below(MOST_BYTES));
      executor.kill('SIGKILL');
      await within(DEAD_MS, 'the end of the executor', executor.exited);
      await expectNothingLeft(mark);
      await client[Symbol.asyncDispose]();
      await expectSpillsGone();
    }
  });

  test('leaves no process behind when the kill comes between a start and its answer', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await using executor = await startExecutor();
      const client = await RawClient.connect(executor.url);
      const argv = ['/bin/sh', '-c', 'sleep 600 & sleep 600'];
      for (let number = 0; number < 10; number++)
        client
          .post('process/start', { processId: `p${number}`, argv, cwd: '/', env, tty: false })
          .catch(() => {});
      // Answered as soon as it is read: the starts before it are under way.
      await client.request('environment/status', {});
      executor.kill('SIGKILL');
      await within(DEAD_MS, 'the end of the executor', executor.exited);
      await expectNothingLeft(mark);
      await client[Symbol.asyncDispose]();
    }
  });

  test('leaves no reaper behind, killed or not', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await using executor = await startExecutor();
      expect(reapersOf(executor.pid)).toHaveLength(1);
      executor.kill(signal);
      await within(DEAD_MS, 'the end of the executor', executor.exited);
      await eventually('the end of the reaper', () =>
        reapersOf(executor.pid).length > 0 ? undefined : true,
      );
    }
  });
});
