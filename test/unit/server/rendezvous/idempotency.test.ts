import { expect, test } from 'vitest';

import { idempotencyId, ownIdempotencyId } from '../../../../src/server/rendezvous/idempotency.ts';

test.each([
  [
    'account_id',
    undefined,
    'codex-exec-server',
    'codex-exec-server-1dd70a6f8eafe7a30f3014eb478c81ac1f7461fceda09d283a7d88506340b1fe',
  ],
  [
    'acct-1',
    'env-1',
    'box',
    'codex-exec-server-ce7ced4cb394b0d5f805e31aa432a73a053a495fa31ed68c977d852e7aea5168',
  ],
])(
  'the id of account %s, environment %s and name %s is that of the field',
  (account, environment, name, id) => {
    expect(idempotencyId(account, environment, name)).toBe(id);
  },
);

test('every part makes another id, wherever it ends', () => {
  const ids = [
    ['a', 'b', 'c'],
    ['ab', '', 'c'],
    ['a', 'bc', ''],
    ['a', undefined, 'c'],
    ['', 'b', 'c'],
  ].map(([account, environment, name]) => idempotencyId(account ?? '', environment, name ?? ''));
  expect(new Set(ids).size).toBe(ids.length);
  // What stands for an environment that the service chooses is an id that somebody can give.
  expect(idempotencyId('a', 'auto', 'c')).toBe(idempotencyId('a', undefined, 'c'));
});

test('the id of one run has the same form and is never the same', () => {
  const ids = [ownIdempotencyId(), ownIdempotencyId()];
  for (const id of ids) expect(id).toMatch(/^codex-exec-server-[0-9a-f]{64}$/);
  expect(ids[0]).not.toBe(ids[1]);
});
