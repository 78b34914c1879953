import { staysInside } from '../../disk/archive-entry.ts';
import type { BaseEntry } from './base.ts';
import { type Compared, changeOf, isEqual, isSameRoot } from './compare.ts';
import type { Entry, Noted, SyncConflict, SyncOptions } from './options.ts';
import { Subtrees } from './tree.ts';

export interface Removal {
  readonly path: string;
  readonly isDirectory: boolean;
}

/** What is to be done, and what is not. */
export interface Plan {
  /** Of the source; a directory before what is in it. */
  readonly transfer: string[];
  /** Of the target, what stands in the way of it, deepest first. */
  readonly before: Removal[];
  /** Of the target, deepest first. */
  readonly deletes: Removal[];
  readonly modes: { readonly path: string; readonly mode: number }[];
  /** Both sides have the same. */
  readonly same: string[];
  readonly conflicts: SyncConflict[];
  readonly kept: string[];
  extra: number;
  readonly skipped: Noted[];
}

type Options = Pick<SyncOptions, 'delete' | 'symlinks' | 'onConflict'>;

/** Decides, path by path, what a run does. Changes nothing. */
export async function makePlan(compared: Compared, options: Options): Promise<Plan> {
  return new Planner(compared, options).run();
}

class Planner {
  readonly #compared: Compared;
  readonly #options: Options;
  readonly #skips: Subtrees;
  /** Directories of the target in whose place something else comes. */
  readonly #cleared = new Subtrees([]);
  readonly #plan: Plan;

