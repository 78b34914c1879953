import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../src/process/journal.ts';
import { limits } from '../../../src/protocol/limits.ts';
import { openFilesIn } from '../../support/unit-folder.ts';
import { content, journalRoom, pullAll, settled } from '../../support/unit-journal.ts';
import { Random, seeds } from '../../support/unit-random.ts';

const MiB = 1024 * 1024;
const chunk = limits.chunkBytes;

function fill(journal: Journal, events: number, bytes: number): void {
  for (let i = 0; i < events; i++) journal.append('stdout', content(journal.nextSeq, bytes));
}

describe('Journal in memory', () => {
  it('numbers events from 1 on, whatever their kind', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    expect(journal.nextSeq).toBe(1);
    const kinds = ['stdout', 'stderr', 'exited', 'stdout', 'closed'] as const;
    expect(kinds.map((kind) => journal.append(kind, Buffer.from(kind)))).toEqual([1, 2, 3, 4, 5]);
    expect(journal.nextSeq).toBe(6);
    const { events } = await pullAll(journal, 0, MiB);
    expect(events.map(({ seq, kind, bytes }) => [seq, kind, bytes.toString()])).toEqual(
      kinds.map((kind, i) => [i + 1, kind, kind]),
    );
  });

  it('has nothing after its newest event, nor after a cursor beyond it', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    expect(journal.pullNow(0, MiB)).toEqual({ events: [] });
    journal.append('stdout', Buffer.from('x'));
    for (const cursor of [1, 2, 1000]) expect(await journal.pull(cursor, MiB)).toEqual({ events: [] });
  });

  it.each([
    [0, [1]],
    [3, [1]],
    [4, [1]],
    [7, [1]],
    [8, [1, 2]],
    [11, [1, 2]],
    [12, [1, 2, 3]],
    [1000, [1, 2, 3, 4]],
  ])('gives the first event and what else fits into %i bytes', async (maxBytes, seqs) => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 3, 4);
    journal.append('exited');
    const { events } = await journal.pull(0, maxBytes);
    // An event without bytes fits where there is room.
    expect(events.map((event) => event.seq)).toEqual(seqs);
  });

  it('tells each subscriber of each append, until it is disposed', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    let [first, second] = [0, 0];
    const one = journal.subscribe(() => void (first += 1));
    const two = journal.subscribe(() => void (second += 1));
    expect(journal.watched).toBe(true);
    fill(journal, 2, 1);
    one[Symbol.dispose]();
    fill(journal, 1, 1);
    two[Symbol.dispose]();
    expect(journal.watched).toBe(false);
    fill(journal, 1, 1);
    expect([first, second]).toEqual([2, 3]);
  });

  it('opens no file while everything fits into memory', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 15, chunk);
    expect(journal.pullNow(0, 0)?.events).toHaveLength(1);
    expect(openFilesIn(room.folder.path)).toBe(0);
    expect(room.budget.spill.usedBytes).toBe(0);
  });
});

