import { type Row, base64, done, failed, refused, text, undecodable } from './row.ts';

/** What ours has beyond the reference, as far as one request shows it. */
export const extensionRows: readonly Row[] = [
  range('middle', 'gives a range', { offset: 1, length: 3 }, text('ell')),
  range('offset', 'gives the rest from an offset', { offset: 4 }, text('o\n')),
  range('length', 'gives the first bytes', { length: 2 }, text('he')),
  range('beyond', 'gives what is left of a range', { offset: 4, length: 100 }, text('o\n')),
  range('after', 'gives nothing behind the end', { offset: 100, length: 5 }, text('')),
  range('none', 'gives nothing where nothing is asked', { offset: 0, length: 0 }, text('')),
  range('null', 'gives everything for null', { offset: null, length: null }, text('hello\n')),
  range('negative', 'takes no negative offset', { offset: -1 }, undecodable),
  range('fraction', 'takes no fraction', { offset: 0.5 }, undecodable),
  {
    ...range(
      'huge',
      'gives a range of a file that is too large for one answer',
      { offset: 2 ** 33, length: 4 },
      text('\0\0\0\0'),
    ),
    prepare: async (tree) => tree.sparse('file', 2 ** 33 + 4),
  },

  write('mode', 'gives a new file the mode', 'new', { mode: 0o600 }, done, { new: 'file 600 new' }),
  write('mode-umask', 'gives a new file just the mode, whatever the umask', 'new', { mode: 0o666 }, done, {
    new: 'file 666 new',
  }),
  write('mode-existing', 'leaves an existing file its mode', 'file', { mode: 0o600 }, done, {
    file: 'file 640 new',
  }),
  write('mode-large', 'takes no other bits than those of the mode', 'new', { mode: 0o10000 }, undecodable),
  write('parents', 'creates parents', 'a/b/new', { createParents: true }, done, {
    a: 'directory 755',
    'a/b': 'directory 755',
    'a/b/new': 'file 644 new',
  }),
  write('parents-there', 'accepts parents that are there', 'to-dir/new', { createParents: true }, done, {
    'dir/new': 'file 644 new',
  }),
  write(
    'parents-file',
    'creates no parents below a file',
    'file/a/new',
    { createParents: true },
    failed.ENOTDIR,
  ),
  write(
    'parents-link',
    'creates no parents behind a link',
    'to-dir/a/new',
    { createParents: true, followSymlinks: false },
    failed.ENOTDIR,
  ),
  write('atomic-new', 'creates a file atomically', 'new', { atomic: true }, done, { new: 'file 644 new' }),
  write('atomic-mode', 'creates a file atomically with a mode', 'new', { atomic: true, mode: 0o666 }, done, {
    new: 'file 666 new',
  }),
  write(
    'atomic-existing',
    'replaces a file atomically and keeps its mode',
    'file',
    { atomic: true, mode: 0o600 },
    done,
    {
      file: 'file 640 new',
    },
  ),
  write(
    'atomic-link',
    'replaces the target of a link atomically, not the link',
    'to-file',
    { atomic: true },
    done,
    {
      file: 'file 640 new',
    },
  ),
  write(
    'atomic-link-chain',
    'replaces what is at the end of a chain of links',
    'to-dir/link',
    { atomic: true },
    done,
    {
      'dir/inner': 'file 600 new',
    },
  ),
  write(
    'atomic-dangling',
    'creates the target of a dangling link atomically, as it does otherwise',
    'dangling',
    { atomic: true },
    done,
    {
      nowhere: 'file 644 new',
    },
  ),
  write(
    'atomic-no-follow',
    'replaces no link',
    'to-file',
    { atomic: true, followSymlinks: false },
    failed.ELOOP,
  ),
  write(
    'atomic-no-follow-dangling',
    'replaces no dangling link',
    'dangling',
    { atomic: true, followSymlinks: false },
    failed.ELOOP,
  ),
  write(
    'atomic-parents',
    'creates parents and a file atomically',
    'a/new',
    { atomic: true, createParents: true },
    done,
    {
      a: 'directory 755',
      'a/new': 'file 644 new',
    },
  ),
  write('atomic-directory', 'replaces no directory', 'dir', { atomic: true }, failed.EISDIR),
  write('atomic-missing', 'creates no parents by itself', 'missing/new', { atomic: true }, failed.ENOENT),
  { ...write('atomic-fifo', 'replaces no FIFO', 'fifo', { atomic: true }, refused), special: ['fifo'] },
  write('atomic-device', 'replaces no device', '/dev/null', { atomic: true }, refused),
  {
    ...write(
      'atomic-unwritable',
      'leaves nothing behind where it may not write',
      'shut/new',
      { atomic: true },
      failed.EACCES,
    ),
    special: ['unreadable'],
    unprivileged: true,
  },

  extension(
    'rename-file',
    'fs/rename renames a file',
    (path) => ({
      sourcePath: path('file'),
      destinationPath: path('dir/new'),
    }),
    done,
    { file: null, 'dir/new': 'file 640 hello\n' },
  ),
  extension(
    'rename-over',
    'fs/rename replaces a file',
    (path) => ({
      sourcePath: path('file'),
      destinationPath: path('other'),
    }),
    done,
    { file: null, other: 'file 640 hello\n' },
  ),
  extension(
    'rename-link',
    'fs/rename renames a link itself',
    (path) => ({
      sourcePath: path('to-dir'),
      destinationPath: path('new'),
    }),
    done,
    { 'to-dir': null, new: 'link dir' },
  ),
  extension(
    'rename-onto-link',
    'fs/rename replaces a link itself',
    (path) => ({
      sourcePath: path('other'),
      destinationPath: path('to-file'),
    }),
    done,
    { other: null, 'to-file': 'file 644 other\n' },
  ),
  extension(
    'rename-directory',
    'fs/rename replaces an empty directory',
    (path) => ({
      sourcePath: path('dir/sub'),
      destinationPath: path('emptydir'),
    }),
    done,
    { 'dir/sub': null, emptydir: 'directory 700', 'emptydir/deep': 'file 644 deep\n' },
  ),
  extension(
    'rename-full',
    'fs/rename replaces no full directory',
    (path) => ({
      sourcePath: path('emptydir'),
      destinationPath: path('dir'),
    }),
    failed.ENOTEMPTY,
  ),
  extension(
    'rename-missing',
    'fs/rename says that the source is missing',
    (path) => ({
      sourcePath: path('missing'),
      destinationPath: path('new'),
    }),
    failed.ENOENT,
  ),
  extension(
    'rename-inside',
    'fs/rename moves no directory into itself',
    (path) => ({
      sourcePath: path('dir'),
      destinationPath: path('dir/new'),
    }),
    failed.EINVAL,
  ),
  extension(
    'rename-file-over-directory',
    'fs/rename replaces no directory by a file',
    (path) => ({
      sourcePath: path('file'),
      destinationPath: path('dir'),
    }),
    failed.EISDIR,
  ),

  extension(
    'symlink-relative',
    'fs/createSymlink takes the target as it is',
    (path) => ({
      path: path('new'),
      target: '../x/./y z',
    }),
    done,
    { new: 'link ../x/./y z' },
  ),
  extension(
    'symlink-exists',
    'fs/createSymlink replaces nothing',
    (path) => ({
      path: path('file'),
      target: 'other',
    }),
    failed.EEXIST,
  ),
  extension(
    'symlink-empty',
    'fs/createSymlink needs a target',
    (path) => ({ path: path('new'), target: '' }),
    undecodable,
  ),
  extension(
    'symlink-parent',
    'fs/createSymlink creates no parents',
    (path) => ({
      path: path('missing/new'),
      target: 'x',
    }),
    failed.ENOENT,
  ),
  extension('readlink', 'fs/readLink gives the text of a link', (path) => ({ path: path('to-dir') }), {
    result: { target: 'dir' },
  }),
  extension(
    'readlink-dangling',
    'fs/readLink gives the text of a dangling link',
    (path) => ({ path: path('dangling') }),
    {
      result: { target: 'nowhere' },
    },
  ),
  extension(
    'readlink-loop',
    'fs/readLink gives the text of a link in a circle',
    (path) => ({ path: path('loop') }),
    {
      result: { target: 'loop' },
    },
  ),
  extension('readlink-file', 'fs/readLink refuses a file', (path) => ({ path: path('file') }), failed.EINVAL),
  extension(
    'readlink-missing',
    'fs/readLink says that nothing is there',
    (path) => ({ path: path('missing') }),
    failed.ENOENT,
  ),
  {
    ...extension(
      'readlink-bytes',
      'fs/readLink gives the bytes of a text that is not UTF-8',
      (path) => ({ path: path('bytes') }),
      {
        result: { target: 'a\ufffdb', targetBase64: base64('a\xffb') },
      },
    ),
    prepare: async (tree) => tree.link('bytes', Buffer.from('a\xffb', 'latin1')),
  },

  extension('chmod', 'fs/setMetadata sets the mode', (path) => ({ path: path('file'), mode: 0o751 }), done, {
    file: 'file 751 hello\n',
  }),
  extension(
    'chmod-link',
    'fs/setMetadata sets the mode of the target',
    (path) => ({ path: path('to-dir'), mode: 0o711 }),
    done,
    {
      dir: 'directory 711',
    },
  ),
  extension(
    'chmod-link-itself',
    'fs/setMetadata sets no mode of a link',
    (path) => ({
      path: path('to-file'),
      mode: 0o711,
      followSymlinks: false,
    }),
    failed.ELOOP,
  ),
  extension(
    'chmod-below-link',
    'fs/setMetadata reaches nothing behind a link',
    (path) => ({
      path: path('to-dir/inner'),
      mode: 0o711,
      followSymlinks: false,
    }),
    failed.ENOTDIR,
  ),
  extension(
    'chmod-missing',
    'fs/setMetadata says that nothing is there',
    (path) => ({ path: path('missing'), mode: 0 }),
    failed.ENOENT,
  ),
  extension(
    'chmod-nothing',
    'fs/setMetadata may have nothing to set',
    (path) => ({ path: path('file') }),
    done,
  ),

  extension('truncate-shrink', 'fs/truncate cuts a file', (path) => ({ path: path('file'), size: 2 }), done, {
    file: 'file 640 he',
  }),
  extension(
    'truncate-grow',
    'fs/truncate fills a file with zeros',
    (path) => ({ path: path('file'), size: 8 }),
    done,
    {
      file: 'file 640 hello\n\0\0',
    },
  ),
  extension(
    'truncate-link',
    'fs/truncate follows a link',
    (path) => ({ path: path('to-file'), size: 0 }),
    done,
    {
      file: 'file 640 ',
    },
  ),
  extension(
    'truncate-link-itself',
    'fs/truncate without following refuses a link',
    (path) => ({
      path: path('to-file'),
      size: 0,
      followSymlinks: false,
    }),
    failed.ELOOP,
  ),
  extension(
    'truncate-missing',
    'fs/truncate creates nothing',
    (path) => ({ path: path('missing'), size: 0 }),
    failed.ENOENT,
  ),
  extension(
    'truncate-directory',
    'fs/truncate refuses a directory',
    (path) => ({ path: path('dir'), size: 0 }),
    failed.EISDIR,
  ),
  extension(
    'truncate-negative',
    'fs/truncate takes no negative size',
    (path) => ({ path: path('file'), size: -1 }),
    undecodable,
  ),
];

function range(
  id: string,
  title: string,
  params: Readonly<Record<string, unknown>>,
  expected: Row['expected'],
): Row {
  return {
    id: `range-${id}`,
    title: `fs/readFile ${title}`,
    method: 'fs/readFile',
    known: [],
    params: (_tree, path) => ({ path: path('file'), ...params }),
    expected,
  };
}

function write(
  id: string,
  title: string,
  name: string,
  params: Readonly<Record<string, unknown>>,
  expected: Row['expected'],
  changes: Row['changes'] = {},
): Row {
  return {
    id: `write-${id}`,
    title: `fs/writeFile ${title}`,
    method: 'fs/writeFile',
    known: [],
    params: (_tree, path) => ({ path: path(name), dataBase64: base64('new'), ...params }),
    expected,
    changes,
  };
}

/** The title begins with the method. */
function extension(
  id: string,
  title: string,
  params: (path: (name: string) => string) => unknown,
  expected: Row['expected'],
  changes: Row['changes'] = {},
): Row {
  return {
    id,
    title,
    method: title.slice(0, title.indexOf(' ')),
    known: [],
    params: (_tree, path) => params(path),
    expected,
    changes,
  };
}
