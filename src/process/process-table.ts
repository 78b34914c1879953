import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { EndReason, ProcessStartParams } from '../protocol/process.ts';
import { launchSpec } from './command.ts';
import type { JournalBudget } from './journal.ts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import { ManagedProcess } from './managed-process.ts';

export interface ProcessTableOptions {
  readonly budget: JournalBudget;
  /** The executor's own variables, from which envPolicy takes. */
  readonly env: Readonly<Record<string, string>>;
  readonly sandboxes: Sandboxes;
  /** Milliseconds that a closed process stays readable. */
  readonly closedRetentionMs?: number | undefined;
}

/** The processes of one session, by the id that the client chose. A closed one is kept for a while, so that it can still be read. */
export class ProcessTable {
  readonly #options: ProcessTableOptions;
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #retentions = new Map<ManagedProcess, NodeJS.Timeout>();
  #disposed = false;

  constructor(options: ProcessTableOptions) {
    this.#options = options;
  }

  /** Starts a process. Its id is taken from now on, and free again at once if the start fails. */
  async start(params: ProcessStartParams): Promise<ManagedProcess> {
    if (this.#disposed) throw invalidRequest('The session has ended.');
    const spec = launchSpec(params, this.#options.env, this.#options.sandboxes);
    const id = params.processId;
    if (this.#processes.has(id)) {
      throw invalidRequest(
        `process ${id} already exists; an id is free again some time after its process has closed.`,
      );
    }
    if (this.#processes.size - this.#retentions.size >= limits.liveProcesses) {
      throw new RpcError(
        'overloaded',
        `The session has ${limits.liveProcesses} processes; end one before the next start.`,
      );
    }
    const process = new ManagedProcess(params, this.#options.budget);
    this.#processes.set(id, process);
    try {
      await process.start(spec, params.timeoutMs);
    } catch (error) {
      this.#processes.delete(id);
      throw error;
    }
    void process.closed.then(() => this.#retain(process));
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

  list(): ManagedProcess[] {
    return [...this.#processes.values()];
  }

  /** Ends every process and forgets it. */
  async dispose(reason: EndReason, graceMs: number): Promise<void> {
    this.#disposed = true;
    await Promise.all(
      this.list().map(async (process) => {
        await process.terminate(reason, graceMs);
        await process.closed;
        process.dispose();
      }),
    );
    for (const timer of this.#retentions.values()) clearTimeout(timer);
    this.#retentions.clear();
    this.#processes.clear();
  }

  #retain(process: ManagedProcess): void {
    if (this.#disposed) return;
    const timer = setTimeout(() => {
      // A slow connection has not had everything yet.
      if (process.journal.watched) this.#retain(process);
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
