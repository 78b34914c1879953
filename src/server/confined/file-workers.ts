import { RpcError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { FileWorker } from './file-worker.ts';

/** A worker, or one that is being started, with those who use it. */
export class WorkerSlot {
  readonly owner: object;
  /** Of the sandbox that it runs in. */
  readonly digest: string;
  readonly worker: Promise<FileWorker>;
  users = 0;
  lastUsed = 0;
  idleTimer: NodeJS.Timeout | undefined;

  constructor(owner: object, digest: string, worker: Promise<FileWorker>) {
    this.owner = owner;
    this.digest = digest;
    this.worker = worker;
    // Whoever waits for it hears of it.
    worker.catch(() => {});
  }
}

export interface FileWorkersOptions {
  readonly perConnection?: number | undefined;
  readonly total?: number | undefined;
  /** Milliseconds. */
  readonly idleMs?: number | undefined;
}

/** The workers of an executor, each of which belongs to a connection. The one that has been idle longest goes when there is no room. */
export class FileWorkers {
  readonly #slots = new Set<WorkerSlot>();
  /** Of workers that are on their way out. */
  readonly #endings = new Set<Promise<void>>();
  readonly #perConnection: number;
  readonly #total: number;
  readonly #idleMs: number;
  #ticks = 0;
  #disposed = false;

  constructor(options: FileWorkersOptions = {}) {
    this.#perConnection = options.perConnection ?? limits.fileWorkers;
    this.#total = options.total ?? limits.fileWorkersTotal;
    this.#idleMs = options.idleMs ?? limits.fileWorkerIdleMs;
  }

  /** The owner's worker for a sandbox, which is started if there is none. In use until it is given back. */
  take(owner: object, digest: string, start: () => Promise<FileWorker>): WorkerSlot {
    const slot = this.#find(owner, digest) ?? this.#add(owner, digest, start);
    this.use(slot);
    return slot;
  }

  /** One user more: a call, or something that is open. */
  use(slot: WorkerSlot): void {
    clearTimeout(slot.idleTimer);
    slot.users += 1;
  }

  giveBack(slot: WorkerSlot): void {
    slot.users -= 1;
    if (slot.users > 0 || !this.#slots.has(slot)) return;
    slot.lastUsed = ++this.#ticks;
    slot.idleTimer = setTimeout(() => void this.#end(slot), this.#idleMs);
    slot.idleTimer.unref();
  }

  /** It has ended by itself, or could not be started. */
  forget(slot: WorkerSlot): void {
    clearTimeout(slot.idleTimer);
    this.#slots.delete(slot);
  }

  async endOwned(owner: object): Promise<void> {
    await Promise.all([...this.#slots].filter((slot) => slot.owner === owner).map((slot) => this.#end(slot)));
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const slot of this.#slots) void this.#end(slot);
    await Promise.all(this.#endings);
  }

  #find(owner: object, digest: string): WorkerSlot | undefined {
    return [...this.#slots].find((slot) => slot.owner === owner && slot.digest === digest);
  }

  #add(owner: object, digest: string, start: () => Promise<FileWorker>): WorkerSlot {
    if (this.#disposed) throw new RpcError('overloaded', 'The executor is shutting down.');
    const own = [...this.#slots].filter((slot) => slot.owner === owner);
    const inTheWay =
      own.length >= this.#perConnection
        ? own
        : this.#slots.size >= this.#total
          ? [...this.#slots]
          : undefined;
    const room = inTheWay === undefined ? Promise.resolve() : this.#makeRoom(inTheWay);
    const slot = new WorkerSlot(owner, digest, room.then(start));
    this.#slots.add(slot);
    return slot;
  }

  #makeRoom(slots: readonly WorkerSlot[]): Promise<void> {
    const [oldest] = slots.filter(({ users }) => users === 0).sort((a, b) => a.lastUsed - b.lastUsed);
    if (oldest !== undefined) return this.#end(oldest);
    throw new RpcError(
      'overloaded',
      `Files of ${slots.length} sandboxes are in use, and each takes a worker; close handles, streams and watches of one, or try again later.`,
    );
  }

  async #end(slot: WorkerSlot): Promise<void> {
    this.forget(slot);
    const ending = slot.worker.then((worker) => worker.end()).catch(() => {});
    this.#endings.add(ending);
    await ending;
    this.#endings.delete(ending);
  }
}
