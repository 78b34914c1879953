import { constants as os } from 'node:os';
import { toError } from '../../support/to-error.ts';
import type { Compared } from './compare.ts';
import type { Noted, SyncOptions, SyncPeer, SyncProgress, SyncResult } from './options.ts';
import type { Plan, Removal } from './plan.ts';
import { type LocalSide, type RemoteSide, type Side, isOsError } from './sides.ts';
import { type TransferReport, transfer } from './transfer.ts';

/** Calls under way at a time, where there is one for each entry. */
const together = 32;
/** Milliseconds for which an unfinished file may belong to somebody who is at work. */
const leftoverMs = 60 * 60_000;

/** Owner's rights without which nothing can be put into a directory or taken out of it. */
const usable = 0o700;

export interface Task {
  readonly peer: SyncPeer;
  readonly local: LocalSide;
  readonly remote: RemoteSide;
  readonly target: Side;
  readonly options: SyncOptions;
  readonly follow: boolean;
  readonly compared: Compared;
  readonly plan: Plan;
}

export interface Work {
  readonly done: TransferReport['done'];
  readonly removed: ReadonlySet<string>;
  readonly moded: ReadonlyMap<string, number>;
  readonly result: Omit<SyncResult, 'compared' | 'hashed'>;
  /** What has ended it early. */
  readonly failure: Error | undefined;
}

/** Does what was planned: first what stands in the way goes, then everything comes, and what is not there any more goes last. */
export async function carryOut(task: Task): Promise<Work> {
  return new Carrier(task).run();
}

class Carrier {
  readonly #task: Task;
  readonly #done: TransferReport['done'] = new Map();
  readonly #removed = new Set<string>();
  readonly #moded = new Map<string, number>();
  readonly #skipped: Noted[];
  readonly #unsettled: Noted[] = [];
  #progress: SyncProgress;

  constructor(task: Task) {
    this.#task = task;
    this.#skipped = [...task.plan.skipped];
    const files = task.plan.transfer.flatMap((path) => {
      const entry = task.compared.source.entries.get(path);
      return entry?.kind === 'file' ? [entry] : [];
    });
    const bytesTotal = files.reduce((sum, { size = 0 }) => sum + size, 0);
    this.#progress = { phase: 'transfer', files: 0, filesTotal: files.length, bytes: 0, bytesTotal };
  }

  async run(): Promise<Work> {
    let failure: Error | undefined;
    try {
      await this.#work();
    } catch (error) {
      failure = toError(error);
    }
    return {
      done: this.#done,
      removed: this.#removed,
      moded: this.#moded,
      result: this.#result(),
      failure,
    };
  }

  async #work(): Promise<void> {
    const { plan, target, compared } = this.#task;
    if (compared.target.version === undefined) await target.make();
    const closed = await this.#open();
    try {
      await this.#removeAll(plan.before);
      await this.#transfer();
      this.#tell({ phase: 'delete' });
      await this.#removeAll(plan.deletes);
      await this.#removeLeftovers();
      await inParallel(plan.modes, ({ path, mode }) => this.#setMode(path, mode));
    } finally {
      // Deepest first: from above nothing may be reachable any more.
      for (const [path, mode] of closed.toReversed()) {
        if (!this.#removed.has(path)) await this.#setMode(path, mode);
      }
    }
  }

  /** Lets the owner into directories of the target in which something is to change. Answers them with the modes that they get in the end. */
  async #open(): Promise<(readonly [path: string, mode: number])[]> {
    const { plan, compared, target } = this.#task;
    const touched = new Set<string>();
    const paths = [...plan.transfer, ...[...plan.before, ...plan.deletes].map(({ path }) => path)];
    for (const path of paths) {
      for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
        touched.add(path.slice(0, end));
    }
    const modes = new Map(plan.modes.map(({ path, mode }) => [path, mode]));
    const closed: (readonly [string, number])[] = [];
    for (const path of [...touched].sort((one, other) => one.length - other.length)) {
      const entry = compared.target.entries.get(path);
      const mode = entry?.kind === 'directory' ? entry.mode : undefined;
      if (mode === undefined || (mode & usable) === usable) continue;
      await target.setMode(path, mode | usable);
      closed.push([path, modes.get(path) ?? mode]);
    }
    return closed;
  }

  async #transfer(): Promise<void> {
    const { plan, compared, peer, local, remote, options, follow } = this.#task;
    if (plan.transfer.length === 0) return;
    const onFile = (bytes: number): void =>
      this.#tell({ files: this.#progress.files + 1, bytes: this.#progress.bytes + bytes });
    const onVerify = (): void => this.#tell({ phase: 'verify' });
    const road = { peer, local, remote, options, follow, onFile, onVerify };
    const report = await transfer(road, plan.transfer, compared.source.entries);
    for (const [path, pair] of report.done) this.#done.set(path, pair);
    this.#unsettled.push(...report.unsettled);
  }

  /** Files first, all at once; then directories, from the deepest up. */
  async #removeAll(removals: readonly Removal[]): Promise<void> {
    await inParallel(
      removals.filter(({ isDirectory }) => !isDirectory),
      (removal) => this.#remove(removal),
    );
    for (const removal of removals) if (removal.isDirectory) await this.#remove(removal);
  }

  async #remove({ path, isDirectory }: Removal): Promise<void> {
    try {
      await this.#task.target.remove(path, isDirectory);
    } catch (error) {
      // What is ignored, or is not to be deleted, keeps its directory.
      if (isDirectory && (isOsError(error, os.errno.ENOTEMPTY) || isOsError(error, os.errno.EEXIST))) return;
      if (!isOsError(error, os.errno.ENOENT)) throw error;
    }
    this.#removed.add(path);
  }

  /** Of writers that were killed: nobody else would ever remove them. */
  async #removeLeftovers(): Promise<void> {
    const old = Date.now() - leftoverMs;
    const { leftovers } = this.#task.compared.target;
    const stale = leftovers.filter(({ modifiedAtMs = Infinity }) => modifiedAtMs < old);
    await inParallel(stale, ({ path }) => this.#task.target.remove(path, false).catch(() => {}));
  }

  async #setMode(path: string, mode: number): Promise<void> {
    try {
      await this.#task.target.setMode(path, mode);
      this.#moded.set(path, mode);
    } catch (error) {
      this.#skipped.push({ path, why: `Its permission bits: ${toError(error).message}` });
    }
  }

  #tell(change: Partial<SyncProgress>): void {
    this.#progress = { ...this.#progress, ...change };
    this.#task.options.onProgress?.(this.#progress);
  }

  #result(): Work['result'] {
    const { plan } = this.#task;
    const files = [...this.#done.values()].filter(({ source }) => source.kind === 'file');
    return {
      sent: [...this.#done.keys()],
      sentFiles: files.length,
      sentBytes: files.reduce((sum, { source: { size = 0 } }) => sum + size, 0),
      deleted: [...this.#removed],
      modes: plan.modes.map(({ path }) => path).filter((path) => this.#moded.has(path)),
      conflicts: plan.conflicts,
      kept: plan.kept,
      extra: plan.extra,
      skipped: this.#skipped,
      unsettled: this.#unsettled,
    };
  }
}

/** One failure ends it, when those under way have ended. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      if (failures.length > 0) return;
      await work(item).catch((error: unknown) => void failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(together, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
