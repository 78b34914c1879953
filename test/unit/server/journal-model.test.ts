import { describe, expect, test } from 'vitest';

import type { ProcessEvent } from '../../../src/client/event-window.ts';
import type { JournalEvent } from '../../../src/process/journal-event.ts';
import { ManagedProcess } from '../../../src/process/managed-process.ts';
import { readProcess } from '../../../src/process/read.ts';
import { ProcessStartParams } from '../../../src/protocol/process.ts';
import { content, journalRoom } from '../../support/unit-journal.ts';
import { Random, seeds } from '../../support/unit-random.ts';
import { Reader } from '../../support/unit-reader.ts';
import { expectSoon, turn } from '../../support/unit-wait.ts';

const KiB = 1024;
const steps = 400;
const readers = 4;

/** What the process has done: the whole truth, in a list. */
class Oracle {
  readonly events: { readonly kind: JournalEvent['kind']; readonly bytes: Buffer }[] = [];

  bytes(fromSeq: number, toSeq: number): number {
    return this.events.slice(fromSeq - 1, toSeq).reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Fails unless what a reader took is the truth from its beginning on, with nothing twice and each hole named. */
  check(taken: readonly ProcessEvent[]): void {
    let next = 1;
    for (const event of taken) {
      if (event.kind === 'gap') {
        const { fromSeq, toSeq, bytes } = event.gap;
        expect([fromSeq, toSeq >= fromSeq]).toEqual([next, true]);
        // Exact for a reader that came from the beginning on one connection; never fewer than there were for others.
        expect(bytes).toBeGreaterThanOrEqual(this.bytes(fromSeq, toSeq));
        next = toSeq + 1;
        continue;
      }
      expect(event.seq).toBe(next);
      const truth = this.events[event.seq - 1];
      if (event.kind === 'output') {
        expect(event.stream).toBe(truth?.kind);
        expect(Buffer.compare(event.bytes, truth?.bytes ?? Buffer.alloc(0))).toBe(0);
      } else {
        expect(event.kind).toBe(truth?.kind);
      }
      next += 1;
    }
  }
}

interface World {
  readonly random: Random;
  readonly oracle: Oracle;
  readonly process: ManagedProcess;
  readonly readers: readonly Reader[];
  /** The last event that a limit is known to have dropped: nothing up to there comes back. */
  dropped: number;
}

function append({ random, oracle, process }: World): void {
  for (let count = 1 + random.below(20); count > 0; count--) {
    const bytes = content(oracle.events.length + 1, random.pick([0, 1, 100, 4 * KiB, 64 * KiB]));
    const kind = random.pick(['stdout', 'stderr'] as const);
    oracle.events.push({ kind, bytes: Buffer.from(bytes) });
    process.journal.append(kind, bytes);
  }
}

/** A read on request, from anywhere: a second way to the same truth. */
async function read(world: World): Promise<void> {
  const { random, oracle, process } = world;
  const newest = oracle.events.length;
  const afterSeq = random.below(newest + 2);
  const { dropped } = world;
  const most = random.pick([Infinity, 0, 1000, 100 * KiB]);
  const maxBytes = most === Infinity ? undefined : most;
  const answer = await readProcess(process, { afterSeq, maxBytes, waitMs: 0 }, new AbortController().signal);
  let next = afterSeq + 1;
  if (answer.gap !== undefined) {
    expect(answer.gap.fromSeq).toBe(next);
    expect(answer.gap.bytes).toBeGreaterThanOrEqual(oracle.bytes(next, answer.gap.toSeq));
    next = answer.gap.toSeq + 1;
    world.dropped = Math.max(world.dropped, answer.gap.toSeq);
  }
  for (const { seq, stream, chunk } of answer.chunks) {
    expect(seq).toBe(next);
    expect(seq).toBeGreaterThan(dropped);
    expect([
      stream,
      Buffer.from(chunk, 'base64').compare(oracle.events[seq - 1]?.bytes ?? Buffer.alloc(0)),
    ]).toEqual([oracle.events[seq - 1]?.kind, 0]);
    next += 1;
  }
  if (afterSeq <= newest) expect(answer.nextSeq).toBeGreaterThanOrEqual(next);
}

function change({ random, readers: all }: World): void {
  const reader = random.pick(all);
  if (!reader.attached) reader.attach();
  else if (random.below(3) === 0) reader.cut();
  else reader.pause(random.below(2) === 0);
}

const operations: readonly ((world: World) => void | Promise<void>)[] = [
  append,
  append,
  read,
  change,
  change,
  async () => turn(),
];

async function live(seed: number, bytesPerProcess: number): Promise<World> {
  await using room = await journalRoom({ bytesPerProcess });
  const params = ProcessStartParams.parse({ processId: 'p', argv: ['x'], cwd: '/', env: {}, tty: false });
  const process = new ManagedProcess(params, room.budget);
  const world: World = {
    random: new Random(seed),
    oracle: new Oracle(),
    process,
    readers: Array.from({ length: readers }, () => new Reader(process)),
    dropped: 0,
  };
  for (let step = 0; step < steps; step++) await world.random.pick(operations)(world);
  for (const kind of ['exited', 'closed'] as const) {
    world.oracle.events.push({ kind, bytes: Buffer.alloc(0) });
    process.journal.append(kind);
  }
  for (const reader of world.readers) {
    if (!reader.attached) reader.attach();
    reader.pause(false);
    while (reader.cursor < world.oracle.events.length) await expectSoon('the next event', reader.more());
    reader.cut();
  }
  process.dispose();
  return world;
}

describe.each(seeds)('with seed %i', (seed) => {
  test('readers that come and go get everything once and in order', async () => {
    const { oracle, readers: all } = await live(seed, 1024 * 1024 * KiB);
    for (const { taken } of all) {
      oracle.check(taken);
      expect(taken.filter(({ kind }) => kind === 'gap')).toEqual([]);
      expect(taken).toHaveLength(oracle.events.length);
    }
  });

  test('readers that come and go are told exactly what a limit has dropped', async () => {
    const { oracle, readers: all } = await live(seed, 256 * KiB);
    for (const { taken } of all) oracle.check(taken);
    const gaps = all.flatMap(({ taken }) => taken.filter(({ kind }) => kind === 'gap'));
    expect(gaps.length).toBeGreaterThan(0);
  });
});
