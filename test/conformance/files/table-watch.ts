import { type Row, done, refused, text, undecodable } from './row.ts';

let watches = 0;

/** The reference takes only ids that are greater than all before. */
function nextWatchId(): number {
  watches += 1;
  return watches;
}

const cannotTell = 'Ours watches there, too: more paths, and behind links.';

/** Section 3.12: the answers. What is told later has tests of its own. */
export const watchRows: readonly Row[] = [
  watch('missing', 'watches for a missing path', ['missing'], undefined, true),
  watch('parents', 'watches for a path whose parents are missing', ['a/b/c'], undefined, true),
  watch('several', 'watches for several paths', ['missing', 'a/b'], undefined, true),
  watch('twice', 'takes a path twice', ['missing', 'missing'], undefined, true),
  watch('present', 'watches a present path, too', ['missing'], 'file', true),
  watch('none', 'has nothing to wait for without a missing path', [], undefined, false),
  watch('there', 'has nothing to wait for where the path is there', ['file'], undefined, false),
  watch(
    'one-there',
    'has nothing to wait for where one path is there',
    ['missing', 'file'],
    undefined,
    false,
  ),
  watch('dangling', 'takes a dangling link as there', ['dangling'], undefined, false),
  watch('present-gone', 'has nothing to wait for where the present path is gone', ['missing'], 'gone', false),
  {
    ...watch('65', 'watches for 65 paths', [], undefined, true),
    params: (_tree, path) => ({
      watchId: nextWatchId(),
      missing: Array.from({ length: 65 }, (_one, index) => path(`missing-${index}`)),
    }),
    reference: { now: { expected: { result: { watching: false } }, reason: cannotTell } },
  },
  {
    ...watch('old-id', 'does not replace a watch by one with a smaller id', ['missing'], undefined, false),
    before: (_tree, path) => [
      ['fs/watchMissing', { watchId: nextWatchId() + 1, missing: [path('missing')] }],
    ],
  },
  watch('link', 'does not watch behind a link', ['to-dir/missing'], undefined, false),
  {
    ...watch('id', 'takes no negative id', ['missing'], undefined, true),
    params: (_tree, path) => ({ watchId: -1, missing: [path('missing')] }),
    expected: undecodable,
  },
];

function watch(
  id: string,
  title: string,
  missing: readonly string[],
  present: string | undefined,
  watching: boolean,
): Row {
  return {
    id: `watch-${id}`,
    title: `fs/watchMissing ${title}`,
    method: 'fs/watchMissing',
    params: (_tree, path) => ({
      watchId: nextWatchId(),
      missing: missing.map(path),
      ...(present !== undefined && { present: path(present) }),
    }),
    expected: { result: { watching } },
  };
}

const managed = {
  permissions: {
    type: 'managed',
    file_system: {
      type: 'restricted',
      entries: [{ path: { type: 'special', value: { kind: 'root' } }, access: 'read' }],
    },
    network: 'enabled',
  },
};
const laterSandboxed = {
  notAsked: true,
  reason: 'The reference has the enforcer that ours refuses, or another answer for it.',
} as const;
const handle = 'sandboxed';

/** A profile that cannot be enforced is refused before anything happens. */
export const sandboxRows: readonly Row[] = [
  ...Object.entries<(path: (name: string) => string) => Record<string, unknown>>({
    'fs/readFile': (path) => ({ path: path('file') }),
    'fs/writeFile': (path) => ({ path: path('file'), dataBase64: '' }),
    'fs/createDirectory': (path) => ({ path: path('new') }),
    'fs/getMetadata': (path) => ({ path: path('file') }),
    'fs/readDirectory': (path) => ({ path: path('dir') }),
    'fs/remove': (path) => ({ path: path('dir') }),
    'fs/copy': (path) => ({ sourcePath: path('file'), destinationPath: path('new'), recursive: true }),
    'fs/canonicalize': (path) => ({ path: path('file') }),
    'fs/walk': (path) => ({
      path: path('dir'),
      options: { maxDepth: 1, maxDirectories: 1, maxEntries: 1, followDirectorySymlinks: false },
    }),
    'fs/open': (path) => ({ handleId: handle, path: path('file'), mode: 'replace' }),
    'fs/watchMissing': (path) => ({ watchId: 1, missing: [path('missing')] }),
    'fs/rename': (path) => ({ sourcePath: path('file'), destinationPath: path('new') }),
    'fs/createSymlink': (path) => ({ path: path('new'), target: 'file' }),
    'fs/readLink': (path) => ({ path: path('to-file') }),
    'fs/setMetadata': (path) => ({ path: path('file'), mode: 0 }),
    'fs/truncate': (path) => ({ path: path('file'), size: 0 }),
  }).map(([method, params]): Row => ({
    id: `sandbox-${method}`,
    title: `${method} refuses a profile that it cannot enforce, and touches nothing`,
    method,
    params: (tree, path) => ({
      ...params(path),
      sandbox: { ...managed, cwd: path(tree.root), useLegacyLandlock: true },
    }),
    expected: refused,
    reference: { may: laterSandboxed, now: laterSandboxed },
  })),
  {
    id: 'sandbox-disabled',
    title: 'fs/readFile accepts a profile without confinement',
    method: 'fs/readFile',
    params: (tree, path) => ({
      path: path('file'),
      sandbox: { permissions: { type: 'disabled' }, cwd: path(tree.root), windowsSandboxLevel: 'disabled' },
    }),
    expected: text('hello\n'),
  },
  {
    id: 'sandbox-type',
    title: 'fs/readFile refuses a profile of an unknown type',
    method: 'fs/readFile',
    params: (_tree, path) => ({ path: path('file'), sandbox: { permissions: { type: 'unheard-of' } } }),
    expected: undecodable,
  },
  {
    id: 'sandbox-close',
    title: 'fs/close has no profile',
    method: 'fs/close',
    params: () => ({ handleId: handle }),
    expected: done,
  },
];
