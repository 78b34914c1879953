import { type Call, type Row, base64, done, failed, refused, undecodable } from './row.ts';

/** Section 3.10. Each row has a handle of its own. */
export const handleRows: readonly Row[] = [
  open('read', 'opens a file for reading if nothing else is asked', 'file', {}, opened('open-read')),
  {
    ...open('null', 'takes null as absent', 'file', { mode: null }, opened('open-null')),
    reference: { now: { expected: undecodable, reason: 'For ours null is the same as absent everywhere.' } },
  },
  open(
    'replace',
    'empties a file that it opens for replacing',
    'file',
    { mode: 'replace' },
    opened('open-replace'),
    {
      file: 'file 640 ',
    },
  ),
  open(
    'replace-new',
    'creates a file that it opens for replacing',
    'new',
    { mode: 'replace' },
    opened('open-replace-new'),
    {
      new: 'file 644 ',
    },
  ),
  open('replace-link', 'follows a link', 'to-file', { mode: 'replace' }, opened('open-replace-link'), {
    file: 'file 640 ',
  }),
  open('mode', 'knows no other mode', 'file', { mode: 'append' }, undecodable),
  open('missing', 'says that nothing is there', 'missing', {}, failed.ENOENT),
  open('directory', 'refuses a directory', 'dir', {}, refused),
  open('device', 'refuses a device', '/dev/null', {}, refused),
  { ...open('fifo', 'refuses a FIFO', 'fifo', {}, refused), special: ['fifo'] },
  {
    ...open('fifo-replace', 'refuses to replace a FIFO', 'fifo', { mode: 'replace' }, refused),
    special: ['fifo'],
    reference: { now: { notAsked: true, reason: 'A FIFO may block the connection of the reference.' } },
  },
  open('id-longest', 'takes an id of 32 bytes', 'file', { handleId: 'x'.repeat(32) }, opened('x'.repeat(32))),
  open('id-empty', 'takes an empty id', 'file', { handleId: '' }, opened('')),
  open('id-long', 'refuses an id of 33 bytes', 'file', { handleId: 'x'.repeat(33) }, tooLong()),
  open('id-bytes', 'counts the bytes of an id', 'file', { handleId: '\u00e4'.repeat(17) }, tooLong()),
  {
    ...open(
      'id-used',
      'refuses an id that is in use',
      'other',
      { handleId: 'used' },
      {
        error: -32600,
        text: 'file handle `used` already exists',
      },
    ),
    before: (_tree, path) => [['fs/open', { handleId: 'used', path: path('file') }]],
  },
  block('read', 'reads a block', 'fs/readBlock', { offset: 1, len: 3 }, chunk('ell', false)),
  block(
    'read-end',
    'says nothing of the end where the block just fits',
    'fs/readBlock',
    { offset: 0, len: 6 },
    chunk('hello\n', false),
  ),
  block('read-beyond', 'says where the end is', 'fs/readBlock', { offset: 4, len: 3 }, chunk('o\n', true)),
  block(
    'read-after',
    'reads nothing behind the end',
    'fs/readBlock',
    { offset: 100, len: 3 },
    chunk('', true),
  ),
  block(
    'read-longest',
    'reads 1 MiB at most',
    'fs/readBlock',
    { offset: 0, len: 1_048_576 },
    chunk('hello\n', true),
  ),
  block(
    'read-none',
    'reads no block without length',
    'fs/readBlock',
    { offset: 0, len: 0 },
    blockLength('read'),
  ),
  block(
    'read-long',
    'reads no longer block',
    'fs/readBlock',
    { offset: 0, len: 1_048_577 },
    blockLength('read'),
  ),
  block(
    'read-of-write',
    'reads no handle for writing',
    'fs/readBlock',
    { offset: 0, len: 1 },
    failed.EBADF,
    'replace',
  ),
  block(
    'write',
    'writes a block and leaves a hole before it',
    'fs/writeBlock',
    { offset: 2, chunk: base64('ab') },
    done,
    'replace',
    {
      file: 'file 640 \0\0ab',
    },
  ),
  block(
    'write-empty',
    'writes no empty block',
    'fs/writeBlock',
    { offset: 0, chunk: '' },
    blockLength('write'),
    'replace',
  ),
  block(
    'write-long',
    'writes no longer block',
    'fs/writeBlock',
    { offset: 0, chunk: base64('x'.repeat(1_048_577)) },
    blockLength('write'),
    'replace',
  ),
  block(
    'write-base64',
    'refuses wrong base64',
    'fs/writeBlock',
    { offset: 0, chunk: '!!!!' },
    undecodable,
    'replace',
  ),
  block(
    'write-of-read',
    'writes no handle for reading',
    'fs/writeBlock',
    { offset: 0, chunk: base64('x') },
    failed.EBADF,
  ),
  block('close', 'closes', 'fs/close', {}, done),
  ...(
    [
      ['fs/readBlock', { offset: 0, len: 1 }],
      ['fs/writeBlock', { offset: 0, chunk: 'AA==' }],
    ] as const
  ).map(([method, params]): Row => ({
    id: `handle-unknown-${method}`,
    title: `${method} says that a handle is unknown`,
    method,
    params: () => ({ handleId: 'unknown', ...params }),
    expected: { error: -32004, text: 'unknown file handle `unknown`' },
  })),
  {
    id: 'handle-close-unknown',
    title: 'fs/close accepts an unknown handle',
    method: 'fs/close',
    params: () => ({ handleId: 'unknown' }),
    expected: done,
  },
];

function opened(handleId: string): Row['expected'] {
  return { result: { handleId } };
}

function tooLong(): Row['expected'] {
  return { error: -32600, text: 'file handle ID must not exceed 32 bytes' };
}

function blockLength(kind: 'read' | 'write'): Row['expected'] {
  return { error: -32600, text: `file ${kind} block length must be between 1 and 1048576` };
}

function chunk(content: string, eof: boolean): Row['expected'] {
  return { result: { chunk: base64(content), eof } };
}

function open(
  id: string,
  title: string,
  name: string,
  params: Readonly<Record<string, unknown>>,
  expected: Row['expected'],
  changes: Row['changes'] = {},
): Row {
  return {
    id: `open-${id}`,
    title: `fs/open ${title}`,
    method: 'fs/open',
    params: (_tree, path) => ({ handleId: `open-${id}`, path: path(name), ...params }),
    expected,
    changes,
  };
}

function block(
  id: string,
  title: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
  expected: Row['expected'],
  mode: 'read' | 'replace' = 'read',
  changes: Row['changes'] = {},
): Row {
  const handleId = `block-${id}`;
  return {
    id: handleId,
    title: `${method} ${title}`,
    method,
    before: (_tree, path): Call[] => [['fs/open', { handleId, path: path('file'), mode }]],
    params: () => ({ handleId, ...params }),
    expected,
    changes: mode === 'replace' && changes['file'] === undefined ? { file: 'file 640 ' } : changes,
  };
}
