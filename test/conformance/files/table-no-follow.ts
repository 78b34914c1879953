import { expect } from 'vitest';

import { modifiedAtMs } from '../../support/files-tree.ts';
import { type Row, base64, done, failed, refused, text } from './row.ts';

const asLink = {
  isDirectory: false,
  isFile: false,
  isSymlink: true,
  size: expect.any(Number) as unknown,
  createdAtMs: expect.any(Number) as unknown,
  modifiedAtMs: expect.any(Number) as unknown,
};
const describesLink = 'Ours describes the link itself, which clients cannot see otherwise.';
const content = { dataBase64: base64('new') };

/** Section 3.11: no link in any place of the path. */
export const noFollowRows: readonly Row[] = [
  noFollow('read', 'reads a file', 'fs/readFile', 'file', {}, text('hello\n')),
  noFollow('read-deep', 'reads a file below directories', 'fs/readFile', 'dir/sub/deep', {}, text('deep\n')),
  noFollow('read-link', 'reads no link', 'fs/readFile', 'to-file', {}, failed.ELOOP),
  noFollow(
    'read-below-link',
    'reads nothing behind a link',
    'fs/readFile',
    'to-dir/inner',
    {},
    failed.ENOTDIR,
  ),
  noFollow(
    'read-far-below-link',
    'reads nothing far behind a link',
    'fs/readFile',
    'to-dir/sub/deep',
    {},
    failed.ENOTDIR,
  ),
  noFollow('read-dangling', 'reads no dangling link', 'fs/readFile', 'dangling', {}, failed.ELOOP),
  noFollow('read-missing', 'says that nothing is there', 'fs/readFile', 'missing', {}, failed.ENOENT),
  noFollow('read-directory', 'reads no directory', 'fs/readFile', 'dir', {}, refused),
  { ...noFollow('read-fifo', 'reads no FIFO', 'fs/readFile', 'fifo', {}, refused), special: ['fifo'] },
  noFollow('write', 'writes a file', 'fs/writeFile', 'file', content, done, { file: 'file 640 new' }),
  noFollow('write-new', 'creates a file', 'fs/writeFile', 'dir/new', content, done, {
    'dir/new': 'file 644 new',
  }),
  noFollow('write-link', 'writes no link', 'fs/writeFile', 'to-file', content, failed.ELOOP),
  noFollow('write-dangling', 'writes no dangling link', 'fs/writeFile', 'dangling', content, failed.ELOOP),
  noFollow(
    'write-below-link',
    'writes nothing behind a link',
    'fs/writeFile',
    'to-dir/new',
    content,
    failed.ENOTDIR,
  ),
  noFollow('create', 'creates a directory', 'fs/createDirectory', 'emptydir/a/b', {}, done, {
    'emptydir/a': 'directory 755',
    'emptydir/a/b': 'directory 755',
  }),
  noFollow(
    'create-below-link',
    'creates no directory behind a link',
    'fs/createDirectory',
    'to-dir/a',
    {},
    failed.ENOTDIR,
  ),
  noFollow(
    'create-far-below-link',
    'creates no parents behind a link',
    'fs/createDirectory',
    'to-dir/a/b',
    {},
    failed.ENOTDIR,
  ),
  {
    ...noFollow(
      'metadata',
      'describes a file',
      'fs/getMetadata',
      'file',
      {},
      {
        result: { ...asLink, isFile: true, isSymlink: false, size: 6, modifiedAtMs },
      },
    ),
  },
  ...['to-file', 'to-dir', 'dangling', 'loop'].flatMap((name): Row[] => [
    {
      ...noFollow(
        `metadata-${name}`,
        `describes ${name} itself`,
        'fs/getMetadata',
        name,
        {},
        { result: asLink },
      ),
      reference: { now: { expected: refused, reason: describesLink } },
    },
  ]),
  noFollow(
    'metadata-below-link',
    'describes nothing behind a link',
    'fs/getMetadata',
    'to-dir/inner',
    {},
    failed.ENOTDIR,
  ),
  noFollow('remove', 'removes a file', 'fs/remove', 'dir/inner', { recursive: false }, done, {
    'dir/inner': null,
  }),
  {
    ...noFollow('remove-link', 'removes a link itself', 'fs/remove', 'to-dir', { recursive: false }, done, {
      'to-dir': null,
    }),
    reference: {
      now: { expected: refused, changes: {}, reason: 'A link is removed and not followed, so ours does it.' },
    },
  },
  noFollow(
    'remove-below-link',
    'removes nothing behind a link',
    'fs/remove',
    'to-dir/inner',
    { recursive: false },
    failed.ENOTDIR,
  ),
  {
    ...noFollow(
      'remove-tree',
      'removes a directory with everything in it',
      'fs/remove',
      'dir',
      { recursive: true },
      done,
      {
        dir: null,
      },
    ),
    reference: {
      now: {
        expected: { error: -32603, text: 'recursive no-follow removal is unsupported' },
        changes: {},
        reason: 'Ours removes without following.',
      },
    },
  },
];

function noFollow(
  id: string,
  title: string,
  method: string,
  name: string,
  params: Readonly<Record<string, unknown>>,
  expected: Row['expected'],
  changes: Row['changes'] = {},
): Row {
  return {
    id: `no-follow-${id}`,
    title: `${method} without following ${title}`,
    method,
    forms: ['plain', 'uri'],
    known: ['now'],
    params: (_tree, path) => ({ path: path(name), followSymlinks: false, ...params }),
    expected,
    changes,
  };
}
