import { Worker } from 'node:worker_threads';
import { limits } from '../../protocol/limits.ts';
import type { FromThread, Job, ToThread } from './messages.ts';

/** The thread's own file, from the sources or as they were built. */
const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';

/** A thread for one search after the other. Idle, it does not keep the executor alive. */
export class SearchThread {
  readonly #worker = new Worker(new URL(file, import.meta.url), {
    name: 'search',
    env: {},
    argv: [],
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: limits.searchThreadMiB },
  });
  #settle: { resolve(last: FromThread): void; reject(error: Error): void } | undefined;
  #onMessage: ((message: FromThread) => void) | undefined;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (message: FromThread) => this.#receive(message));
    this.#worker.on('error', (error) =>
      this.#settle?.reject(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Runs a job. `onMessage` gets all messages but the last one, which is the answer. Rejects if the thread fails; it is no more then. */
  async run(job: Job, onMessage: (message: FromThread) => void): Promise<FromThread> {
    this.#worker.ref();
    this.#onMessage = onMessage;
    const last = new Promise<FromThread>((resolve, reject) => void (this.#settle = { resolve, reject }));
    this.send({ kind: 'start', job });
    try {
      return await last;
    } finally {
      this.#worker.unref();
    }
  }

  send(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread wherever it is. A run is not settled any more. */
  end(): void {
    this.#onMessage = undefined;
    this.#settle = undefined;
    this.#worker.unref();
    void this.#worker.terminate();
  }

  #receive(message: FromThread): void {
    if (message.kind === 'results' || message.kind === 'candidates') this.#onMessage?.(message);
    else this.#settle?.resolve(message);
  }
}
