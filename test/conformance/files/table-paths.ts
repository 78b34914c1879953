import { type Tree } from '../../support/files-tree.ts';
import { type Row, done, failed, refused, text, undecodable } from './row.ts';

const hello = text('hello\n');

/** Section 1.3: plain paths. They are normalised as text, before any link is followed. */
export const plainPathRows: readonly Row[] = [
  plain('dot', 'leaves out dots', (tree) => `${tree.root}/./dir/../file`, hello),
  plain(
    'dots-of-link',
    'resolves two dots before it follows a link',
    (tree) => `${tree.root}/to-sub/../file`,
    hello,
  ),
  plain('slashes', 'takes several slashes as one', (tree) => `//${tree.root}///file`, hello),
  plain('trailing-slash', 'ignores a slash at the end', (tree) => `${tree.root}/file/`, hello),
  plain('dots-above-root', 'stays below the root', (tree) => `/../../..${tree.root}/file`, hello),
  {
    id: 'path-plain-write-trailing-slash',
    title: 'A plain path of a new file may end in a slash',
    method: 'fs/writeFile',
    forms: ['plain'],
    params: (tree) => ({ path: `${tree.root}/new/`, dataBase64: '' }),
    expected: done,
    changes: { new: 'file 644 ' },
  },
  plain('relative', 'is not relative', () => 'file', undecodable),
  plain('empty', 'is not empty', () => '', undecodable),
  plain('home', 'knows no home directory', () => '~/file', undecodable),
  plain('variable', 'knows no variables', () => '$HOME/file', undecodable),
  plain('nul', 'has no NUL', (tree) => `${tree.root}/file\0`, refused),
  {
    ...plain(
      'of-current',
      'is accepted by an executor of the current generation',
      (tree) => `${tree.root}/file`,
      hello,
    ),
    known: ['now'],
    reference: { now: { expected: undecodable, reason: 'Ours accepts both forms of paths.' } },
  },
];

function plain(id: string, title: string, path: (tree: Tree) => string, expected: Row['expected']): Row {
  return {
    ...reading(`plain-${id}`, `A plain path ${title}`, path, expected),
    forms: ['plain'],
    prepare: async (tree) => tree.link('to-sub', 'dir/sub'),
  };
}

/** Section 1.3: URIs. */
export const uriRows: readonly Row[] = [
  uri('three-slashes', 'has three slashes', (tree) => `file://${tree.root}/file`, hello),
  uri('capitals', 'may have a scheme in capitals', (tree) => `FILE://${tree.root}/file`, hello),
  uri('one-slash', 'may have one slash', (tree) => `file:${tree.root}/file`, hello),
  uri('no-slash', 'may have no slash', (tree) => `file:${tree.root.slice(1)}/file`, hello),
  uri('localhost', 'may name localhost', (tree) => `file://localhost${tree.root}/file`, hello),
  uri('leading-space', 'may follow a blank', (tree) => ` file://${tree.root}/file`, hello),
  uri('dots', 'is resolved as text', (tree) => `file://${tree.root}/to-sub/../file`, hello),
  uri('relative', 'is not relative', () => 'file', undecodable),
  uri('empty', 'is not empty', () => '', undecodable),
  uri('scheme', 'has no other scheme', () => 'http://localhost/file', undecodable),
  uri('query', 'has no query', (tree) => `file://${tree.root}/file?q`, undecodable),
  uri('fragment', 'has no fragment', (tree) => `file://${tree.root}/file#f`, undecodable),
  uri('host', 'names no other host', () => 'file://example.org/file', refused),
  uri('drive', 'names no drive', () => 'file:///C:/file', refused),
  uri('nul', 'has no NUL', (tree) => `file://${tree.root}/file%00`, undecodable),
  uri(
    'slash',
    'may have an escaped slash, which separates',
    (tree) => `file://${tree.root}/dir%2Finner`,
    text('inner\n'),
  ),
  uri('escapes', 'may escape any character', (tree) => `file://${tree.root}/%66%69l%65`, hello),
  uri(
    'lower-case',
    'may have escapes in small letters',
    (tree) => `file://${tree.root}/a%c3%a4`,
    text('special'),
  ),
  {
    ...uri('of-may', 'is accepted where plain paths are', (tree) => `file://${tree.root}/file`, hello),
    known: ['may'],
    reference: { may: { expected: undecodable, reason: 'Ours accepts both forms of paths.' } },
  },
  {
    id: 'path-uri-root',
    title: 'A URI without a path is the root',
    method: 'fs/canonicalize',
    forms: ['uri'],
    params: () => ({ path: 'file://' }),
    expected: { result: { path: 'file:///' } },
  },
  ...Object.entries({
    space: ['a b', 'a%20b'],
    hash: ['a#b', 'a%23b'],
    question: ['a?b', 'a%3Fb'],
    percent: ['a%b', 'a%25b'],
    'non-ascii': ['a\u00e4', 'a%C3%A4'],
    byte: [Buffer.from('a\xff', 'latin1'), 'a%FF'],
  } as const).flatMap(([id, [name, escaped]]): Row[] => [
    {
      ...uri(
        `${id}-read`,
        `reaches a name with ${id}`,
        (tree) => `file://${tree.root}/${escaped}`,
        text('special'),
      ),
      prepare: async (tree) => tree.file(name, 'special'),
    },
    {
      id: `path-uri-${id}-answer`,
      title: `A URI in an answer escapes a name with ${id}`,
      method: 'fs/canonicalize',
      forms: ['uri'],
      prepare: async (tree) => tree.file(name, 'special'),
      params: (tree) => ({ path: `file://${tree.root}/${escaped}` }),
      expected: (tree) => ({ result: { path: `file://${tree.root}/${escaped}` } }),
    },
  ]),
];

