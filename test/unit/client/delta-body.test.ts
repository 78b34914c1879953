import { describe, expect, it } from 'vitest';

import { DeltaBody } from '../../../src/client/delta-body.ts';
import { limits } from '../../../src/protocol/limits.ts';
import type { Event } from '../../../src/protocol/methods.ts';

type Delta = Event<'http/request/bodyDelta'>;

function delta(seq: number, text: string, more: Partial<Delta> = {}): Delta {
  return { requestId: 'r', seq, deltaBase64: Buffer.from(text), done: false, error: null, ...more };
}

/** The text of the body, or the text of its failure. */
async function read(...deltas: readonly Delta[]): Promise<string> {
  let ended = 0;
  const body = new DeltaBody(() => void (ended += 1));
  for (const one of deltas) body.receive(one);
  const parts: Uint8Array[] = [];
  try {
    for await (const part of body) parts.push(part);
    return Buffer.concat(parts).toString();
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  } finally {
    expect(ended).toBe(1);
  }
}

describe('a body that comes as deltas', () => {
  it('is whole with the last one, which may have bytes', async () => {
    expect(await read(delta(1, 'a'), delta(2, 'b'), delta(3, '', { done: true }))).toBe('ab');
    expect(await read(delta(1, 'a'), delta(2, 'b', { done: true, bodyBytes: 2 }))).toBe('ab');
    expect(await read(delta(1, '', { done: true }))).toBe('');
  });

  it('has failed where a delta says so', async () => {
    expect(await read(delta(1, 'a'), delta(2, '', { done: true, error: 'it broke' }))).toBe(
      'failed: it broke',
    );
  });

  it.each([
    ['one is missing', [delta(1, 'a'), delta(3, 'c')]],
    ['one comes twice', [delta(1, 'a'), delta(1, 'a')]],
    ['the first is missing', [delta(2, 'b')]],
    ['the total is wrong', [delta(1, 'a'), delta(2, '', { done: true, bodyBytes: 2 })]],
  ])('has failed where %s', async (_what, deltas) => {
    expect(await read(...deltas)).toMatch(/^failed: The body of the answer is broken/);
  });

  it('has failed where more comes than can be kept', async () => {
    const large = { deltaBase64: Buffer.alloc(limits.streamCreditBytes + 1) };
    expect(await read(delta(1, '', large))).toMatch(/faster than it was read/);
  });

  it('ends for a reader that waits, when the connection does', async () => {
    const body = new DeltaBody(() => {});
    const next = body[Symbol.asyncIterator]().next();
    body.fail(new Error('gone'));
    await expect(next).rejects.toThrow('gone');
  });
});
