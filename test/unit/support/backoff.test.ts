import { describe, expect, test } from 'vitest';

import { backoff, pause } from '../../../src/support/backoff.ts';

function first(count: number, random: () => number): number[] {
  const waits: number[] = [];
  for (const wait of backoff({ firstMs: 100, mostMs: 1000 }, random)) {
    waits.push(wait);
    if (waits.length === count) break;
  }
  return waits;
}

describe('backoff', () => {
  test('begins at once, doubles, and stays at the most', () => {
    expect(first(8, () => 1)).toEqual([0, 100, 200, 400, 800, 1000, 1000, 1000]);
  });

  test('leaves half of each wait to chance', () => {
    expect(first(4, () => 0)).toEqual([0, 50, 100, 200]);
    expect(first(4, () => 0.5)).toEqual([0, 75, 150, 300]);
  });

  test('takes chances of its own where none are given', () => {
    const draw = (): number[] => first(6, Math.random);
    expect(draw()).not.toEqual(draw());
  });
});

describe('pause', () => {
  test('ends with its time, and leaves no listener behind', async () => {
    const leaving = new AbortController();
    await pause(1, leaving.signal);
    leaving.abort();
  });

  test('ends with the reason of the signal, before and in between', async () => {
    const leaving = new AbortController();
    const waiting = pause(1e9, leaving.signal);
    leaving.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(pause(0, leaving.signal)).rejects.toThrow('enough');
  });
});
