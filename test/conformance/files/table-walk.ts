import { expect } from 'vitest';

import { type Row, done, failed, undecodable } from './row.ts';

/** Section 3.8. */
export const canonicalizeRows: readonly Row[] = [
  canonicalize('file', 'leaves a path alone that has no link', 'file', 'file'),
  canonicalize('link', 'resolves a link', 'to-file', 'file'),
  canonicalize('below-link', 'resolves a link to a directory', 'to-dir/sub/deep', 'dir/sub/deep'),
  canonicalize('both', 'resolves one link after another', 'to-dir/link', 'dir/inner'),
  {
    ...canonicalize('trailing-slash', 'ignores a slash at the end', 'dir', 'dir'),
    params: (_tree, path) => ({ path: `${path('dir')}/` }),
  },
  {
    ...canonicalize('dots', 'resolves two dots', 'dir', 'file'),
    params: (_tree, path) => ({ path: `${path('dir')}/../file` }),
  },
  notCanonical('missing', 'says that nothing is there', 'missing', failed.ENOENT),
  notCanonical('dangling', 'says that the target of a link is missing', 'dangling', failed.ENOENT),
  notCanonical('loop', 'reports a circle of links', 'loop', failed.ELOOP),
  notCanonical('parent-file', 'says that a parent is a file', 'file/below', failed.ENOTDIR),
];

function canonicalize(id: string, title: string, name: string, found: string): Row {
  return {
    ...notCanonical(id, title, name, done),
    expected: (_tree, path) => ({ result: { path: path(found) } }),
  };
}

function notCanonical(id: string, title: string, name: string, expected: Row['expected']): Row {
  return {
    id: `canonicalize-${id}`,
    title: `fs/canonicalize ${title}`,
    method: 'fs/canonicalize',
    params: (_tree, path) => ({ path: path(name) }),
    expected,
  };
}

const options = { maxDepth: 64, maxDirectories: 10_000, maxEntries: 50_000, followDirectorySymlinks: false };
const directory = (path: string): Found => ({ path, kind: 'directory' });
const file = (path: string): Found => ({ path, kind: 'file' });

interface Found {
  readonly path: string;
  readonly kind: 'file' | 'directory';
}

const top = [directory('dir'), file('empty'), directory('emptydir'), file('file'), file('other')];
const below = [file('dir/inner'), directory('dir/sub'), file('dir/sub/deep')];

