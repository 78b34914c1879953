import { readdirSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { decodeEvents, encodeEvents, takeWithin } from '../../../src/process/journal-event.ts';
import type { JournalEvent } from '../../../src/process/journal-event.ts';
import { Spill } from '../../../src/process/spill.ts';
import { SpillBudget, type SpillLimits } from '../../../src/process/spill-budget.ts';
import { openFile, openFilesIn, temporaryFolder } from '../../support/unit-folder.ts';
import { content } from '../../support/unit-journal.ts';

const MiB = 1024 * 1024;

function block(firstSeq: number, count: number, bytes: number): JournalEvent[] {
  return Array.from({ length: count }, (_, i) => ({
    seq: firstSeq + i,
    kind: 'stdout' as const,
    offset: (firstSeq + i - 1) * bytes,
    bytes: content(firstSeq + i, bytes),
  }));
}

const budgetOf = (directory: string, given: Partial<SpillLimits> = {}): SpillBudget =>
  new SpillBudget({ directory, bytesPerProcess: 100 * MiB, bytesTotal: 100 * MiB, ...given });

const nobody = { neededAfter: Infinity, newestTaken: 0 };

describe('Spill', () => {
  it('gives back what it has taken, before and after it is on disk', async () => {
    await using folder = await temporaryFolder();
    const spill = new Spill(budgetOf(folder.path), nobody);
    const written = spill.append(block(1, 10, 1000));
    expect(spill.pendingBytes).toBeGreaterThan(10_000);
    const before = await spill.read(0, MiB, 100);
    await written;
    expect(spill.pendingBytes).toBe(0);
    expect(await spill.read(0, MiB, 100)).toEqual(before);
    expect(before).toEqual(block(1, 10, 1000));
    spill.dispose();
  });

  it('reads from the middle of a block, within the limits of the caller', async () => {
    await using folder = await temporaryFolder();
    const spill = new Spill(budgetOf(folder.path), nobody);
    await spill.append(block(1, 10, 100));
    await spill.append(block(11, 10, 100));
    const seqs = async (afterSeq: number, maxBytes: number, maxEvents: number): Promise<number[]> =>
      (await spill.read(afterSeq, maxBytes, maxEvents)).map((event) => event.seq);
    expect(await seqs(4, 300, 100)).toEqual([5, 6, 7]);
    expect(await seqs(4, MiB, 2)).toEqual([5, 6]);
    expect(await seqs(4, 0, 100)).toEqual([5]);
    expect(await seqs(9, MiB, 100)).toEqual([10]);
    expect(await seqs(10, MiB, 3)).toEqual([11, 12, 13]);
    expect(await seqs(20, MiB, 100)).toEqual([]);
    expect(spill.firstAfter(14)).toEqual({ seq: 15, offset: 1000 });
    expect(spill.firstAfter(20)).toBeUndefined();
    spill.dispose();
  });

  it('goes on in a new file when one is full, and closes all of them at its end', async () => {
    await using folder = await temporaryFolder();
    const budget = budgetOf(folder.path);
    const spill = new Spill(budget, nobody);
    for (let i = 0; i < 5; i++) await spill.append(block(1 + i * 7, 7, MiB));
    expect(openFilesIn(folder.path)).toBe(3);
    for (let cursor = 0; cursor < 35; cursor += 7) {
      const events = await spill.read(cursor, 100 * MiB, 100);
      expect(events.every((event) => event.bytes.equals(content(event.seq, MiB)))).toBe(true);
      expect(events).toHaveLength(7);
    }
    spill.dispose();
    expect(budget.usedBytes).toBe(0);
    await expect.poll(() => openFilesIn(folder.path), { timeout: 10_000 }).toBe(0);
  });

  it('drops whole blocks, the oldest first, and counts their output', async () => {
    await using folder = await temporaryFolder();
    const budget = budgetOf(folder.path, { bytesPerProcess: 25_000 });
    const spill = new Spill(budget, nobody);
    for (let i = 0; i < 4; i++) await spill.append(block(1 + i * 10, 10, 1000));
    expect(spill.firstAfter(0)).toEqual({ seq: 21, offset: 20_000 });
    expect(spill.droppedBytes).toBe(20_000);
    expect([0, 10, 15, 20].map((seq) => spill.offsetAfter(seq))).toEqual([0, 10_000, 10_000, 20_000]);
    expect(await spill.read(0, MiB, 100)).toEqual([]);
    expect(budget.usedBytes).toBeLessThanOrEqual(25_000);
    spill.dispose();
  });

  it('counts thousands of drops, and remembers where enough of them ended', async () => {
    await using folder = await temporaryFolder();
    const spill = new Spill(budgetOf(folder.path, { bytesPerProcess: 0 }), nobody);
    for (let seq = 1; seq <= 5000; seq++) await spill.append(block(seq, 1, 10));
    expect(spill.droppedBytes).toBe(50_000);
    expect(spill.offsetAfter(4999)).toBeLessThanOrEqual(49_990);
    expect(spill.offsetAfter(4999)).toBeGreaterThan(49_000);
    spill.dispose();
  });

  it('drops what the disk does not take', async () => {
    const budget = budgetOf('/dev/null');
    const spill = new Spill(budget, nobody);
    await spill.append(block(1, 10, 1000));
    expect([spill.droppedBytes, spill.pendingBytes, budget.usedBytes]).toEqual([10_000, 0, 0]);
    spill.dispose();
  });

  it('drops what the disk does not give back', async () => {
    await using folder = await temporaryFolder();
    const budget = budgetOf(folder.path);
    const spill = new Spill(budget, nobody);
    await spill.append(block(1, 10, 1000));
    await spill.append(block(11, 10, 1000));
    const fds = readdirSync('/proc/self/fd').filter((fd) => openFile(fd).startsWith(`${folder.path}/`));
    expect(fds).toHaveLength(1);
    await truncate(`/proc/self/fd/${fds[0]}`, 15_000);
    expect(await spill.read(10, MiB, 100)).toEqual([]);
    // What lies before the damaged part goes with it: the loss is one range.
    expect([spill.firstAfter(0), spill.droppedBytes, budget.usedBytes]).toEqual([undefined, 20_000, 0]);
    spill.dispose();
  });

  it('leaves no file behind when it is disposed before its first write has ended', async () => {
    await using folder = await temporaryFolder();
    const budget = budgetOf(folder.path);
    const spill = new Spill(budget, nobody);
    const written = spill.append(block(1, 10, 100_000));
    spill.dispose();
    await written;
    expect([budget.usedBytes, spill.pendingBytes]).toEqual([0, 0]);
    await expect.poll(() => openFilesIn(folder.path), { timeout: 10_000 }).toBe(0);
  });
});

describe('encodeEvents and decodeEvents', () => {
  it('keep number, kind and bytes', () => {
    const kinds = ['stdout', 'stderr', 'pty', 'exited', 'closed'] as const;
    const events = kinds.map((kind, i) => ({ seq: 2 ** 40 + i, kind, offset: 5, bytes: content(i, 0) }));
    expect([...decodeEvents(encodeEvents(events), 5)]).toEqual(events);
    expect([...decodeEvents(encodeEvents(block(7, 3, 10)), 60)]).toEqual(block(7, 3, 10));
    expect([...decodeEvents(encodeEvents([]), 0)]).toEqual([]);
  });

  it('refuse a damaged block', () => {
    const damaged = encodeEvents(block(1, 2, 10));
    damaged[8] = 99;
    expect(() => [...decodeEvents(damaged, 0)]).toThrow('damaged');
  });
});

describe('takeWithin', () => {
  it.each([
    [0, 10, 1],
    [9, 10, 1],
    [10, 10, 1],
    [19, 10, 1],
    [20, 10, 2],
    [1000, 10, 5],
    [1000, 3, 3],
  ])('takes within %i bytes and %i events: %i', (maxBytes, maxEvents, taken) => {
    expect(takeWithin(block(1, 5, 10), maxBytes, maxEvents)).toHaveLength(taken);
  });
});
