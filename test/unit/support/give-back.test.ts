import { expect, it } from 'vitest';

import { giveBack } from '../../../src/support/give-back.ts';

it('frees bytes that are a whole buffer', () => {
  const bytes = new Uint8Array(1024);
  giveBack(bytes);
  expect(bytes.buffer.detached).toBe(true);
});

it('leaves bytes alone that are a part of others', () => {
  const all = new Uint8Array(1024);
  giveBack(all.subarray(0, 1023));
  expect(all).toHaveLength(1024);
});

it('leaves an empty buffer alone, which others may share', () => {
  const empty = Buffer.alloc(0);
  giveBack(empty);
  expect(empty.buffer.detached).toBe(false);
});
