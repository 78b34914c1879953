import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { toFileUri } from '../../src/protocol/path.ts';
import { type Places, expand } from './sandbox-fixture.ts';
import {
  type WireEntry,
  type WireSandbox,
  at,
  glob,
  projectRoots,
  restricted,
  root,
  special,
} from './sandbox-profiles.ts';

export type Operation = 'read' | 'write' | 'remove' | 'mkdir' | 'list' | 'copy';

/** One row of the table of decisions that executors of this protocol are compared by. Paths begin with the name of a place. */
export interface Vector {
  readonly number: number;
  /** `PLACE:ACCESS`; a place is root, pr (project_roots), pr/SUBPATH, glob PATTERN, the kind of a special place, or a path. */
  readonly entries: readonly string[];
  readonly operation: Operation;
  readonly path: string;
  /** Of a copy, which `path` is the source of. */
  readonly to?: string;
  /** `refused`: the whole request, with this code to current clients and to those of May 2026. */
  readonly expected: 'allowed' | 'denied' | { readonly refused: readonly [current: number, may2026: number] };
  /** Why we answer other than the executors in the field. */
  readonly differs?: string;
  /** Instead of entries. */
  readonly permissions?: (places: Places) => WireSandbox['permissions'];
  /** W if absent; null: none. */
  readonly cwd?: string | null;
  /** The workspace roots that current clients send are left out. */
  readonly withoutRoots?: true;
  readonly depth?: number;
  readonly legacyLandlock?: true;
  /** TMPDIR is T. */
  readonly tmpdir?: true;
  /** Holds for file methods, whose executor needs the platform, and not for processes. */
  readonly filesOnly?: true;
  /** What the host must not be able to do. */
  readonly host?: 'without bubblewrap';
  readonly setUp?: (places: Places) => Promise<unknown>;
}

const changed = { refused: [-32600, -32600] } as const;
const wrong = { refused: [-32602, -32602] } as const;
const noCwd = { refused: [-32602, -32600] } as const;

const lost = 'A success without effect is none.';
const landlock = 'The flag names an enforcer that this executor does not have.';

type Row = readonly [
  number: number,
  entries: readonly string[],
  operation: Operation,
  path: string,
  expected: Vector['expected'],
  more?: Partial<Vector>,
];

const workspace = ['root:read', 'pr:write'];
const writable = ['root:read', 'W:write'];

