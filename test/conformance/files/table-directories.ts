import { expect } from 'vitest';

import { modifiedAtMs } from '../../support/files-tree.ts';
import { type Difference, type Row, done, failed } from './row.ts';

/** Section 3.3, and its row of the table of links and special files. Each with recursive, and without. */
export const createDirectoryRows: readonly Row[] = [
  ...create('new', 'a new directory', 'new', done, done, { new: 'directory 755' }),
  ...create('exists', 'a directory that is there', 'dir', done, failed.EEXIST),
  ...create('exists-link', 'a link to a directory', 'to-dir', done, failed.EEXIST),
  {
    ...one('parents-recursive', 'creates missing parents with recursive', 'a/b/c', true, done),
    changes: { a: 'directory 755', 'a/b': 'directory 755', 'a/b/c': 'directory 755' },
  },
  one('parents-flat', 'creates no parents without recursive', 'a/b/c', false, failed.ENOENT),
  ...create('file', 'a file', 'file', failed.EEXIST, failed.EEXIST),
  ...create('file-link', 'a link to a file', 'to-file', failed.EEXIST, failed.EEXIST),
  ...create('dangling', 'a dangling link', 'dangling', failed.EEXIST, failed.EEXIST),
  ...create('loop', 'a link in a circle', 'loop', failed.EEXIST, failed.EEXIST),
  ...create('parent-file', 'a place below a file', 'file/new', failed.ENOTDIR, failed.ENOTDIR),
  ...create('device', 'a device', '/dev/null', failed.EEXIST, failed.EEXIST),
  ...create('fifo', 'a FIFO', 'fifo', failed.EEXIST, failed.EEXIST).map(withSpecial('fifo')),
  ...create('socket', 'a socket', 'socket', failed.EEXIST, failed.EEXIST).map(withSpecial('socket')),
  {
    ...one('default', 'creates parents if recursive is absent', 'a/b', undefined, done),
    changes: { a: 'directory 755', 'a/b': 'directory 755' },
  },
  {
    ...one('null', 'creates parents if recursive is null', 'a/b', null, done),
    changes: { a: 'directory 755', 'a/b': 'directory 755' },
  },
  one('root', 'accepts the root', '/', true, done),
  {
    ...one('unwritable', 'says that a directory may not be written', 'shut/new', true, failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
];

function create(
  id: string,
  what: string,
  name: string,
  recursive: Row['expected'],
  flat: Row['expected'],
  changes: Row['changes'] = {},
): Row[] {
  return [
    { ...one(`${id}-recursive`, `knows ${what} with recursive`, name, true, recursive), changes },
    { ...one(`${id}-flat`, `knows ${what} without recursive`, name, false, flat), changes },
  ];
}

function one(
  id: string,
  title: string,
  name: string,
  recursive: boolean | null | undefined,
  expected: Row['expected'],
): Row {
  return {
    id: `create-${id}`,
    title: `fs/createDirectory ${title}`,
    method: 'fs/createDirectory',
    params: (_tree, path) => ({ path: path(name), recursive }),
    expected,
  };
}

function withSpecial(special: 'fifo' | 'socket'): (row: Row) => Row {
  return (row) => ({ ...row, special: [special] });
}

interface Metadata {
  readonly isDirectory: boolean;
  readonly isFile: boolean;
  readonly isSymlink: boolean;
  readonly size: unknown;
  readonly modifiedAtMs: unknown;
}

const recent: unknown = expect.closeTo(Date.now(), -7);
const asFile = { isDirectory: false, isFile: true, isSymlink: false, size: 6, modifiedAtMs };
const asDirectory = {
  isDirectory: true,
  isFile: false,
  isSymlink: false,
  size: expect.any(Number) as unknown,
  modifiedAtMs: recent,
};
const neither = { ...asDirectory, isDirectory: false };

/** Section 3.4, and its row of the table of links and special files. */
export const metadataRows: readonly Row[] = [
  metadata('file', 'describes a file', 'file', asFile),
  metadata('directory', 'describes a directory', 'dir', asDirectory),
  metadata('file-link', 'describes the target of a link', 'to-file', { ...asFile, isSymlink: true }),
  metadata('directory-link', 'describes a directory behind a link', 'to-dir', {
    ...asDirectory,
    isSymlink: true,
  }),
  {
    ...metadata('fifo', 'describes a FIFO as neither file nor directory', 'fifo', neither),
    special: ['fifo'],
  },
  {
    ...metadata('socket', 'describes a socket as neither file nor directory', 'socket', neither),
    special: ['socket'],
  },
  metadata('device', 'describes a device as neither file nor directory', '/dev/null', {
    ...neither,
    modifiedAtMs: expect.any(Number),
  }),
  withoutMetadata('missing', 'says that nothing is there', 'missing', failed.ENOENT),
  withoutMetadata('dangling', 'says that the target of a link is missing', 'dangling', failed.ENOENT),
  withoutMetadata('loop', 'reports a circle of links', 'loop', failed.ELOOP),
  withoutMetadata('parent-file', 'says that a parent is a file', 'file/below', failed.ENOTDIR),
  {
    ...withoutMetadata(
      'unreadable',
      'says that a directory may not be entered',
      'locked/inside',
      failed.EACCES,
    ),
    special: ['unreadable'],
    unprivileged: true,
  },
  {
    ...metadata('unreadable-file', 'describes a file that may not be read', 'secret', { ...asFile, size: 7 }),
    special: ['unreadable'],
    unprivileged: true,
  },
];

function metadata(id: string, title: string, name: string, found: Metadata): Row {
  const { size, ...withoutSize } = found;
  const reason = 'The reference does not know when a file was created, and in May not how long it is.';
  return {
    ...withoutMetadata(id, title, name, { result: { ...found, size, createdAtMs: createdAt(name) } }),
    reference: {
      may: { expected: { result: { ...withoutSize, createdAtMs: 0 } }, reason },
      now: { expected: { result: { ...found, createdAtMs: 0 } }, reason },
    },
  };
}

/** A file system that does not keep it answers 0; the temporary folder's does. */
function createdAt(name: string): unknown {
  return name.startsWith('/') ? (expect.any(Number) as unknown) : recent;
}

function withoutMetadata(id: string, title: string, name: string, expected: Row['expected']): Row {
  return {
    id: `metadata-${id}`,
    title: `fs/getMetadata ${title}`,
    method: 'fs/getMetadata',
    params: (_tree, path) => ({ path: path(name) }),
    expected,
  };
}

const isFile = { isDirectory: false, isFile: true, isSymlink: false };
const isDirectory = { isDirectory: true, isFile: false, isSymlink: false };
const isNeither = { isDirectory: false, isFile: false, isSymlink: false };

const inDir = [
  { fileName: 'inner', ...isFile },
  { fileName: 'link', ...isFile, isSymlink: true },
  { fileName: 'sub', ...isDirectory },
];
const inTree = [
  { fileName: 'dangling', ...isNeither, isSymlink: true },
  { fileName: 'dir', ...isDirectory },
  { fileName: 'empty', ...isFile },
  { fileName: 'emptydir', ...isDirectory },
  { fileName: 'fifo', ...isNeither },
  { fileName: 'file', ...isFile },
  { fileName: 'loop', ...isNeither, isSymlink: true },
  { fileName: 'other', ...isFile },
  { fileName: 'socket', ...isNeither },
  { fileName: 'to-dir', ...isDirectory, isSymlink: true },
  { fileName: 'to-file', ...isFile, isSymlink: true },
];

/** Section 3.5, and its row of the table of links and special files. */
export const readDirectoryRows: readonly Row[] = [
  { ...list('everything', 'lists entries of every kind', '.', inTree), special: ['fifo', 'socket'] },
  list('directory', 'lists a directory', 'dir', inDir),
  list('link', 'lists a directory behind a link', 'to-dir', inDir),
  list('empty', 'lists an empty directory', 'emptydir', []),
  {
    ...list('hidden', 'lists hidden entries, but not the directory and its parent', 'hidden', [
      { fileName: '.hidden', ...isFile },
    ]),
    prepare: async (tree) => {
      await tree.directory('hidden');
      await tree.file('hidden/.hidden', '');
    },
  },
  {
    ...list('lossy', 'names an entry by its URI where its name is not UTF-8', 'bytes', []),
    prepare: async (tree) => {
      await tree.directory('bytes');
      await tree.file(Buffer.from('bytes/\xff', 'latin1'), '');
    },
    expected: (tree) => ({
      result: {
        entries: [{ fileName: '\ufffd', ...isFile, uri: `file://${tree.root}/bytes/%FF` }],
      },
    }),
    reference: {
      may: listedByReference([{ fileName: '\ufffd', ...isFile }]),
      now: listedByReference([{ fileName: '\ufffd', ...isFile }]),
    },
  },
  notListed('file', 'refuses a file', 'file', failed.ENOTDIR),
  notListed('file-link', 'refuses a link to a file', 'to-file', failed.ENOTDIR),
  notListed('missing', 'says that nothing is there', 'missing', failed.ENOENT),
  notListed('dangling', 'says that the target of a link is missing', 'dangling', failed.ENOENT),
  notListed('loop', 'reports a circle of links', 'loop', failed.ELOOP),
  {
    ...notListed('unreadable', 'says that a directory may not be read', 'locked', failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
];

function list(id: string, title: string, name: string, entries: readonly Listed[]): Row {
  return {
    ...notListed(id, title, name, { result: { entries } }),
    reference: { may: listedByReference(entries), now: listedByReference(entries) },
  };
}

interface Listed {
  readonly fileName: string;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
  readonly isSymlink: boolean;
}

function listedByReference(entries: readonly Listed[]): Difference {
  const kept = entries.filter((entry) => !(entry.isSymlink && !entry.isFile && !entry.isDirectory));
  return {
    expected: {
      result: {
        entries: kept.map(({ fileName, isDirectory, isFile }) => ({ fileName, isDirectory, isFile })),
      },
    },
    reason: 'The reference says of no entry that it is a link, and leaves links out that lead nowhere.',
  };
}

function notListed(id: string, title: string, name: string, expected: Row['expected']): Row {
  return {
    id: `list-${id}`,
    title: `fs/readDirectory ${title}`,
    method: 'fs/readDirectory',
    params: (_tree, path) => ({ path: path(name) }),
    expected,
  };
}

/** Section 3.6, and its row of the table of links and special files. */
export const removeRows: readonly Row[] = [
  remove('file', 'removes a file', 'file', {}, done, { file: null }),
  remove('tree', 'removes a directory with everything in it if nothing else is asked', 'dir', {}, done, {
    dir: null,
  }),
  remove('tree-null', 'takes null as absent', 'dir', { recursive: null, force: null }, done, { dir: null }),
  ...['to-file', 'to-dir', 'dangling', 'loop'].flatMap((name) => [
    remove(`${name}-recursive`, `removes ${name} itself with recursive`, name, { recursive: true }, done, {
      [name]: null,
    }),
    remove(`${name}-flat`, `removes ${name} itself without recursive`, name, { recursive: false }, done, {
      [name]: null,
    }),
  ]),
  remove('full', 'keeps a full directory without recursive', 'dir', { recursive: false }, failed.ENOTEMPTY),
  remove('empty', 'removes an empty directory', 'emptydir', { recursive: false }, done, { emptydir: null }),
  remove('missing', 'accepts that nothing is there', 'missing', {}, done),
  remove('missing-parent', 'accepts that a parent is missing', 'missing/below', { force: true }, done),
  remove(
    'missing-strict',
    'says that nothing is there without force',
    'missing',
    { force: false },
    failed.ENOENT,
  ),
  remove('parent-file', 'forgives no file as a parent', 'file/below', { force: true }, failed.ENOTDIR),
  { ...remove('fifo', 'removes a FIFO', 'fifo', {}, done, { fifo: null }), special: ['fifo'] },
  { ...remove('socket', 'removes a socket', 'socket', {}, done, { socket: null }), special: ['socket'] },
  remove('links-inside', 'follows no link of a tree that it removes', 'dir', {}, done, { dir: null }),
  {
    ...remove('unwritable', 'says that a directory may not be written', 'shut/inside', {}, failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
  {
    ...remove('unwritable-tree', 'says that a tree may not be removed', 'shut', {}, failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
];

function remove(
  id: string,
  title: string,
  name: string,
  options: { readonly recursive?: boolean | null; readonly force?: boolean | null },
  expected: Row['expected'],
  changes: Row['changes'] = {},
): Row {
  return {
    id: `remove-${id}`,
    title: `fs/remove ${title}`,
    method: 'fs/remove',
    params: (_tree, path) => ({ path: path(name), ...options }),
    expected,
    changes,
  };
}