describe('Journal on disk', () => {
  it('keeps the newest events in memory and gives the older ones from disk, byte for byte', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 200, chunk);
    await settled(journal, () => openFilesIn(room.folder.path) > 0);
    expect(room.budget.memoryBytes).toBeLessThanOrEqual(limits.journalMemoryBytes);
    expect(journal.pullNow(0, MiB)).toBeUndefined();
    const { events, gaps } = await pullAll(journal, 0, MiB);
    expect(gaps).toEqual([]);
    expect(events.map((event) => event.seq)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    for (const { seq, bytes } of events) expect(bytes.equals(content(seq, chunk)), `event ${seq}`).toBe(true);
  });

  it('has no step between disk and memory: pulls from each cursor begin with the next event', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 60, chunk / 2);
    fill(journal, 60, 10);
    for (let cursor = 0; cursor < 120; cursor++) {
      const { events } = await journal.pull(cursor, 0);
      expect(events.map((event) => event.seq)).toEqual([cursor + 1]);
    }
  });

  it('leaves no name in its folder', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 100, chunk);
    await pullAll(journal, 0, MiB);
    await settled(journal, () => !journal.congested && openFilesIn(room.folder.path) > 0);
    await expect.poll(() => readdir(room.folder.path), { timeout: 10_000 }).toEqual([]);
  });

  it.each(seeds)(
    'gives readers at different cursors the same bytes while it is written (seed %i)',
    async (seed) => {
      await using room = await journalRoom();
      const journal = room.journal();
      const random = new Random(seed);
      const written: Buffer[] = [];
      const read = async (cursor: number, maxBytes: number): Promise<Buffer> => {
        const { events, gaps } = await pullAll(journal, cursor, maxBytes);
        expect(gaps).toEqual([]);
        return Buffer.concat(events.map((event) => event.bytes));
      };
      for (let round = 0; round < 6; round++) {
        for (let i = 0; i < 60; i++) {
          const bytes = random.bytes(random.pick([0, 1, 100, 5000]));
          const all = Buffer.concat([bytes, content(journal.nextSeq, random.pick([0, 30_000, chunk]))]);
          written.push(all);
          journal.append('stdout', Buffer.from(all));
        }
        const cursors = Array.from({ length: 4 }, () => random.below(journal.nextSeq));
        const results = await Promise.all(
          cursors.map((cursor) => read(cursor, random.pick([0, 1, chunk, MiB]))),
        );
        for (const [i, cursor] of cursors.entries()) {
          const expected = Buffer.concat(written.slice(cursor));
          expect(results[i]?.equals(expected), `seed ${seed}, cursor ${cursor}`).toBe(true);
        }
      }
    },
  );

  it('bounds the memory of a million tiny events, and keeps them all', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    for (let i = 0; i < 100_000; i++) journal.append('stdout', Buffer.from([i & 0xff]));
    expect(room.budget.memoryBytes).toBeLessThanOrEqual(limits.journalMemoryBytes);
    const { events, gaps } = await pullAll(journal, 0, MiB);
    expect(gaps).toEqual([]);
    expect(events).toHaveLength(100_000);
    expect(events.every((event) => event.bytes[0] === ((event.seq - 1) & 0xff))).toBe(true);
  });

  it('answers a pull of tiny events in parts', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 5000, 1);
    expect((await journal.pull(0, MiB)).events).toHaveLength(1024);
  });

  it('is congested while the disk is behind, and tells its subscribers when it has caught up', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    while (!journal.congested) fill(journal, 1, chunk);
    await settled(journal, () => !journal.congested);
    expect((await pullAll(journal, 0, MiB)).gaps).toEqual([]);
  });

  it('keeps less in memory where all journals together have much', async () => {
    await using room = await journalRoom();
    const greedy = limits.journalMemoryTotalBytes / limits.journalMemoryBytes;
    const others = Array.from({ length: greedy + 8 }, () => room.journal());
    for (const journal of others) fill(journal, 15, chunk);
    expect(room.budget.memoryBytes).toBeLessThan(
      limits.journalMemoryTotalBytes + 2 * limits.journalMemoryBytes,
    );
    const [first] = others;
    if (first !== undefined) expect((await pullAll(first, 0, MiB)).events).toHaveLength(15);
  });
});

