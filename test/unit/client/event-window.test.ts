import { describe, expect, it } from 'vitest';
import { EventWindow, type ProcessEvent } from '../../../src/client/event-window.ts';
import { Random, seeds } from '../../support/unit-random.ts';
import { expectSoon } from '../../support/unit-wait.ts';

const MiB = 1024 * 1024;

const output = (seq: number, bytes = 1): ProcessEvent => ({
  kind: 'output',
  seq,
  stream: 'stdout',
  bytes: new Uint8Array(bytes).fill(seq & 0xff),
});
const gap = (fromSeq: number, toSeq: number): ProcessEvent => ({
  kind: 'gap',
  seq: toSeq,
  gap: { fromSeq, toSeq, bytes: 100 },
});
const exited = (seq: number): ProcessEvent => ({ kind: 'exited', processId: 'p', seq, exitCode: 0 });
const closed = (seq: number): ProcessEvent => ({ kind: 'closed', processId: 'p', seq });

/** The events of one process: output, some gaps, and the end. */
function history(random: Random, count: number, bytes: readonly number[]): ProcessEvent[] {
  const events: ProcessEvent[] = [];
  let seq = 1;
  for (let i = 0; i < count; i++) {
    const length = 1 + random.below(5);
    if (random.below(10) === 0) events.push(gap(seq, seq + length - 1));
    else events.push(output(seq, random.pick(bytes)));
    seq = (events.at(-1)?.seq ?? 0) + 1;
  }
  return [...events, exited(seq), closed(seq + 1)];
}

/** What a reader of the window gets, from a cursor on. */
function readFrom(window: EventWindow, cursor: number): ProcessEvent[] | 'older' {
  const events: ProcessEvent[] = [];
  for (let event = window.after(cursor); event !== undefined; event = window.after(cursor)) {
    if (event === 'older') return 'older';
    events.push(event);
    cursor = event.seq;
  }
  return events;
}

describe('EventWindow: order', () => {
  it.each(seeds)('is that of the numbers, whatever order and however often events come (seed %i)', (seed) => {
    const random = new Random(seed);
    for (let round = 0; round < 50; round++) {
      const events = history(random, random.below(60), [1, 10, 1000]);
      const window = new EventWindow(MiB);
      const arriving = random.shuffle([...events, ...events.filter(() => random.below(2) === 0)]);
      const ordered = arriving.flatMap((event) => window.add(event));
      expect(ordered, `seed ${seed}`).toEqual(events);
      expect(window.nextSeq).toBe((events.at(-1)?.seq ?? 0) + 1);
      expect(readFrom(window, 0), `seed ${seed}`).toEqual(events);
      expect(window.failure).toBeUndefined();
    }
  });

  it('answers each event once, as soon as everything before it is there', () => {
    const window = new EventWindow(MiB);
    expect(window.add(output(2))).toEqual([]);
    expect(window.add(output(4))).toEqual([]);
    expect(window.after(0)).toBeUndefined();
    expect(window.add(output(1))).toEqual([output(1), output(2)]);
    expect(window.nextSeq).toBe(3);
    expect(window.add(output(1))).toEqual([]);
    expect(window.add(output(4))).toEqual([]);
    expect(window.add(output(3))).toEqual([output(3), output(4)]);
  });

  it('keeps the first of two events with one number', () => {
    const window = new EventWindow(MiB);
    window.add(output(2, 10));
    window.add(output(2, 20));
    window.add(output(1));
    expect(window.after(1)).toEqual(output(2, 10));
  });

  it('goes on behind a gap, and gives the gap to a cursor inside it', () => {
    const window = new EventWindow(MiB);
    window.add(output(6));
    expect(window.add(output(1))).toEqual([output(1)]);
    expect(window.add(gap(2, 5))).toEqual([gap(2, 5), output(6)]);
    for (const cursor of [1, 2, 3, 4]) expect(window.after(cursor)).toEqual(gap(2, 5));
    expect(window.after(5)).toEqual(output(6));
  });

  it('goes on behind a gap that begins with events which have come', () => {
    const window = new EventWindow(MiB);
    for (const seq of [1, 2, 3]) window.add(output(seq));
    window.add(gap(2, 5));
    window.add(output(6));
    expect(window.nextSeq).toBe(7);
  });

  it('has nothing after its newest event, nor after a cursor beyond it', () => {
    const window = new EventWindow(MiB);
    expect(window.after(0)).toBeUndefined();
    window.add(output(1));
    for (const cursor of [1, 2, 100]) expect(window.after(cursor)).toBeUndefined();
  });
});