const rows: readonly Row[] = [
  [1, ['root:read'], 'read', 'OUT/o.txt', 'allowed'],
  [2, ['root:read'], 'write', 'OUT/o.txt', 'denied'],
  [3, ['root:read'], 'remove', 'OUT/o.txt', 'denied'],
  [4, ['root:read'], 'mkdir', 'OUT/nd', 'denied'],
  [5, ['root:read'], 'copy', 'W/f.txt', 'denied', { to: 'OUT/c' }],
  [6, ['root:read'], 'write', '/dev/null', 'allowed'],
  [7, ['root:read'], 'write', '/dev/shm/exec-server-probe', 'denied', { differs: lost }],
  [8, ['root:write'], 'write', 'OUT/o.txt', 'allowed'],
  [9, ['root:write', 'SEC:none'], 'write', 'OUT/o.txt', 'allowed'],
  [10, ['root:write', 'SEC:none'], 'write', 'SEC/s.txt', 'denied'],
  [11, ['root:write', 'SEC:none'], 'write', 'W/.git/config', 'allowed'],
  [12, ['root:write', 'SEC:read'], 'write', 'SEC/s.txt', 'denied'],
  [13, ['root:write', 'SEC:read'], 'read', 'SEC/s.txt', 'allowed'],
  [14, ['root:write', 'minimal:read'], 'write', 'OUT/o.txt', 'allowed'],
  [15, workspace, 'write', 'W/new.txt', 'allowed'],
  [16, workspace, 'write', 'OUT/o.txt', 'denied'],
  [17, workspace, 'write', 'W/lo', 'denied'],
  [18, workspace, 'read', 'W/lo', 'allowed'],
  [19, workspace, 'write', 'W/lout/new', 'denied'],
  [20, workspace, 'write', 'W/lsrc/new', 'allowed'],
  [21, workspace, 'remove', 'W/lout', 'allowed'],
  [22, workspace, 'write', 'W/.git/config', 'denied'],
  [23, workspace, 'remove', 'W/.git', 'denied'],
  [24, workspace, 'write', 'W/.codex/x', 'denied'],
  [25, workspace, 'write', 'W/.agents', 'denied'],
  [26, workspace, 'mkdir', 'W/.agents', 'denied', { differs: lost }],
  [27, workspace, 'mkdir', 'W/.agents', 'denied'],
  [28, workspace, 'mkdir', 'W/.git', 'denied', { differs: lost, setUp: insideRepository }],
  [
    29,
    workspace,
    'write',
    'W/src/.git/config',
    'allowed',
    { setUp: (places) => mkdir(`${places.W}/src/.git`) },
  ],
  [30, workspace, 'remove', 'W', 'denied'],
  [31, workspace, 'write', 'W/n', noCwd, { cwd: null, withoutRoots: true }],
  [32, workspace, 'write', 'W/n', 'allowed', { cwd: 'LINK' }],
  [32, workspace, 'write', 'LINK/n', 'allowed', { cwd: 'LINK' }],
  [33, workspace, 'read', 'OUT/o.txt', 'allowed', { cwd: 'NEWDIR' }],
  [34, workspace, 'write', 'W/f.txt', 'denied', { cwd: 'W/src' }],
  [
    35,
    workspace,
    'write',
    'W/n',
    'allowed',
    {
      withoutRoots: true,
      differs: 'Without workspace roots the workspace is where the command runs, as it was in May.',
    },
  ],
  [36, ['root:read', 'pr/.git:write', 'pr:write'], 'write', 'W/.git/config', 'allowed'],
  [
    37,
    ['root:read', 'pr:write', 'pr/.git/hooks:write'],
    'write',
    'W/.git/hooks/h',
    'allowed',
    { setUp: (places) => mkdir(`${places.W}/.git/hooks`) },
  ],
  [38, [...writable, 'W/.codex:write'], 'mkdir', 'W/.codex/x', 'allowed'],
  [39, [...writable, 'W/.codex/skills:write'], 'mkdir', 'W/.codex/skills/x', 'denied'],
  [
    40,
    ['root:read', 'pr/../OUT:write'],
    'write',
    'OUT/n',
    wrong,
    { differs: 'An entry that leaves its root is refused, and not left out in silence.' },
  ],
  [41, ['pr:write'], 'read', 'W/f.txt', 'allowed'],
  [42, ['pr:write'], 'read', 'OUT/o.txt', 'denied'],
  [43, ['pr:write'], 'read', '/etc/hostname', 'allowed', { filesOnly: true }],
  [44, ['pr:write'], 'write', 'PARENT/x', 'denied', { differs: lost }],
  [45, [], 'read', 'W/f.txt', 'denied'],
  [46, ['minimal:read'], 'write', '/etc/x', 'denied'],
  [47, ['root:none', 'W:read'], 'read', 'W/f.txt', 'allowed'],
  [48, ['root:none', 'root:read'], 'read', 'W/f.txt', 'denied'],
  [49, [...writable, 'W/src:read'], 'write', 'W/src/a.c', 'denied'],
  [50, [...writable, 'W/src:read', 'W/src/deep:write'], 'write', 'W/src/deep/d.c', 'allowed'],
  [51, [...writable, 'W/src:none'], 'read', 'W/src/a.c', 'denied'],
  [52, [...writable, 'W/src:none'], 'list', 'W/src', 'denied'],
  [53, [...writable, 'W/src:none', 'W/src/deep:write'], 'write', 'W/src/deep/d.c', 'allowed'],
  [
    54,
    [...writable, 'W/src:none', 'W/src/deep:read'],
    'read',
    'W/src/deep/d.c',
    'allowed',
    { differs: 'The entry with the longest path decides, a read grant below a denial included.' },
  ],
  [55, ['root:read', 'SEC:none', 'SEC/pub:write'], 'write', 'SEC/pub/sp.txt', 'allowed'],
  [56, [...writable, 'W:none'], 'read', 'W/f.txt', 'denied'],
  [56, ['root:read', 'W:none', 'W:write'], 'read', 'W/f.txt', 'denied'],
  [57, [...writable, 'W:read'], 'write', 'W/f.txt', 'allowed'],
  [58, [...writable, 'W/.env:none'], 'read', 'W/.env', 'denied'],
  [59, [...writable, 'W/.env:none'], 'write', 'W/.env', 'denied'],
  [59, [...writable, 'W/.env:none'], 'remove', 'W/.env', 'denied'],
  [60, [...writable, 'W/gen/a:read'], 'write', 'W/gen', 'denied'],
  [61, ['root:read', 'NEWDIR:write'], 'mkdir', 'NEWDIR', 'denied'],
  [
    62,
    ['root:read', 'W/f.txt:write'],
    'write',
    'W/f.txt',
    'allowed',
    { differs: 'A regular file is granted like a directory.' },
  ],
  [63, ['root:read', 'W/lout:write'], 'write', 'OUT/n', 'allowed'],
  [64, [...writable, 'W/lout:none'], 'read', 'OUT/o.txt', changed],
  [65, writable, 'write', 'W/x', changed, { setUp: (places) => symlink('../OUT', `${places.W}/.codex`) }],
  [66, ['root:read', 'LINK:none'], 'read', 'W/f.txt', 'denied'],
  [
    67,
    ['root:read', 'LINK:write', 'W/src:none'],
    'read',
    'W/src/a.c',
    'denied',
    { differs: 'A denial does not vanish behind a link.' },
  ],
  [68, [...writable, 'glob W/**/.env:none'], 'read', 'W/src/.env', 'denied'],
  [69, [...writable, 'glob W/**/.env:none'], 'write', 'W/pub/.env', 'allowed'],
  [70, [...writable, 'glob W/**/.env:none'], 'read', 'W/src/.env', 'allowed', { depth: 1 }],
  [71, [...writable, 'glob **/.env:none'], 'read', 'W/f.txt', noCwd, { cwd: null, withoutRoots: true }],
  [72, [...writable, 'glob W/**/.env:read'], 'write', 'W/src/.env', 'allowed'],
  [73, [...writable, 'glob W/{.env,f.txt}:none'], 'read', 'W/f.txt', wrong],
  [74, ['root:read', 'tmpdir:write'], 'write', 'T/x', 'allowed', { tmpdir: true }],
  [74, ['root:read', 'tmpdir:write'], 'write', 'PROBE', 'denied', { tmpdir: true }],
  [75, ['root:read', 'slash_tmp:write'], 'write', 'PROBE', 'allowed'],
  [76, ['root:read', 'unknown:write'], 'write', 'W/f.txt', 'denied'],
  [77, [], 'write', 'W/.git/config', 'allowed', { permissions: () => ({ type: 'disabled' }) }],
  [
    78,
    [],
    'write',
    'OUT/o.txt',
    'allowed',
    { permissions: () => ({ type: 'external', network: 'restricted' }) },
  ],
  [
    79,
    [],
    'write',
    'OUT/o.txt',
    'allowed',
    {
      permissions: () => ({ type: 'managed', network: 'restricted', file_system: { type: 'unrestricted' } }),
    },
  ],
  [
    80,
    [],
    'read',
    'W/f.txt',
    'denied',
    { permissions: () => ({}), differs: 'Clients of May 2026 may still write it so.' },
  ],
  [
    81,
    [],
    'write',
    'W/f.txt',
    'allowed',
    {
      permissions: (places) => ({ file_system: { write: [places.W] } }),
      differs: 'Clients of May 2026 may still write it so.',
    },
  ],
  [82, ['root:read'], 'write', 'OUT/o.txt', changed, { legacyLandlock: true, differs: landlock }],
  [83, writable, 'write', 'W/f.txt', changed, { legacyLandlock: true }],
  [
    84,
    writable,
    'write',
    'W/f.txt',
    'allowed',
    { host: 'without bubblewrap', differs: 'Another enforcer takes over, and enforces the same or refuses.' },
  ],
  [85, writable, 'write', 'W/../OUT/o.txt', 'denied'],
  [86, writable, 'write', '/proc/self/root/OUT/o.txt', 'denied'],
  [87, [...writable, 'OUT:write'], 'write', 'OUT/gd/x', 'denied', { setUp: gitFile }],
];