describe('Journal whose limits drop events', () => {
  it('names exactly what the limit of a process has dropped', async () => {
    await using room = await journalRoom({ bytesPerProcess: 2 * MiB });
    const journal = room.journal();
    fill(journal, 200, chunk);
    const { events, gaps } = await pullAll(journal, 0, MiB);
    const [gap] = gaps;
    expect(gaps).toHaveLength(1);
    expect(gap).toEqual({
      fromSeq: 1,
      toSeq: (events[0]?.seq ?? 0) - 1,
      endOffset: (gap?.toSeq ?? 0) * chunk,
    });
    expect(journal.droppedBytes).toBe(gap?.endOffset);
    expect(events.length * chunk + journal.droppedBytes).toBe(200 * chunk);
    for (const { seq, bytes } of events) expect(bytes.equals(content(seq, chunk)), `event ${seq}`).toBe(true);
    expect(room.budget.spill.usedBytes).toBeLessThanOrEqual(2 * MiB);
    // Both parts are used: a limit that drops everything would satisfy the rest as well.
    expect(events.length * chunk).toBeGreaterThan(2 * MiB);
  });

  it('tells each reader the gap from its own cursor on', async () => {
    await using room = await journalRoom({ bytesPerProcess: MiB });
    const journal = room.journal();
    fill(journal, 100, chunk);
    const whole = (await journal.pull(0, MiB)).gap;
    const last = whole?.toSeq ?? 0;
    expect(last).toBeGreaterThan(20);
    expect((await journal.pull(10, MiB)).gap).toMatchObject({ fromSeq: 11, toSeq: last });
    expect((await journal.pull(last - 1, MiB)).gap).toMatchObject({ fromSeq: last, toSeq: last });
    expect((await journal.pull(last, 0)).events.map((event) => event.seq)).toEqual([last + 1]);
  });

  it('drops nothing of a process for what another one has filled, beyond the limit of all', async () => {
    await using room = await journalRoom({ bytesTotal: 3 * MiB });
    const [quiet, loud] = [room.journal(), room.journal()];
    fill(quiet, 32, chunk);
    fill(loud, 200, chunk);
    expect(room.budget.spill.usedBytes).toBeLessThanOrEqual(3 * MiB);
    expect((await pullAll(quiet, 0, MiB)).gaps).toEqual([]);
    const { events, gaps } = await pullAll(loud, 0, MiB);
    expect(gaps).toEqual([{ fromSeq: 1, toSeq: (events[0]?.seq ?? 0) - 1, endOffset: loud.droppedBytes }]);
  });

  it('names a gap of many blocks with all of its bytes', async () => {
    await using room = await journalRoom({ bytesPerProcess: 0 });
    const journal = room.journal();
    fill(journal, 600, chunk);
    const { events, gaps } = await pullAll(journal, 0, MiB);
    expect(gaps).toEqual([
      { fromSeq: 1, toSeq: 600 - events.length, endOffset: (600 - events.length) * chunk },
    ]);
  });

  it.each([
    ['does not exist', '/nonexistent/journals'],
    ['is a file', '/dev/null'],
    ['cannot be written', '/proc'],
  ])('names a gap where the folder %s, and keeps the memory', async (_, directory) => {
    await using room = await journalRoom({ directory });
    const journal = room.journal();
    fill(journal, 100, chunk);
    await settled(journal, () => journal.droppedBytes > 0 && room.budget.spill.usedBytes === 0);
    const { events, gaps } = await pullAll(journal, 0, MiB);
    expect(gaps).toEqual([{ fromSeq: 1, toSeq: 100 - events.length, endOffset: journal.droppedBytes }]);
    expect(events.length).toBeGreaterThan(0);
    expect(events.at(-1)?.seq).toBe(100);
  });
});

describe('Journal that is disposed', () => {
  it('closes its files and gives every byte of the budget back', async () => {
    await using room = await journalRoom();
    const journals = Array.from({ length: 5 }, () => room.journal());
    for (const journal of journals) fill(journal, 300, chunk);
    for (const journal of journals) await pullAll(journal, 0, MiB);
    await expect.poll(() => openFilesIn(room.folder.path), { timeout: 10_000 }).toBeGreaterThanOrEqual(5);
    for (const journal of journals) journal.dispose();
    expect(room.budget.memoryBytes).toBe(0);
    expect(room.budget.spill.usedBytes).toBe(0);
    await expect.poll(() => openFilesIn(room.folder.path), { timeout: 10_000 }).toBe(0);
    await expect.poll(() => readdir(room.folder.path), { timeout: 10_000 }).toEqual([]);
  });

  it('does so in the middle of writes and reads, and when it is disposed twice', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 200, chunk);
    await settled(journal, () => openFilesIn(room.folder.path) > 0);
    const pulls = [journal.pull(0, MiB), journal.pull(20, MiB), journal.pull(150, MiB)];
    fill(journal, 100, chunk);
    journal.dispose();
    journal.dispose();
    await Promise.all(pulls);
    expect([room.budget.memoryBytes, room.budget.spill.usedBytes]).toEqual([0, 0]);
    await expect.poll(() => openFilesIn(room.folder.path), { timeout: 10_000 }).toBe(0);
    await expect.poll(() => readdir(room.folder.path), { timeout: 10_000 }).toEqual([]);
  });

  it('names everything that it had as a gap', async () => {
    await using room = await journalRoom();
    const journal = room.journal();
    fill(journal, 100, chunk);
    journal.dispose();
    expect((await journal.pull(0, MiB)).gap).toMatchObject({ fromSeq: 1, toSeq: 100 });
  });

  it('gives back the space of dropped files while it goes on', async () => {
    await using room = await journalRoom({ bytesPerProcess: 4 * MiB });
    const journal = room.journal();
    for (let round = 0; round < 20; round++) {
      fill(journal, 60, chunk);
      await settled(journal, () => !journal.congested);
    }
    // 75 MiB went through files of 16 MiB each.
    await expect.poll(() => openFilesIn(room.folder.path), { timeout: 10_000 }).toBeLessThanOrEqual(2);
  });
});