/** Section 3.9. */
export const walkRows: readonly Row[] = [
  walk('tree', 'lists breadth first by name, without links', '.', {}, [...top, ...below]),
  walk('depth-0', 'lists only the children at depth 0', '.', { maxDepth: 0 }, top),
  walk('depth-1', 'lists so many levels', '.', { maxDepth: 1 }, [...top, ...below.slice(0, 2)]),
  walk(
    'entries',
    'stops where so many entries are examined, not counting a link that leads nowhere',
    '.',
    { maxEntries: 3 },
    top.slice(0, 3),
    true,
  ),
  walk('entries-enough', 'is complete where the entries are just so many', 'dir/sub', { maxEntries: 1 }, [
    file('dir/sub/deep'),
  ]),
  walk('directories', 'stops where so many directories are read', '.', { maxDirectories: 1 }, top, true),
  walk(
    'directories-enough',
    'is complete where the directories are just so many',
    'dir/sub',
    { maxDirectories: 1 },
    [file('dir/sub/deep')],
  ),
  walk(
    'follow',
    'lists links to directories where it follows them, and enters each directory once',
    '.',
    { followDirectorySymlinks: true },
    [...top, directory('to-dir'), ...below],
  ),
  {
    ...walk('cycle', 'ends in a circle of directories', 'dir', { followDirectorySymlinks: true }, [
      ...below,
      directory('dir/sub/self'),
      directory('dir/sub/up'),
    ]),
    prepare: async (tree) => {
      await tree.link('dir/sub/up', '..');
      await tree.link('dir/sub/self', '.');
    },
  },
  {
    ...walk(
      'follow-order',
      'enters a directory by the first path that leads to it',
      'a',
      { followDirectorySymlinks: true },
      [directory('a/link'), directory('a/real'), file('a/link/file')],
    ),
    prepare: async (tree) => {
      await tree.directory('a');
      await tree.directory('a/real');
      await tree.file('a/real/file', '');
      await tree.link('a/link', 'real');
    },
  },
  walk('file', 'finds nothing below a file', 'file', {}, []),
  walk('link', 'finds nothing below a link that it does not follow', 'to-dir', {}, []),
  walk('link-follow', 'lists below a link that it follows', 'to-dir', { followDirectorySymlinks: true }, [
    file('to-dir/inner'),
    directory('to-dir/sub'),
    file('to-dir/sub/deep'),
  ]),
  {
    ...walk('special', 'lists no FIFO and no socket', 'emptydir/..', { maxDepth: 0 }, top),
    special: ['fifo', 'socket'],
  },
  notWalked('missing', 'says that nothing is there', 'missing', {}, failed.ENOENT),
  notWalked('no-directories', 'refuses a limit of no directories', '.', { maxDirectories: 0 }, atLeastOne()),
  notWalked('no-entries', 'refuses a limit of no entries', '.', { maxEntries: 0 }, atLeastOne()),
  notWalked('too-deep', 'refuses a limit above its own depth', '.', { maxDepth: 65 }, atMost()),
  notWalked('too-many-directories', 'refuses more directories', '.', { maxDirectories: 10_001 }, atMost()),
  notWalked('too-many-entries', 'refuses more entries', '.', { maxEntries: 50_001 }, atMost()),
  notWalked('option-missing', 'needs every option', '.', { followDirectorySymlinks: undefined }, undecodable),
  {
    ...walk('prune', 'lists a hidden directory, but not what is below, where it is asked to', 'pruned', {}, [
      directory('pruned/.hidden'),
      file('pruned/.file'),
      directory('pruned/shown'),
      file('pruned/shown/file'),
    ]),
    params: (_tree, path) => ({
      path: path('pruned'),
      options: { ...options, pruneHiddenDirectories: true },
    }),
    prepare: async (tree) => {
      await tree.directory('pruned');
      await tree.directory('pruned/.hidden');
      await tree.file('pruned/.hidden/below', '');
      await tree.file('pruned/.file', '');
      await tree.directory('pruned/shown');
      await tree.file('pruned/shown/file', '');
    },
    expected: (_tree, path) => ({
      result: {
        entries: [
          file(path('pruned/.file')),
          directory(path('pruned/.hidden')),
          directory(path('pruned/shown')),
          file(path('pruned/shown/file')),
        ],
        errors: [],
        truncated: false,
      },
    }),
  },
  {
    ...walk('unreadable', 'goes on where it may not read, and says where', '.', {}, []),
    special: ['unreadable'],
    unprivileged: true,
    expected: (_tree, path) => ({
      result: {
        entries: expect.arrayContaining([directory(path('locked')), file(path('shut/inside'))]) as unknown,
        errors: [{ path: path('locked'), message: expect.stringMatching(/\(os error 13\)$/) as unknown }],
        truncated: false,
      },
    }),
  },
];

function atLeastOne(): Row['expected'] {
  return { error: -32600, text: 'filesystem walk limits must be greater than zero' };
}

function atMost(): Row['expected'] {
  const maximums = 'depth=64, directories=10000, entries=50000';
  return { error: -32600, text: `filesystem walk limits exceed maximums: ${maximums}` };
}

type WalkChange = { readonly [K in keyof typeof options]?: (typeof options)[K] | undefined };

function walk(
  id: string,
  title: string,
  root: string,
  change: WalkChange,
  found: readonly Found[],
  truncated = false,
): Row {
  return {
    ...notWalked(id, title, root, change, done),
    expected: (_tree, path) => ({
      result: {
        entries: found.map(({ path: name, kind }) => ({ path: path(name), kind })),
        errors: [],
        truncated,
      },
    }),
  };
}

function notWalked(
  id: string,
  title: string,
  root: string,
  change: WalkChange,
  expected: Row['expected'],
): Row {
  return {
    id: `walk-${id}`,
    title: `fs/walk ${title}`,
    method: 'fs/walk',
    params: (_tree, path) => ({ path: path(root), options: { ...options, ...change } }),
    expected,
  };
}
