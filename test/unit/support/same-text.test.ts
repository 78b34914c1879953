import { expect, test } from 'vitest';

import { sameText } from '../../../src/support/same-text.ts';

test.each([
  ['', '', true],
  ['a', 'a', true],
  ['a', 'b', false],
  ['a', 'aa', false],
  ['', 'a', false],
  ['ü', 'ü', true],
  ['x'.repeat(10_000), 'x'.repeat(10_000), true],
  ['x'.repeat(10_000), `${'x'.repeat(9_999)}y`, false],
])('tells whether two texts are the same: %#', (one, other, same) => {
  expect(sameText(one, other)).toBe(same);
});