function uri(id: string, title: string, path: (tree: Tree) => string, expected: Row['expected']): Row {
  return {
    ...reading(`uri-${id}`, `A URI ${title}`, path, expected),
    forms: ['uri'],
    prepare: async (tree) => {
      await tree.link('to-sub', 'dir/sub');
      await tree.file('a\u00e4', 'special');
    },
  };
}

function reading(id: string, title: string, path: (tree: Tree) => string, expected: Row['expected']): Row {
  return {
    id: `path-${id}`,
    title,
    method: 'fs/readFile',
    params: (tree) => ({ path: path(tree) }),
    expected,
  };
}

/** Section 1.2. */
export const decodingRows: readonly Row[] = [
  {
    ...decoding('extra', 'an unknown member', hello),
    params: (_tree, path) => ({ path: path('file'), unknown: { deep: [1] } }),
  },
  {
    ...decoding('sandbox-null', 'no sandbox as null', hello),
    params: (_tree, path) => ({ path: path('file'), sandbox: null }),
  },
  { ...decoding('missing', 'no path', undecodable), params: () => ({}) },
  { ...decoding('type', 'a number as a path', undecodable), params: () => ({ path: 5 }) },
  { ...decoding('null', 'null as a path', undecodable), params: () => ({ path: null }) },
  { ...decoding('params-null', 'null for all parameters', undecodable), params: () => null },
  { ...decoding('params-absent', 'no parameters', undecodable), params: () => undefined },
  { ...decoding('params-array', 'an array of parameters', undecodable), params: () => [] },
  {
    ...decoding('flag', 'a word for a flag', undecodable),
    method: 'fs/remove',
    params: (_tree, path) => ({ path: path('file'), recursive: 'yes' }),
  },
];

function decoding(id: string, title: string, expected: Row['expected']): Row {
  return {
    id: `decode-${id}`,
    title: `A request ${expected === undecodable ? 'must not' : 'may'} have ${title}`,
    method: 'fs/readFile',
    params: () => ({}),
    expected,
  };
}

/** Section 1.4: the codes that the tables of the methods do not bring about. */
export const codeRows: readonly Row[] = [
  {
    id: 'code-not-permitted',
    title: 'What the system does not permit at all is an invalid request',
    method: 'fs/remove',
    params: (_tree, path) => ({ path: path('/proc/version') }),
    expected: failed.EPERM,
  },
  {
    id: 'code-busy',
    title: 'What is in use is an internal error',
    method: 'fs/remove',
    // Nothing below /proc can be removed, whatever the executor makes of this.
    params: (_tree, path) => ({ path: path('/proc'), recursive: false }),
    expected: process.getuid?.() === 0 ? failed.EBUSY : failed.EACCES,
  },
  {
    id: 'code-long-name',
    title: 'A name that is too long is an internal error',
    method: 'fs/createDirectory',
    params: (_tree, path) => ({ path: path('x'.repeat(256)) }),
    expected: failed.ENAMETOOLONG,
  },
];
