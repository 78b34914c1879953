import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/process/journal.ts';
import { limits } from '../../../src/protocol/limits.ts';
import { content, journalRoom, pullAll, settled } from '../../support/unit-journal.ts';

const MiB = 1024 * 1024;
const chunk = limits.chunkBytes;
const always = (): boolean => true;
/** No test waits so long. */
const endlessMs = 3_600_000;
const shortMs = 100;

function fill(journal: Journal, bytes: number): void {
  for (let done = 0; done < bytes; done += chunk) journal.append('stdout', content(journal.nextSeq, chunk));
}

/** The disk has everything: what still holds the source back are readers. */
async function written(journal: Journal): Promise<void> {
  await settled(journal, () => journal.pendingBytes === 0);
}

describe('a journal that is full', () => {
  it('loses nothing that a reader has not had, and its source waits', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: endlessMs });
    const journal = room.journal();
    using reader = journal.follow(0, always);
    fill(journal, 8 * MiB);
    await written(journal);
    expect(journal.congested).toBe(true);
    expect((await pullAll(journal, 0, MiB)).gaps).toEqual([]);
    expect(journal.droppedBytes).toBe(0);
    reader.moved(journal.nextSeq - 1);
  });

  it('goes on, and says so, as soon as the reader has had what no longer fits', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: endlessMs });
    const journal = room.journal();
    using reader = journal.follow(0, always);
    fill(journal, 4 * MiB);
    await written(journal);
    let told = 0;
    using _subscription = journal.subscribe(() => void (told += 1));
    reader.moved(4);
    expect([journal.congested, told]).toEqual([true, 0]);
    reader.moved(journal.nextSeq - 20);
    expect([journal.congested, told]).toEqual([false, 1]);
    expect(room.budget.spill.usedBytes).toBeLessThanOrEqual(2 * MiB);
    expect((await pullAll(journal, journal.nextSeq - 20, MiB)).gaps).toEqual([]);
  });

  it('waits for the slowest of several readers', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: endlessMs });
    const journal = room.journal();
    using fast = journal.follow(0, always);
    using slow = journal.follow(0, always);
    fill(journal, 4 * MiB);
    await written(journal);
    fast.moved(journal.nextSeq - 1);
    expect(journal.congested).toBe(true);
    slow.moved(journal.nextSeq - 1);
    expect(journal.congested).toBe(false);
  });

  it('does not wait for a reader that may not hold it, nor for one that has gone', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: endlessMs });
    const journal = room.journal();
    using _viewer = journal.follow(0, () => false);
    const leaving = journal.follow(0, always);
    fill(journal, 4 * MiB);
    await written(journal);
    expect(journal.congested).toBe(true);
    leaving[Symbol.dispose]();
    expect(journal.congested).toBe(false);
    expect((await pullAll(journal, 0, MiB)).gaps).toEqual([
      expect.objectContaining({ fromSeq: 1, endOffset: journal.droppedBytes }),
    ]);
  });

  it('goes on when the only reader makes no progress for a while, which is told what it has lost', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: shortMs });
    const journal = room.journal();
    using reader = journal.follow(4, always);
    fill(journal, 4 * MiB);
    await written(journal);
    const begin = performance.now();
    await settled(journal, () => !journal.congested);
    expect(performance.now() - begin).toBeGreaterThan(shortMs / 2);
    const { gaps } = await pullAll(journal, 4, MiB);
    expect(gaps).toHaveLength(1);
    // It does not wait a second time.
    fill(journal, 2 * MiB);
    await written(journal);
    expect(journal.congested).toBe(false);
    reader.moved(journal.nextSeq - 1);
  });

  it('waits again for a reader that goes on', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: shortMs });
    const journal = room.journal();
    using reader = journal.follow(0, always);
    fill(journal, 4 * MiB);
    await settled(journal, () => !journal.congested && journal.pendingBytes === 0);
    reader.moved(journal.nextSeq - 1);
    fill(journal, 4 * MiB);
    expect(journal.congested).toBe(true);
  });

  it('does not take a reader for stopped that has everything', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB, journalHoldMs: shortMs });
    const journal = room.journal();
    using stopped = journal.follow(0, always);
    using reader = journal.follow(0, always);
    fill(journal, 4 * MiB);
    reader.moved(journal.nextSeq - 1);
    await settled(journal, () => !journal.congested && journal.pendingBytes === 0);
    fill(journal, 4 * MiB);
    expect(journal.congested).toBe(true);
    stopped.moved(1);
  });
});

describe('the disk that journals share', () => {
  const bytesTotal = 10 * MiB;

  it('is taken back from closed processes first: at first what was read, then the oldest', async () => {
    await using room = await journalRoom({ bytesTotal });
    const [running, unread, newerUnread] = [room.journal(), room.journal(), room.journal()];
    const [read, writing] = [room.journal(), room.journal()];
    for (const journal of [running, unread, newerUnread, read]) {
      fill(journal, 3 * MiB);
      await written(journal);
      if (journal !== running) journal.end();
    }
    read.took(read.nextSeq - 1);
    const dropped = (): number[] =>
      [read, unread, newerUnread, running, writing].map(({ droppedBytes }) => droppedBytes);
    expect(dropped()).toEqual([0, 0, 0, 0, 0]);
    const steps: number[][] = [];
    for (let step = 0; step < 6; step++) {
      fill(writing, 1.5 * MiB);
      await written(writing);
      steps.push(dropped());
    }
    // In the order of the list, and each only when there is nothing left before it.
    for (const step of steps) {
      const partly = step.slice(0, 3).findIndex((bytes) => bytes < 2 * MiB);
      if (partly >= 0) expect(step.slice(partly + 1)).toEqual([0, 0, 0, 0].slice(partly));
    }
    const last = steps.at(-1) ?? [];
    expect(last[0]).toBeGreaterThanOrEqual(2 * MiB);
    expect(last[1]).toBeGreaterThan(0);
    expect(last[3]).toBe(0);
    expect(room.budget.spill.usedBytes).toBeLessThanOrEqual(bytesTotal);
    const { gaps } = await pullAll(unread, 0, MiB);
    expect(gaps).toEqual([expect.objectContaining({ fromSeq: 1, endOffset: unread.droppedBytes })]);
  });

  it('is not taken from a closed process that somebody is still reading', async () => {
    await using room = await journalRoom({ bytesTotal: 4 * MiB });
    const [closed, writing] = [room.journal(), room.journal()];
    using reader = closed.follow(0, always);
    fill(closed, 4 * MiB);
    closed.end();
    fill(writing, 4 * MiB);
    await written(writing);
    expect([closed.droppedBytes, writing.droppedBytes > 0]).toEqual([0, true]);
    reader.moved(closed.nextSeq - 1);
    fill(writing, 2 * MiB);
    await written(writing);
    expect(closed.droppedBytes).toBeGreaterThan(0);
  });

  it('forgets a closed process with its journal', async () => {
    await using room = await journalRoom({ bytesTotal: 4 * MiB });
    const [closed, writing] = [room.journal(), room.journal()];
    fill(closed, 4 * MiB);
    await written(closed);
    closed.end();
    closed.dispose();
    fill(writing, 4 * MiB);
    await written(writing);
    expect([closed.droppedBytes, writing.droppedBytes]).toEqual([0, 0]);
  });
});