export const vectors: readonly Vector[] = rows.map(([number, entries, operation, path, expected, more]) =>
  Object.assign({ number, entries, operation, path, expected }, more),
);

/** What the vector is called in a report. */
export function titleOf({ number, entries, operation, path }: Vector): string {
  return `${number}: ${operation} ${path} under ${entries.length === 0 ? 'no entries' : entries.join(', ')}`;
}

/** The `sandbox` member as one generation of clients writes it. */
export function sandboxOf(vector: Vector, places: Places, form: 'uri' | 'plain'): WireSandbox {
  const write = (text: string): string =>
    form === 'uri' ? toFileUri(expand(text, places)) : expand(text, places);
  const cwd = vector.cwd === undefined ? 'W' : vector.cwd;
  const permissions =
    vector.permissions?.(places) ??
    restricted(
      vector.entries.map((entry) => entryOf(entry, places, write)),
      { depth: vector.depth },
    );
  const roots = cwd === null ? 'W' : cwd;
  return {
    permissions,
    windowsSandboxLevel: 'disabled',
    ...(cwd !== null && { cwd: write(cwd) }),
    ...(form === 'uri' && vector.withoutRoots === undefined && { workspaceRoots: [write(roots)] }),
    ...(vector.legacyLandlock && { useLegacyLandlock: true }),
  };
}

