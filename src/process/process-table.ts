import { draining, invalidRequest } from '../protocol/errors.ts';
import { limitReached } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import type { EndReason, ProcessStartParams } from '../protocol/process.ts';
import { launchSpec } from './command.ts';
import type { JournalBudget } from './journal.ts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import { ManagedProcess } from './managed-process.ts';
import type { Places } from './places.ts';

export interface ProcessTableOptions {
  readonly budget: JournalBudget;
  /** The executor's own variables, from which envPolicy takes. */
  readonly env: Readonly<Record<string, string>>;
  readonly sandboxes: Sandboxes;
  /** Milliseconds that a closed process stays readable. */
  readonly closedRetentionMs?: number | undefined;
  /** Processes of one session that have not closed. */
  readonly liveProcesses?: number | undefined;
  /** The same of all sessions of the executor. */
  readonly places?: Places | undefined;
}

/** A start that was asked for with an id of its own, so that a second request is told from it. */
interface KnownStart {
  readonly processId: string;
  /** Settles as the start does. */
  readonly started: Promise<unknown>;
}

/** The processes of one session, by the id that the client chose. A closed one is kept for a while, so that it can still be read. */
export class ProcessTable {
  readonly #options: ProcessTableOptions;
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #retentions = new Map<ManagedProcess, NodeJS.Timeout>();
  readonly #starts = new Map<string, KnownStart>();
  #isKept = false;
  /** Why no further process may start. */
  #disposed: EndReason | undefined;

  constructor(options: ProcessTableOptions) {
    this.#options = options;
  }

  /**
   * Starts a process. Its id is taken from now on, and free again at once if the start fails. Answers undefined where a start with its
   * startId has succeeded before.
   */
  async start(params: ProcessStartParams): Promise<ManagedProcess | undefined> {
    const { startId, processId } = params;
    if (startId === undefined) return this.#start(params);
    const known = this.#starts.get(startId);
    if (known !== undefined) {
      if (known.processId !== processId)
        throw invalidRequest('This startId was used for another process; each start needs its own.');
      await known.started;
      return undefined;
    }
    const started = this.#start(params);
    this.#remember(startId, { processId, started });
    try {
      return await started;
    } catch (error) {
      // Nothing runs, so that the same request may be tried again.
      this.#starts.delete(startId);
      throw error;
    }
  }

  async #start(params: ProcessStartParams): Promise<ManagedProcess> {
    if (this.#disposed === 'shutdown') throw draining();
    if (this.#disposed !== undefined) throw invalidRequest('The session has ended.');
    const spec = launchSpec(params, this.#options.env, this.#options.sandboxes);
    const id = params.processId;
    if (this.#processes.has(id)) {
      throw invalidRequest(
        `process ${id} already exists; an id is free again some time after its process has closed.`,
      );
    }
    const most = this.#options.liveProcesses ?? limits.liveProcesses;
    if (this.liveCount >= most) {
      const what = `The session has ${most} processes; end one before the next start`;
      throw limitReached(what, 'liveProcesses', most);
    }
    const place = this.#options.places?.take();
    const process = new ManagedProcess(params, this.#options.budget);
    this.#processes.set(id, process);
    try {
      await process.start(spec, params.timeoutMs);
    } catch (error) {
      this.#processes.delete(id);
      place?.[Symbol.dispose]();
      throw error;
    }
    void process.closed.then(() => {
      place?.[Symbol.dispose]();
      this.#retain(process);
    });
    return process;
  }

  /** The process of that id, once its start is over; undefined where there is none. */
  async find(id: string): Promise<ManagedProcess | undefined> {
    const process = this.#processes.get(id);
    if (process?.state !== 'starting') return process;
    await process.settled();
    return this.#processes.get(id);
  }

  /** The same, also while it is starting. */
  peek(id: string): ManagedProcess | undefined {
    return this.#processes.get(id);
  }

  /** Those that have not closed. */
  get liveCount(): number {
    return this.#processes.size - this.#retentions.size;
  }

  /** Those that have closed, and are still readable. */
  get closedCount(): number {
    return this.#retentions.size;
  }

  list(): ManagedProcess[] {
    return [...this.#processes.values()];
  }

  /** While it is set, no process is forgotten for its age. Afterwards each has its whole time again. */
  set kept(kept: boolean) {
    this.#isKept = kept;
    if (kept) return;
    for (const [process, timer] of this.#retentions) {
      clearTimeout(timer);
      this.#retain(process);
    }
  }

  /** Ends every process and forgets it. `graceMs`: at most; a process whose start named less gets less. */
  async dispose(reason: EndReason, graceMs: number): Promise<void> {
    this.#disposed = reason;
    await Promise.all(
      this.list().map(async (process) => {
        await process.terminate(reason, Math.min(graceMs, process.stopGraceMs));
        await process.closed;
        process.dispose();
      }),
    );
    for (const timer of this.#retentions.values()) clearTimeout(timer);
    this.#retentions.clear();
    this.#processes.clear();
  }

  #remember(startId: string, start: KnownStart): void {
    this.#starts.set(startId, start);
    const [oldest] = this.#starts.keys();
    if (oldest !== undefined && this.#starts.size > limits.startIds) this.#starts.delete(oldest);
  }

  #retain(process: ManagedProcess): void {
    if (this.#disposed !== undefined) return;
    const timer = setTimeout(() => {
      // The client is away, or its connection is slow and has not had everything yet.
      if (this.#isKept || process.journal.watched) this.#retain(process);
      else this.#forget(process);
    }, this.#options.closedRetentionMs ?? limits.closedRetentionMs);
    timer.unref();
    this.#retentions.set(process, timer);
    const [oldest] = this.#retentions.keys();
    if (oldest !== undefined && this.#retentions.size > limits.closedProcesses) this.#forget(oldest);
  }

  #forget(process: ManagedProcess): void {
    clearTimeout(this.#retentions.get(process));
    this.#retentions.delete(process);
    this.#processes.delete(process.id);
    process.dispose();
  }
}
