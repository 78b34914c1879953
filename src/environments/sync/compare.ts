import type { Base, BaseEntry } from './base.ts';
import type { Change, Entry, SideName } from './options.ts';
import type { Tree } from './tree.ts';

/** Both trees, and what they had in common last, by the roles of this run. */
export interface Compared {
  readonly source: Tree;
  readonly target: Tree;
  readonly base: Base;
  readonly up: boolean;
}

/** Which version of a base entry is that of the source or of the target. */
export function versionIn(base: BaseEntry, up: boolean, side: SideName): string | undefined {
  return (side === 'source') === up ? base.localVersion : base.remoteVersion;
}

/** Whether the directory of this side is the one of the last run. What is missing in another one says nothing. */
export function isSameRoot({ base, up, ...trees }: Compared, side: SideName): boolean {
  const known = (side === 'source') === up ? base.localVersion : base.remoteVersion;
  return known !== undefined && known === trees[side].version;
}

/** Gives files the digest that they had last, where their version says that nothing has changed. */
export function recallDigests(compared: Compared): void {
  const { base, up } = compared;
  for (const side of ['source', 'target'] as const) {
    if (!isSameRoot(compared, side)) continue;
    const { entries } = compared[side];
    for (const [path, entry] of entries) {
      const before = entry.kind === 'file' ? base.entries.get(path) : undefined;
      if (before === undefined || entry.version === undefined || !before.value.startsWith('f')) continue;
      if (versionIn(before, up, side) !== entry.version) continue;
      entries.set(path, { ...entry, sha256: before.value.slice(1) });
    }
  }
}

/** The files of one side whose content has to be read to know whether it is another one. A different size says so by itself. */
export function undecided({ base, ...trees }: Compared, side: SideName): string[] {
  const other = trees[side === 'source' ? 'target' : 'source'];
  return [...trees[side].entries.values()]
    .filter(({ path, kind, size, sha256 }) => {
      if (kind !== 'file' || sha256 !== undefined) return false;
      const before = base.entries.get(path);
      const opposite = other.entries.get(path);
      const asBefore = before?.value.startsWith('f') === true && before.size === size;
      return asBefore || (opposite?.kind === 'file' && opposite.size === size);
    })
    .map(({ path }) => path);
}

/** What an entry is, as text; undefined for a file whose content is not known, which then is another one than any that is. */
export function valueOf({ kind, sha256, target }: Entry): string | undefined {
  if (kind === 'file') return sha256 === undefined ? undefined : `f${sha256}`;
  if (kind === 'link') return `l${target}`;
  return kind === 'directory' ? 'd' : undefined;
}

export function isEqual(one: Entry, other: Entry): boolean {
  const value = valueOf(one);
  return value !== undefined && value === valueOf(other);
}

/** What has become of a path since the last run; undefined: nothing. */
export function changeOf(entry: Entry | undefined, before: BaseEntry | undefined): Change | undefined {
  if (entry === undefined) return before === undefined ? undefined : 'deleted';
  if (before === undefined) return 'created';
  return valueOf(entry) === before.value ? undefined : 'changed';
}