/** The path of the operation. */
export function pathOf(vector: Vector, places: Places): string {
  return vector.path.startsWith('/proc/self/root/')
    ? `/proc/self/root${expand(vector.path.slice('/proc/self/root/'.length), places)}`
    : expand(vector.path, places);
}

function entryOf(text: string, places: Places, write: (text: string) => string): WireEntry {
  const colon = text.lastIndexOf(':');
  const place = text.slice(0, colon);
  const access = text.slice(colon + 1) as 'read' | 'write' | 'none';
  if (place === 'root') return root(access);
  if (place === 'pr') return projectRoots(access);
  if (place.startsWith('pr/')) return projectRoots(access, place.slice('pr/'.length));
  if (place.startsWith('glob ')) return glob(expand(place.slice('glob '.length), places), access);
  if (place === 'unknown') return special({ kind: 'unknown', path: ':later' }, access);
  if (place === 'minimal' || place === 'tmpdir' || place === 'slash_tmp')
    return special({ kind: place }, access);
  return at(write(place), access);
}

async function insideRepository(places: Places): Promise<void> {
  await rm(`${places.W}/.git`, { recursive: true });
  await mkdir(`${places.PARENT}/.git`);
  await writeFile(`${places.PARENT}/.git/HEAD`, 'ref: refs/heads/main\n');
}

async function gitFile(places: Places): Promise<void> {
  await rm(`${places.W}/.git`, { recursive: true });
  await mkdir(`${places.OUT}/gd`);
  await chmod(`${places.OUT}/gd`, 0o755);
  await writeFile(`${places.W}/.git`, `gitdir: ${places.OUT}/gd\n`);
}
