import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { limits } from '../../protocol/limits.ts';
import { toError } from '../../support/to-error.ts';
import { systemError } from '../file-error.ts';
import type { FromThread, Job, ToThread } from './messages.ts';

/** The thread's own file, from the sources or as they were built. */
const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';

function startWorker(): Worker {
  try {
    return new Worker(new URL(file, import.meta.url), {
      name: 'search',
      env: {},
      argv: [],
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: limits.searchThreadMiB },
    });
  } catch (error) {
    throw explain(toError(error));
  }
}

/** What the system refuses is answered as such: the runtime gives the name of the error as its text. */
function explain(error: Error): Error {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_INIT_FAILED') return error;
  return systemError(Object.hasOwn(constants.errno, error.message) ? (error.message as ErrnoName) : 'EAGAIN');
}

type ErrnoName = Parameters<typeof systemError>[0];

/** A thread for one search after the other. Idle, it does not keep the executor alive. */
export class SearchThread {
  readonly #worker = startWorker();
  #settle: { resolve(last: FromThread): void; reject(error: Error): void } | undefined;
  #onMessage: ((message: FromThread) => void) | undefined;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (message: FromThread) => this.#receive(message));
    this.#worker.on('error', (error) => this.#settle?.reject(explain(toError(error))));
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
