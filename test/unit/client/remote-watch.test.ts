import { describe, expect, test } from 'vitest';

import type { Call } from '../../../src/client/call.ts';
import { RemoteWatch, type WatchUpdate } from '../../../src/client/remote-watch.ts';
import type { Event } from '../../../src/protocol/methods.ts';
import { expectSoon } from '../../support/unit-wait.ts';

type Report = Event<'fs/changed'>;

/** A watch, what it has called, and its updates so far. */
function create(): {
  watch: RemoteWatch;
  calls: string[];
  next: () => Promise<IteratorResult<WatchUpdate, void>>;
} {
  const calls: string[] = [];
  const call = (async (method: string) => {
    calls.push(method);
    return {};
  }) as unknown as Call;
  const watch = new RemoteWatch('w', call);
  const iterator = watch[Symbol.asyncIterator]();
  return { watch, calls, next: () => expectSoon('an update', iterator.next()) };
}

function report(cursor: number, fields: Partial<Report> = {}): Report {
  return { watchId: 'w', cursor, changes: [{ path: `/${cursor}`, kind: 'created' }], ...fields };
}

const many = (count: number): Report['changes'] =>
  Array.from({ length: count }, (_, index) => ({ path: `/${index}`, kind: 'modified' as const }));

describe('a remote watch', () => {
  test('gives reports in their order, those before the reader came, too', async () => {
    const { watch, next } = create();
    watch.receive(report(1));
    watch.receive(report(2));
    expect((await next()).value).toMatchObject({ cursor: 1, changes: [{ path: '/1' }], resync: false });
    expect((await next()).value).toMatchObject({ cursor: 2, changes: [{ path: '/2' }] });
    const waiting = next();
    watch.receive(report(3));
    expect((await waiting).value).toMatchObject({ cursor: 3 });
  });

  test('makes a resync of a report that is missing', async () => {
    const { watch, next } = create();
    watch.receive(report(1));
    watch.receive(report(3));
    watch.receive(report(4));
    expect((await next()).value).toMatchObject({ cursor: 3, changes: [], resync: true, reason: 'missed' });
    expect((await next()).value).toMatchObject({ cursor: 4, resync: false });
  });

  test('makes a resync of more than it keeps for a slow reader', async () => {
    const { watch, next } = create();
    for (let cursor = 1; cursor <= 30; cursor++) watch.receive(report(cursor, { changes: many(1000) }));
    const seen: WatchUpdate[] = [];
    for (let last = 0; last < 30;) {
      const { value } = await next();
      if (value === undefined) throw new Error('It has ended.');
      seen.push(value);
      last = value.cursor;
    }
    expect(seen[0]).toMatchObject({ resync: true, reason: 'behind', cursor: 21 });
    expect(seen.slice(1).map(({ cursor }) => cursor)).toEqual([22, 23, 24, 25, 26, 27, 28, 29, 30]);
  });

  test('passes on what the executor says of a resync, and ends with it', async () => {
    const { watch, next } = create();
    watch.receive(report(1));
    const last: Partial<Report> = {
      changes: [],
      resync: true,
      ended: true,
      reason: 'limit',
      message: 'Watch less.',
    };
    expect(watch.receive(report(2, last))).toBe(false);
    expect(watch.receive(report(3))).toBe(false);
    expect((await next()).value).toMatchObject({ resync: true, reason: 'limit', message: 'Watch less.' });
    expect((await next()).done).toBe(true);
  });

  test('ends at its close, once, and gives nothing more', async () => {
    const { watch, calls, next } = create();
    watch.receive(report(1));
    await watch.close();
    const { done } = await next();
    await watch.close();
    expect([done, calls]).toEqual([true, ['fs/unwatch']]);
  });

  test('gives what has come before the connection was lost, and throws then', async () => {
    const { watch, next } = create();
    watch.receive(report(1));
    watch.fail(new Error('lost'));
    expect((await next()).value).toMatchObject({ cursor: 1 });
    await expect(next()).rejects.toThrow('lost');
  });

  test('wakes a reader when the connection is lost', async () => {
    const { watch, next } = create();
    const waiting = next();
    watch.fail(new Error('lost'));
    await expect(waiting).rejects.toThrow('lost');
  });
});
