import type { Base, BaseEntry } from './base.ts';
import type { Work } from './carry-out.ts';
import { type Compared, isSameRoot, valueOf } from './compare.ts';
import type { Entry, SideName } from './options.ts';
import type { Plan } from './plan.ts';
import type { Side } from './sides.ts';
import { emptyTree } from './tree.ts';

/** What both sides have in common after a run. */
export async function nextBase(
  sides: Readonly<Record<SideName, Side>>,
  compared: Compared,
  plan: Plan,
  work: Work,
): Promise<Base> {
  const { base, source, target, up } = compared;
  const entries = new Map<string, BaseEntry>();
  const inStep = (one: Entry, other: Entry): void => {
    const value = valueOf(one);
    if (value === undefined) return;
    const [near, far] = up ? [one, other] : [other, one];
    const versions = { localVersion: near.version, remoteVersion: far.version };
    entries.set(one.path, { value, size: one.size ?? 0, mode: one.mode ?? 0, ...versions });
  };
  const moded = new Set(work.moded.keys());
  for (const path of plan.same) {
    const [one, other] = [source.entries.get(path), target.entries.get(path)];
    if (one === undefined || other === undefined) continue;
    // A change of the mode is one of the version.
    inStep(one, moded.has(path) ? { ...other, version: undefined } : other);
  }
  for (const { source: one, target: other } of work.done.values()) inStep(one, other);
  const [sameSource, sameTarget] = [isSameRoot(compared, 'source'), isSameRoot(compared, 'target')];
  for (const [path, before] of base.entries) {
    if (entries.has(path) || work.removed.has(path)) continue;
    const [here, there] = [source.entries.has(path), target.entries.has(path)];
    // Missing in a directory that is new is not the same as removed from it.
    const isKnown = (here || sameSource) && (there || sameTarget);
    if (isKnown && (here || there)) entries.set(path, before);
  }
  // One that was made by this run has its version only now.
  const made = target.version ?? (await versionOf(sides.target));
  const [near, far] = up ? [source.version, made] : [made, source.version];
  return { entries, localVersion: near, remoteVersion: far };
}

/** Everything in it is left out: only the directory itself counts. */
async function versionOf(side: Side): Promise<string | undefined> {
  return (await side.list(['*'], false).catch(() => emptyTree())).version;
}