describe('EventWindow: bounds', () => {
  it.each(seeds)(
    'tells older where an event is no longer here, and everything else exactly (seed %i)',
    (seed) => {
      const random = new Random(seed);
      for (let round = 0; round < 10; round++) {
        const capacity = random.pick([1, 200, 1000, 5000]);
        const events = history(random, 300, [1, 50, 400]);
        const window = new EventWindow(capacity);
        for (const [index, event] of events.entries()) {
          window.add(event);
          if (index % 20 !== 0 && index !== events.length - 1) continue;
          const answers = Array.from({ length: event.seq }, (_, cursor) => window.after(cursor));
          const here = answers.findIndex((answer) => answer !== 'older');
          expect(here, `seed ${seed}`).toBeGreaterThanOrEqual(0);
          const wrong = answers.findIndex(
            (answer, cursor) =>
              cursor >= here && answer !== events.find((candidate) => candidate.seq > cursor),
          );
          expect(wrong, `seed ${seed}, capacity ${capacity}: cursor ${wrong}`).toBe(-1);
          const kept = readFrom(window, here);
          const bytes =
            kept === 'older' ? [] : kept.map((one) => (one.kind === 'output' ? one.bytes.length : 0));
          const sum = bytes.reduce((total, count) => total + count, 0);
          expect(bytes.length === 1 || sum <= capacity, `seed ${seed}: ${sum} of ${capacity}`).toBe(true);
        }
      }
    },
  );

  it('keeps the newest event, however large it is', () => {
    const window = new EventWindow(10);
    window.add(output(1, 1000));
    expect(window.after(0)).toEqual(output(1, 1000));
    window.add(output(2, 1000));
    expect(window.after(0)).toBe('older');
    expect(window.after(1)).toEqual(output(2, 1000));
  });

  it('goes through a hundred thousand events', () => {
    const window = new EventWindow(64 * 1024);
    for (let seq = 1; seq <= 100_000; seq++) window.add(output(seq));
    expect(window.after(0)).toBe('older');
    expect(window.after(99_999)).toEqual(output(100_000));
  });

  it('fails when too many events wait for an earlier one', async () => {
    const window = new EventWindow(MiB);
    const waiting = window.more();
    for (let seq = 2; seq <= 10_000; seq++) window.add(output(seq));
    expect(window.failure?.message).toContain('from number 1 on');
    await expect(expectSoon('the failure', waiting)).rejects.toBe(window.failure);
  });

  it('fails when too many bytes wait for an earlier one, and not for one whose turn has come', () => {
    const window = new EventWindow(MiB);
    for (let seq = 2; seq <= 16; seq++) window.add(output(seq, MiB));
    expect(window.failure).toBeUndefined();
    expect(window.add(output(1, 20 * MiB))).toHaveLength(16);
    expect(window.failure).toBeUndefined();
    for (let seq = 18; seq <= 34; seq++) window.add(output(seq, MiB));
    expect(window.failure?.message).toContain('from number 17 on');
  });
});

describe('EventWindow: waiting', () => {
  it('ends with the next event in order', async () => {
    const window = new EventWindow(MiB);
    let told = false;
    const waiting = window.more().then(() => void (told = true));
    window.add(output(2));
    await Promise.resolve();
    expect(told).toBe(false);
    window.add(output(1));
    await expectSoon('the event', waiting);
  });

  it('rejects with the first failure, also for who waits later', async () => {
    const window = new EventWindow(MiB);
    const waiting = [window.more(), window.more()];
    window.fail(new Error('first'));
    window.fail(new Error('second'));
    for (const one of [...waiting, window.more()]) await expect(one).rejects.toThrow('first');
  });

  it('keeps what is in order when it fails', () => {
    const window = new EventWindow(MiB);
    window.add(output(1));
    window.fail(new Error('lost'));
    expect(window.after(0)).toEqual(output(1));
  });
});
