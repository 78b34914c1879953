import type { EnvironmentPath } from '../protocol/path.ts';
import type { Access, FileSystemProfile, SandboxEntry } from '../protocol/permission-profile.ts';
import type { SandboxContext } from '../protocol/sandbox.ts';
import { RpcError } from '../protocol/errors.ts';
import { joinPath } from '../disk/folder.ts';
import { partsOf } from './canonical.ts';
import { wrongProfile } from './refusal.ts';

/** What is not in a context and decides nonetheless. */
export interface Ambient {
  /** TMPDIR of the command, or for files of the executor. */
  readonly tmpdir: string | undefined;
  /** The form of the request's own path, where the context does not tell which clients it comes from. */
  readonly form?: 'plain' | 'uri' | undefined;
  /** Also makes readable what the platform needs to run programs. */
  readonly minimal?: boolean | undefined;
}

/** A path that an entry is about, before anybody has looked at the disk. */
export interface Target {
  readonly path: Buffer;
  readonly access: Access;
  readonly source: string;
  readonly skipMissing: boolean;
  /** It must not lead out of here, links followed. */
  readonly within: Buffer | undefined;
  /** Only counts if it is a directory. */
  readonly directory: boolean;
}

export interface DeniedPattern {
  readonly pattern: string;
  readonly source: string;
}

export interface Targets {
  readonly paths: readonly Target[];
  readonly denied: readonly DeniedPattern[];
  readonly minimal: boolean;
  /** The whole disk is written to by the entry that says so, and not only by a path that happens to be its root. */
  readonly everything: boolean;
  readonly notes: readonly string[];
}

type Restricted = Extract<FileSystemProfile, { type: 'restricted' }>;

/** What makes programs of the platform run. */
export const platformPaths: readonly string[] = [
  '/bin',
  '/sbin',
  '/usr',
  '/etc',
  '/lib',
  '/lib64',
  '/nix/store',
  '/run/current-system/sw',
];

export function targetsOf(profile: Restricted, context: SandboxContext, ambient: Ambient): Targets {
  requireCwd(profile, context, ambient);
  const paths: Target[] = [];
  const denied: DeniedPattern[] = [];
  const notes: string[] = [];
  let minimal = ambient.minimal === true;
  let everything = false;
  for (const [index, entry] of profile.entries.entries()) {
    const source = sourceOf(entry, index);
    const { place, access } = entry;
    if (place.type === 'glob') {
      if (access === 'none') denied.push({ pattern: place.pattern, source });
      else notes.push(`${source} has no effect: patterns can only deny.`);
      continue;
    }
    const kind = place.type === 'special' ? place.special.kind : undefined;
    if (kind === 'minimal') minimal ||= access !== 'none';
    if (kind === 'root') everything ||= access === 'write';
    if (kind === 'unknown') notes.push(`${source} has no effect: this executor does not know the place.`);
    paths.push(...pathsOf(entry, source, context, ambient));
  }
  return { paths, denied, minimal, everything, notes };
}

/** What depends on a working directory cannot do without: that of the executor has nothing to do with it. */
function requireCwd(profile: Restricted, context: SandboxContext, ambient: Ambient): void {
  if (context.cwd !== undefined) return;
  const index = profile.entries.findIndex(({ place }) => {
    if (place.type === 'glob') return !place.pattern.startsWith('/');
    const isRoots = place.type === 'special' && place.special.kind === 'projectRoots';
    return isRoots && (context.workspaceRoots ?? []).length === 0;
  });
  const entry = profile.entries[index];
  if (entry === undefined) return;
  const generation = context.generation ?? (ambient.form === 'plain' ? 'may2026' : 'current');
  const rule = sourceOf(entry, index);
  const fix = 'send cwd in the sandbox context';
  throw new RpcError(
    generation === 'may2026' ? 'invalidRequest' : 'invalidParams',
    `file system sandbox context with dynamic permissions requires cwd: ${rule} starts from it. To change that, ${fix}.`,
    { data: { sandbox: { refused: true, rule, fix } } },
  );
}

function pathsOf(entry: SandboxEntry, source: string, context: SandboxContext, ambient: Ambient): Target[] {
  const { place, access, skipMissing } = entry;
  const target = (path: Buffer, more: Partial<Target> = {}): Target => {
    return { path, access, source, skipMissing, within: undefined, directory: false, ...more };
  };
  if (place.type === 'glob') return [];
  if (place.type === 'path') return [target(place.path.bytes)];
  switch (place.special.kind) {
    case 'root':
      return [target(Buffer.from('/'))];
    case 'slashTmp':
      return [target(Buffer.from('/tmp'), { directory: true })];
    case 'tmpdir':
      return temporary(context, ambient).map((path) => target(path));
    case 'projectRoots': {
      const { subpath } = place.special;
      const roots = projectRoots(context);
      if (subpath === undefined) return roots.map((root) => target(root));
      const below = partsBelow(subpath, source);
      return roots.map((root) => target(below.reduce(joinPath, root), { within: root }));
    }
    case 'minimal':
    case 'unknown':
      return [];
  }
}

function projectRoots({ workspaceRoots = [], cwd }: SandboxContext): Buffer[] {
  const roots: readonly EnvironmentPath[] =
    workspaceRoots.length > 0 || cwd === undefined ? workspaceRoots : [cwd];
  return roots.map(({ bytes }) => bytes);
}

/** A relative TMPDIR starts from the context's cwd; without one it means nothing. */
function temporary({ temporaryDirectories, cwd }: SandboxContext, { tmpdir }: Ambient): Buffer[] {
  if (temporaryDirectories !== undefined) return temporaryDirectories.map(({ bytes }) => bytes);
  if (tmpdir === undefined || tmpdir === '' || tmpdir.includes('\0')) return [];
  const start = tmpdir.startsWith('/') ? Buffer.from('/') : cwd?.bytes;
  return start === undefined ? [] : [withoutDots(Buffer.from(tmpdir)).reduce(joinPath, start)];
}

function partsBelow(subpath: string, source: string): Buffer[] {
  const fix = 'name a path below the root, or use an entry of type path';
  if (subpath.startsWith('/')) throw wrongProfile('has an absolute subpath', source, fix);
  let depth = 0;
  for (const part of subpath.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '' && part !== '.') depth += 1;
    if (depth < 0) throw wrongProfile('has a subpath that leaves its root', source, fix);
  }
  return withoutDots(Buffer.from(subpath));
}

function withoutDots(path: Buffer): Buffer[] {
  const kept: Buffer[] = [];
  for (const part of partsOf(path)) {
    const text = part.toString('latin1');
    if (text === '..') kept.pop();
    else if (text !== '.') kept.push(part);
  }
  return kept;
}

const specialNames = {
  root: 'root',
  minimal: 'minimal',
  tmpdir: 'tmpdir',
  slashTmp: 'slash_tmp',
  unknown: 'unknown',
  projectRoots: 'project_roots',
} as const;

function sourceOf({ place, access }: SandboxEntry, index: number): string {
  const what =
    place.type === 'special'
      ? specialNames[place.special.kind] +
        (place.special.kind === 'projectRoots' && place.special.subpath !== undefined
          ? ` ${place.special.subpath}`
          : '')
      : place.type;
  return `entry ${index + 1} (${what} ${access})`;
}