  constructor(compared: Compared, options: Options) {
    this.#compared = compared;
    this.#options = options;
    const skipped = [...compared.source.blocked, ...compared.target.blocked];
    this.#skips = new Subtrees(skipped.map(({ path }) => path));
    this.#plan = {
      transfer: [],
      before: [],
      deletes: [],
      modes: [],
      same: [],
      conflicts: [],
      kept: [],
      extra: 0,
      skipped,
    };
  }

  async run(): Promise<Plan> {
    const { source, target } = this.#compared;
    const paths = new Set([...source.entries.keys(), ...target.entries.keys()]);
    // A directory is before what is in it, and what is below it not after its neighbours: by the names, not by the text.
    for (const path of [...paths].sort(byNames)) {
      const [one, other] = [source.entries.get(path), target.entries.get(path)];
      if (this.#skips.cover(path) || this.#cleared.cover(path)) continue;
      const why = one && this.#unfit(one);
      if (why !== undefined) this.#skip(path, why);
      else if (one !== undefined && other !== undefined) await this.#both(one, other);
      else if (one !== undefined) await this.#sourceOnly(one);
      else if (other !== undefined) await this.#targetOnly(other);
    }
    this.#plan.before.reverse();
    this.#plan.deletes.reverse();
    return this.#plan;
  }

  #unfit({ path, kind, target = '' }: Entry): string | undefined {
    if (kind === 'other') return 'It is no file, directory or link, or its name or text is not UTF-8.';
    if (kind !== 'link') return undefined;
    if (this.#options.symlinks === 'skip') return 'It is a symbolic link.';
    const depth = path.split('/').length - 1;
    return staysInside(target, depth) ? undefined : 'It is a link that leads out of the directory.';
  }

  async #both(source: Entry, target: Entry): Promise<void> {
    const { path } = source;
    const before = this.#base(path);
    if (isEqual(source, target)) {
      this.#plan.same.push(path);
      this.#compareModes(source, target, before);
      return;
    }
    const [change, otherChange] = [changeOf(source, before), changeOf(target, before)];
    if (otherChange === undefined) return this.#replace(source, target);
    if (change === undefined) {
      if (this.#options.onConflict === 'source') return this.#replace(source, target);
      this.#keep(path);
      return;
    }
    const conflict = { path, source: change, target: otherChange };
    if (await this.#sourceWins(conflict)) this.#replace(source, target);
    else this.#leave(path);
  }

  /** Puts what the source has in the place of what the target has. */
  #replace(source: Entry, target: Entry): void {
    const { path } = source;
    if (target.kind === 'directory' && source.kind !== 'directory') {
      if (!this.#clear(path)) {
        this.#plan.conflicts.push({ path, source: 'changed', target: 'changed' });
        this.#leave(path);
        return;
      }
    } else if (source.kind === 'directory' || target.kind === 'other') {
      this.#plan.before.push({ path, isDirectory: false });
    }
    this.#plan.transfer.push(path);
  }

  /** Plans to remove a directory of the target, if nothing in it is worth keeping. */
  #clear(path: string): boolean {
    const { target } = this.#compared;
    const inside = [...target.entries.values()].filter((entry) => entry.path.startsWith(`${path}/`));
    const isFree = inside.every(
      (entry) => entry.kind === 'directory' || changeOf(entry, this.#base(entry.path)) === undefined,
    );
    if (this.#options.onConflict !== 'source' && (!isFree || !this.#options.delete)) return false;
    const all = [path, ...inside.map((entry) => entry.path).sort(byNames)];
    const isBlocked = target.blocked.some((noted) => noted.path.startsWith(`${path}/`));
    if (isBlocked) return false;
    for (const each of all) {
      const isDirectory = target.entries.get(each)?.kind === 'directory';
      this.#plan.before.push({ path: each, isDirectory });
    }
    this.#cleared.add(path);
    return true;
  }

  async #sourceOnly(source: Entry): Promise<void> {
    const { path } = source;
    const before = isSameRoot(this.#compared, 'target') ? this.#base(path) : undefined;
    const change = changeOf(source, before);
    if (before === undefined || this.#options.onConflict === 'source') {
      this.#plan.transfer.push(path);
    } else if (change === undefined) {
      this.#plan.kept.push(path);
    } else if (await this.#sourceWins({ path, source: change, target: 'deleted' })) {
      this.#plan.transfer.push(path);
    }
  }

  async #targetOnly(target: Entry): Promise<void> {
    const { path } = target;
    const isDirectory = target.kind === 'directory';
    const before = isSameRoot(this.#compared, 'source') ? this.#base(path) : undefined;
    const mode = this.#options.delete ?? false;
    const change = isDirectory && before !== undefined ? undefined : changeOf(target, before);
    if (mode === false || target.kind === 'other' || (before === undefined && mode !== 'extra')) {
      this.#plan.extra += 1;
    } else if (before === undefined || change === undefined) {
      this.#plan.deletes.push({ path, isDirectory });
    } else if (await this.#sourceWins({ path, source: 'deleted', target: change })) {
      this.#plan.deletes.push({ path, isDirectory });
    }
  }

  #compareModes(source: Entry, target: Entry, before: BaseEntry | undefined): void {
    const { path, kind, mode } = source;
    if (kind === 'link' || mode === undefined || mode === target.mode) return;
    const onlyTarget = before !== undefined && before.mode === mode;
    if (onlyTarget && this.#options.onConflict !== 'source') this.#plan.kept.push(path);
    else this.#plan.modes.push({ path, mode });
  }

  async #sourceWins(conflict: SyncConflict): Promise<boolean> {
    const { onConflict = 'keep' } = this.#options;
    const resolution = typeof onConflict === 'function' ? await onConflict(conflict) : onConflict;
    if (resolution === 'source') return true;
    this.#plan.conflicts.push(conflict);
    return false;
  }

  #keep(path: string): void {
    this.#plan.kept.push(path);
    this.#leave(path);
  }

  /** What the target has there stays; so does everything below, where one of the two is a directory. */
  #leave(path: string): void {
    this.#skips.add(path);
  }

  #skip(path: string, why: string): void {
    this.#plan.skipped.push({ path, why });
    this.#skips.add(path);
  }

  #base(path: string): BaseEntry | undefined {
    return this.#compared.base.entries.get(path);
  }
}

/** As the names on the way are sorted: what is in a directory follows it at once. */
export function byNames(one: string, other: string): number {
  const [left, right] = [one.replaceAll('/', '\0'), other.replaceAll('/', '\0')];
  return left < right ? -1 : left > right ? 1 : 0;
}
