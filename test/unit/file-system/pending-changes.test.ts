import { describe, expect, test } from 'vitest';

import { PendingChanges } from '../../../src/file-system/pending-changes.ts';
import { limits } from '../../../src/protocol/limits.ts';
import type { ChangeKind } from '../../../src/protocol/watch.ts';
import { Random, seeds } from '../../support/unit-random.ts';

/** `+a` created, `~a` modified, `-a` removed; a slash at the end is a directory. */
function merged(...events: string[]): string[] {
  const pending = new PendingChanges();
  for (const event of events) record(pending, event);
  return taken(pending);
}

const kinds: Readonly<Record<string, ChangeKind>> = { '+': 'created', '~': 'modified', '-': 'removed' };

function record(pending: PendingChanges, event: string): boolean {
  const path = event.slice(1).replace(/\/$/, '');
  return pending.record(path, kinds[event.charAt(0)] ?? 'modified', event.endsWith('/'));
}

function taken(pending: PendingChanges): string[] {
  const all: string[] = [];
  while (pending.size > 0) {
    for (const { path, kind, isDirectory } of pending.next()) {
      const sign = Object.entries(kinds).find(([, name]) => name === kind)?.[0];
      all.push(`${sign}${path}${isDirectory ? '/' : ''}`);
    }
  }
  return all;
}

describe('changes of one path', () => {
  test.each([
    [['+a', '~a'], ['+a']],
    [['~a', '~a'], ['~a']],
    [['~a', '-a'], ['-a']],
    [['~a', '+a'], ['+a']],
    [['+a', '-a'], ['-a']],
    [
      ['-a', '+a'],
      ['-a', '+a'],
    ],
    [['-a', '~a'], ['-a']],
    [
      ['-a', '+a', '~a'],
      ['-a', '+a'],
    ],
    [['-a', '+a', '-a'], ['-a']],
    [
      ['+a', '-a', '+a/'],
      ['-a', '+a/'],
    ],
    [['+', '~', '-'], ['-']],
  ])('%j become %j', (events, expected) => {
    expect(merged(...events)).toEqual(expected);
  });
});

describe('changes of several paths', () => {
  test.each([
    ['a removal takes with it what was below', ['+a/', '+a/b/', '+a/b/c', '~d', '-a/'], ['~d', '-a/']],
    ['what comes again comes behind the removal', ['+a/f', '-a/', '+a/', '+a/f'], ['-a/', '+a/', '+a/f']],
    [
      'a change of a directory does not get behind what is in it',
      ['-a/', '+a/', '+a/f', '~a/'],
      ['-a/', '+a/', '+a/f'],
    ],
    ['a second creation does not either', ['-a/', '+a/', '+a/f', '+a/'], ['-a/', '+a/', '+a/f']],
    ['what comes below comes behind', ['-a/', '+a/f', '+a/'], ['-a/', '+a/', '+a/f']],
    ['names that begin alike are not below', ['+ab', '-a'], ['+ab', '-a']],
  ])('%s', (_title, events, expected) => {
    expect(merged(...events)).toEqual(expected);
  });

  test.each(seeds)('lead to the same tree as every single one, whatever they are (seed %i)', (seed) => {
    const random = new Random(seed);
    for (let round = 0; round < 200; round++) {
      const pending = new PendingChanges();
      const [one, other] = [new Set<string>(), new Set<string>()];
      for (let step = 0; step < 40; step++) {
        const path = Array.from({ length: 1 + random.below(3) }, () => random.pick(['a', 'b'])).join('/');
        const event = `${random.pick(['+', '+', '~', '-'])}${path}`;
        apply(one, event);
        record(pending, event);
        if (random.below(15) === 0) for (const told of taken(pending)) apply(other, told);
      }
      for (const told of taken(pending)) apply(other, told);
      expect([...other].sort()).toEqual([...one].sort());
    }
  });
});

test('one report takes a bounded number of changes, and the rest stays', () => {
  const pending = new PendingChanges();
  for (let index = 0; index < 2500; index++) record(pending, `+${index}`);
  const sizes: number[] = [];
  while (pending.size > 0) sizes.push(pending.next().length);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.watchReportChanges);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(2500);
});

test('one report takes a bounded number of bytes', () => {
  const pending = new PendingChanges();
  const name = 'x'.repeat(4000);
  for (let index = 0; index < 200; index++) record(pending, `+${index}${name}`);
  const bytes = pending.next().reduce((sum, { path }) => sum + path.length, 0);
  expect(bytes).toBeLessThanOrEqual(limits.watchReportBytes + 5000);
});

test.each([
  ['changes', '', limits.watchPendingChanges],
  ['bytes', 'x'.repeat(4000), Math.floor(limits.watchPendingBytes / 4100)],
])('too many %s are refused, and a cleared one takes them again', (_what, name, count) => {
  const pending = new PendingChanges();
  for (let index = 0; index < count; index++) expect(record(pending, `+${index}${name}`)).toBe(true);
  let more = true;
  for (let index = 0; index < 100 && more; index++) more = record(pending, `+more${index}${name}`);
  expect(more).toBe(false);
  pending.clear();
  expect(pending.size).toBe(0);
  expect(record(pending, '+a')).toBe(true);
});

/** What a client does: a tree of names, in which a removal takes everything below. */
function apply(tree: Set<string>, event: string): void {
  const path = event.slice(1);
  if (event.startsWith('+')) tree.add(path);
  if (!event.startsWith('-')) return;
  for (const name of tree) if (name === path || name.startsWith(`${path}/`)) tree.delete(name);
}
