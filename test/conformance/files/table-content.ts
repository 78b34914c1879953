import { type Difference, type Row, base64, done, failed, refused, text } from './row.ts';

const notHung: Difference = {
  notAsked: true,
  reason: 'A FIFO blocks the connection of the reference; ours refuses it.',
};

const isNoFile = (
  generations: Partial<Record<'may' | 'now', Difference['reason']>>,
  expected: Row['expected'],
) => Object.fromEntries(Object.entries(generations).map(([name, reason]) => [name, { expected, reason }]));

/** Section 3.1, and its row of the table of links and special files. */
export const readRows: readonly Row[] = [
  read('file', 'reads a file', 'file', text('hello\n')),
  read('empty', 'reads an empty file', 'empty', text('')),
  read('link', 'reads the target of a link', 'to-file', text('hello\n')),
  read('below-link', 'reads through a link to a directory', 'to-dir/inner', text('inner\n')),
  read('missing', 'says that a file is missing', 'missing', failed.ENOENT),
  read('missing-parent', 'says that a parent is missing', 'missing/file', failed.ENOENT),
  read('parent-file', 'says that a parent is a file', 'file/below', failed.ENOTDIR),
  {
    ...read('directory', 'refuses a directory', 'dir', refused),
    reference: isNoFile(
      { may: 'Later releases refuse a directory with their own error; ours does.' },
      failed.EISDIR,
    ),
  },
  {
    ...read('directory-link', 'refuses a link to a directory', 'to-dir', refused),
    reference: isNoFile(
      { may: 'Later releases refuse a directory with their own error; ours does.' },
      failed.EISDIR,
    ),
  },
  read('dangling', 'says that the target of a link is missing', 'dangling', failed.ENOENT),
  read('loop', 'reports a circle of links', 'loop', failed.ELOOP),
  {
    ...read('socket', 'refuses a socket', 'socket', refused),
    special: ['socket'],
    reference: isNoFile(
      {
        may: 'All that is not a regular file is refused alike.',
        now: 'All that is not a regular file is refused alike.',
      },
      failed.ENXIO,
    ),
  },
  {
    ...read('device', 'refuses a device', '/dev/null', refused),
    reference: isNoFile({ may: 'The reference of May reads a device, which may never end.' }, text('')),
  },
  {
    ...read('fifo', 'refuses a FIFO', 'fifo', refused),
    special: ['fifo'],
    reference: { may: notHung },
  },
  {
    ...read('unreadable', 'says that a file may not be read', 'secret', failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
  {
    ...read('unreadable-parent', 'says that a directory may not be entered', 'locked/inside', failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
  {
    ...read('long-name', 'reports a name that is too long', 'x'.repeat(256), failed.ENAMETOOLONG),
  },
  {
    id: 'read-too-large',
    title: 'fs/readFile refuses a file above its limit with a text that says the limit',
    method: 'fs/readFile',
    prepare: async (tree) => tree.sparse('huge', 512 * 1024 * 1024 + 1),
    params: (_tree, path) => ({ path: path('huge') }),
    expected: refused,
  },
  {
    id: 'read-limit',
    title: 'fs/readFile refuses a file above 256 MiB',
    method: 'fs/readFile',
    prepare: async (tree) => tree.sparse('huge', 256 * 1024 * 1024 + 1),
    params: (_tree, path) => ({ path: path('huge') }),
    expected: refused,
    reference: {
      may: { notAsked: true, reason: 'Its limit is 512 MiB; what one text of our runtime can hold is less.' },
      now: { notAsked: true, reason: 'Its limit is 512 MiB; what one text of our runtime can hold is less.' },
    },
  },
];

function read(id: string, title: string, name: string, expected: Row['expected']): Row {
  return {
    id: `read-${id}`,
    title: `fs/readFile ${title}`,
    method: 'fs/readFile',
    params: (_tree, path) => ({ path: path(name) }),
    expected,
  };
}

/** Section 3.2, and its row of the table of links and special files. */
export const writeRows: readonly Row[] = [
  write('new', 'creates a file with the bits that the umask leaves', 'new', done, { new: 'file 644 new' }),
  write('existing', 'replaces a file, which keeps its mode', 'file', done, { file: 'file 640 new' }),
  write('link', 'writes the target of a link', 'to-file', done, { file: 'file 640 new' }),
  write('below-link', 'writes through a link to a directory', 'to-dir/inner', done, {
    'dir/inner': 'file 600 new',
  }),
  write('dangling', 'creates the target of a dangling link', 'dangling', done, { nowhere: 'file 644 new' }),
  write('missing-parent', 'creates no parents', 'missing/new', failed.ENOENT),
  write('parent-file', 'says that a parent is a file', 'file/new', failed.ENOTDIR),
  write('directory', 'refuses a directory', 'dir', failed.EISDIR),
  write('directory-link', 'refuses a link to a directory', 'to-dir', failed.EISDIR),
  write('loop', 'reports a circle of links', 'loop', failed.ELOOP),
  {
    ...write('socket', 'refuses a socket', 'socket', refused),
    special: ['socket'],
    reference: isNoFile(
      {
        may: 'All that is not a regular file is refused alike.',
        now: 'All that is not a regular file is refused alike.',
      },
      failed.ENXIO,
    ),
  },
  {
    ...write('device', 'refuses a device', '/dev/null', refused),
    reference: isNoFile(
      { may: 'The reference writes to devices.', now: 'The reference writes to devices.' },
      done,
    ),
  },
  {
    ...write('fifo', 'refuses a FIFO without a reader', 'fifo', refused),
    special: ['fifo'],
    reference: { may: notHung, now: notHung },
  },
  {
    ...write('unwritable', 'says that a file may not be written', 'secret', failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
  {
    ...write('unwritable-parent', 'says that a directory may not be written', 'shut/new', failed.EACCES),
    special: ['unreadable'],
    unprivileged: true,
  },
  write('empty', 'writes nothing, which empties the file', 'file', done, { file: 'file 640 ' }, ''),
  ...Object.entries({
    symbol: '!!!!',
    padding: 'aGk',
    'line-break': 'aGk=\n',
    'url-safe': '_-8=',
    'stray-bits': 'aGl=',
    length: 'a',
  }).flatMap(([id, data]) => [
    {
      ...write(`base64-${id}`, `refuses base64 with a wrong ${id}, and changes no file`, 'file', refused),
      params: (_tree, path) => ({ path: path('file'), dataBase64: data }),
    } satisfies Row,
    {
      ...write(`base64-${id}-new`, `refuses base64 with a wrong ${id}, and creates no file`, 'new', refused),
      params: (_tree, path) => ({ path: path('new'), dataBase64: data }),
    } satisfies Row,
  ]),
];

function write(
  id: string,
  title: string,
  name: string,
  expected: Row['expected'],
  changes: Row['changes'] = {},
  content = 'new',
): Row {
  return {
    id: `write-${id}`,
    title: `fs/writeFile ${title}`,
    method: 'fs/writeFile',
    params: (_tree, path) => ({ path: path(name), dataBase64: base64(content) }),
    expected,
    changes,
  };
}

const emptied = 'The reference empties a file that is copied onto itself; ours leaves it as it is.';

/** Section 3.7, and its row of the table of links and special files. */
export const copyRows: readonly Row[] = [
  copy('file', 'copies bytes and permission bits', ['file', 'new'], false, done, { new: 'file 640 hello\n' }),
  copy('file-recursive', 'takes recursive for a file', ['file', 'new'], true, done, {
    new: 'file 640 hello\n',
  }),
  copy('over', 'replaces a file and its bits', ['file', 'other'], false, done, { other: 'file 640 hello\n' }),
  copy('to-link', 'writes the target of a link', ['other', 'to-file'], false, done, {
    file: 'file 644 other\n',
  }),
  copy('to-dangling', 'creates the target of a dangling link', ['other', 'dangling'], false, done, {
    nowhere: 'file 644 other\n',
  }),
  copy('link', 'copies a link as a link', ['to-file', 'new'], false, done, { new: 'link file' }),
  copy('directory-link', 'copies a link to a directory as a link', ['to-dir', 'new'], false, done, {
    new: 'link dir',
  }),
  copy('dangling', 'copies a dangling link', ['dangling', 'new'], false, done, { new: 'link nowhere' }),
  copy('loop', 'copies a link in a circle', ['loop', 'new'], false, done, { new: 'link loop' }),
  copy('link-over', 'puts a link in no place that is taken', ['to-file', 'other'], false, failed.EEXIST),
  copy('directory-flat', 'refuses a directory without recursive', ['dir', 'new'], false, {
    error: -32600,
    text: 'fs/copy requires recursive: true when sourcePath is a directory',
  }),
  copy('directory', 'copies a directory, and links in it as links', ['dir', 'new'], true, done, {
    new: 'directory 755',
    'new/inner': 'file 600 inner\n',
    'new/link': 'link inner',
    'new/sub': 'directory 755',
    'new/sub/deep': 'file 644 deep\n',
  }),
  copy('directory-parents', 'creates the parents of a directory', ['dir/sub', 'a/b/new'], true, done, {
    a: 'directory 755',
    'a/b': 'directory 755',
    'a/b/new': 'directory 755',
    'a/b/new/deep': 'file 644 deep\n',
  }),
  copy('merge', 'merges into a directory', ['dir/sub', 'emptydir'], true, done, {
    'emptydir/deep': 'file 644 deep\n',
  }),
  {
    ...copy(
      'merge-over',
      'overwrites files of the directory that it merges into',
      ['dir/sub', 'emptydir'],
      true,
      done,
      {
        'emptydir/deep': 'file 644 deep\n',
      },
    ),
    prepare: async (tree) => {
      await tree.file('emptydir/deep', 'older and longer', 0o600);
      await tree.file('emptydir/stays', 'stays');
    },
  },
  {
    ...copy(
      'merge-links',
      'fails at a link that is there already',
      ['linked', 'emptydir'],
      true,
      failed.EEXIST,
    ),
    prepare: async (tree) => {
      await tree.directory('linked');
      await tree.link('linked/link', 'target');
      await tree.link('emptydir/link', 'target');
    },
  },
  {
    ...copy('inner-special', 'leaves out a FIFO in a directory and says how many', ['special', 'new'], true, {
      result: { skipped: 1 },
    }),
    prepare: async (tree) => {
      await tree.directory('special');
      await tree.fifo('special/fifo');
    },
    changes: { new: 'directory 755' },
    reference: {
      may: { expected: done, reason: 'The reference does not say what it has left out.' },
      now: { expected: done, reason: 'The reference does not say what it has left out.' },
    },
  },
  ...(['fifo', 'socket'] as const).flatMap((special): Row[] => [
    {
      ...copy(special, `refuses a ${special}`, [special, 'new'], true, {
        error: -32600,
        text: 'fs/copy only supports regular files, directories, and symlinks',
      }),
      special: [special],
    },
  ]),
  copy('device', 'refuses a device', ['/dev/null', 'new'], false, {
    error: -32600,
    text: 'fs/copy only supports regular files, directories, and symlinks',
  }),
  {
    ...copy('onto-fifo', 'refuses a FIFO as the destination', ['file', 'fifo'], false, refused),
    special: ['fifo'],
    reference: { may: notHung, now: notHung },
  },
  {
    ...copy('onto-device', 'refuses a device as the destination', ['file', '/dev/null'], false, refused),
    reference: {
      may: { notAsked: true, reason: 'The reference would change the permission bits of the device.' },
      now: { notAsked: true, reason: 'The reference would change the permission bits of the device.' },
    },
  },
  copy('missing', 'says that the source is missing', ['missing', 'new'], false, failed.ENOENT),
  copy('into-itself', 'refuses to copy a directory into itself', ['dir', 'dir/new'], true, inside()),
  copy('onto-itself', 'refuses to copy a directory onto itself', ['dir', 'dir'], true, inside()),
  copy('into-itself-link', 'finds itself behind a link', ['dir', 'to-dir/a/b'], true, inside()),
  copy(
    'file-onto-directory',
    'refuses a directory as the destination of a file',
    ['file', 'dir'],
    false,
    failed.EISDIR,
  ),
  copy(
    'directory-onto-file',
    'refuses a file as the destination of a directory',
    ['dir', 'other'],
    true,
    failed.EEXIST,
  ),
  copy('missing-parent', 'creates no parents for a file', ['file', 'missing/new'], false, failed.ENOENT),
  ...(
    [
      ['same-file', 'leaves a file alone that is copied onto itself', 'file', 'file'],
      ['same-link', 'leaves a file alone that is copied onto a link to it', 'file', 'to-file'],
      ['same-inode', 'leaves a file alone that is copied onto another name of it', 'other', 'hard'],
    ] as const
  ).flatMap(([id, title, from, to]): Row[] => [
    {
      ...copy(id, title, [from, to], false, done),
      prepare: async (tree) => tree.hardLink('other', 'hard'),
      reference: Object.fromEntries(
        (['may', 'now'] as const).map((generation) => [
          generation,
          {
            expected: done,
            reason: emptied,
            changes: id === 'same-inode' ? { other: 'file 644 ', hard: 'file 644 ' } : { file: 'file 640 ' },
          },
        ]),
      ),
    },
  ]),
  {
    id: 'copy-recursive-required',
    title: 'fs/copy needs recursive',
    method: 'fs/copy',
    params: (_tree, path) => ({ sourcePath: path('file'), destinationPath: path('new') }),
    expected: { error: -32602 },
  },
  {
    id: 'copy-recursive-null',
    title: 'fs/copy takes no null for recursive',
    method: 'fs/copy',
    params: (_tree, path) => ({ sourcePath: path('file'), destinationPath: path('new'), recursive: null }),
    expected: { error: -32602 },
  },
];

function inside(): Row['expected'] {
  return {
    error: -32600,
    text: 'fs/copy cannot copy a directory to itself or one of its descendants',
  };
}

function copy(
  id: string,
  title: string,
  [from, to]: readonly [from: string, to: string],
  recursive: boolean,
  expected: Row['expected'],
  changes: Row['changes'] = {},
): Row {
  return {
    id: `copy-${id}`,
    title: `fs/copy ${title}`,
    method: 'fs/copy',
    params: (_tree, path) => ({ sourcePath: path(from), destinationPath: path(to), recursive }),
    expected,
    changes,
  };
}
