import type { Access, Rule } from './rules.ts';
import { splitLast } from '../disk/folder.ts';
import { isBelow } from './rule-paths.ts';

/** One step that turns the base into what the rules say, in order: parents come before what is in them. */
export type Mount =
  /** What is there, in its place. */
  | {
      readonly kind: 'bind';
      readonly path: Buffer;
      readonly writable: boolean;
      readonly identity: string | undefined;
    }
  /** An empty directory that nobody can open. `traversable`: something in it is granted, and can be reached by its name. */
  | { readonly kind: 'maskDirectory'; readonly path: Buffer; readonly traversable: boolean }
  /** An empty file that nobody can open. */
  | { readonly kind: 'maskFile'; readonly path: Buffer }
  /** Another name of something that is granted, where the tree that holds the link is not there. */
  | { readonly kind: 'link'; readonly path: Buffer; readonly target: Buffer };

export interface MountPlan {
  /** What the whole tree is, before the mounts: writable, readable or not there. */
  readonly base: Access;
  readonly mounts: readonly Mount[];
  /** Directories that have to be there for something to be mounted on: they are made for the run, and removed after it. */
  readonly placeholders: readonly Buffer[];
  /** Where writing is granted. Narrower rules below are mounts. */
  readonly writable: readonly Buffer[];
}

/**
 * From rules to mounts. Rules come sorted, at most one a path. A grant of what is missing grants nothing; a denial of what is missing inside a
 * writable tree gets a placeholder, so that nothing can be created there.
 */
export function planMounts(rules: readonly Rule[]): MountPlan {
  const root = rules.find((rule) => rule.path.length === 1);
  const base = root?.access ?? 'none';
  const mounts: Mount[] = [];
  const placeholders = new Map<string, Buffer>();
  const writable: Buffer[] = base === 'write' ? [Buffer.from('/')] : [];
  const fixed = new Set<string>();
  const open: Rule[] = [];
  for (const rule of rules) {
    if (rule === root) continue;
    while (open.length > 0 && !isBelow(rule.path, open.at(-1)?.path ?? rule.path)) open.pop();
    const outer = open.at(-1);
    const around = outer?.access ?? base;
    if (rule.kind === 'missing') {
      if (around === 'write' && rule.access !== 'write') {
        const { place } = rule;
        const key = place.toString('latin1');
        if (placeholders.has(key)) continue;
        placeholders.set(key, place);
        pinParents(place, outer?.path, fixed, mounts);
        mounts.push(
          isDenied(place, rules)
            ? { kind: 'maskDirectory', path: place, traversable: false }
            : { kind: 'bind', path: place, writable: false, identity: undefined },
        );
      }
      continue;
    }
    if (rule.kind === 'hidden') continue;
    open.push(rule);
    if (rule.access === 'write') writable.push(rule.path);
    const traversable =
      rule.access === 'none' &&
      rules.some((inner) => inner.access !== 'none' && isBelow(inner.path, rule.path));
    // A directory on the way to a grant comes to be there, and would be open to all, where nothing else is.
    if (rule.access === around && !traversable) continue;
    if (around === 'write') pinParents(rule.path, outer?.path, fixed, mounts);
    if (rule.access !== 'none') {
      mounts.push({
        kind: 'bind',
        path: rule.path,
        writable: rule.access === 'write',
        identity: rule.identity,
      });
    } else if (rule.kind === 'directory') {
      mounts.push({ kind: 'maskDirectory', path: rule.path, traversable });
    } else mounts.push({ kind: 'maskFile', path: rule.path });
  }
  return {
    base,
    mounts: [...mounts, ...links(rules, base)],
    placeholders: [...placeholders.values()],
    writable,
  };
}

/** Without what would be mounted where nothing is, and where nobody can make anything: there is nothing to protect. */
export function withoutPlaces(plan: MountPlan, places: readonly Buffer[]): MountPlan {
  if (places.length === 0) return plan;
  return {
    ...plan,
    mounts: plan.mounts.filter((mount) => !places.some((place) => place.equals(mount.path))),
  };
}

/** Several missing paths can begin with the same missing part; a denial of one of them counts for it. */
function isDenied(place: Buffer, rules: readonly Rule[]): boolean {
  return rules.some((rule) => rule.kind === 'missing' && rule.access === 'none' && rule.place.equals(place));
}

/**
 * A directory between a writable root and something narrower in it becomes a mount of its own: what is mounted on cannot be renamed, and
 * whoever could rename it would find the narrower place unprotected in the next run.
 */
function pinParents(path: Buffer, root: Buffer | undefined, fixed: Set<string>, mounts: Mount[]): void {
  const between: Buffer[] = [];
  const end = root ?? Buffer.from('/');
  for (let parent = splitLast(path).parent; isBelow(parent, end); parent = splitLast(parent).parent) {
    const key = parent.toString('latin1');
    if (fixed.has(key)) continue;
    fixed.add(key);
    between.unshift(parent);
  }
  for (const parent of between)
    mounts.push({ kind: 'bind', path: parent, writable: true, identity: undefined });
}

/** Names by which the request called something, and that lead to it through a link: made where the tree that has the link is not seen. */
function links(rules: readonly Rule[], base: Access): Mount[] {
  const isSeen = (path: Buffer): boolean =>
    (rules.findLast((rule) => rule.path.equals(path) || isBelow(path, rule.path))?.access ?? base) !== 'none';
  return rules.flatMap((rule) =>
    rule.access === 'none'
      ? []
      : rule.aliases
          .filter((path) => !isSeen(path))
          .map((path): Mount => ({ kind: 'link', path, target: rule.path })),
  );
}
