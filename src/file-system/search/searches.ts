import { RpcError, invalidParams, invalidRequest } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { Filter } from './grep.ts';
import type { Counts, FromThread, Job, Results } from './messages.ts';
import { SearchThread } from './search-thread.ts';

export interface Search {
  /** Under which it can be cancelled. */
  readonly id: string | undefined;
  readonly timeoutMs: number;
  /** Results come in order, and all of them before the search is answered. */
  readonly onResults: (results: Results) => void;
  /** Says what is to be done. Its failure is that of the search. */
  readonly prepare: () => Promise<Work>;
}

export interface Work {
  readonly job: Job;
  /** For a job that is filtered. Its signal aborts when the search ends. */
  readonly filter: (names: readonly string[], signal: AbortSignal) => ReturnType<Filter>;
}

export interface SearchEnding {
  readonly counts: Counts;
  readonly truncatedBy: 'matches' | 'bytes' | 'time' | 'cancelled' | undefined;
}

/** What ends a search before it is done. */
type Stop = 'time' | 'cancelled';

/** The searches of one connection, and a thread that waits for the next one. */
export class Searches {
  readonly #running = new Map<string | symbol, AbortController>();
  #idle: SearchThread | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #disposed = false;

  has(id: string): boolean {
    return this.#running.has(id);
  }

  get size(): number {
    return this.#running.size;
  }

  /** Runs a search until it is done, its time is over or it is cancelled. It is cancelled when `signal` aborts. */
  async run(search: Search, signal: AbortSignal): Promise<SearchEnding> {
    const key = search.id ?? Symbol('search');
    if (this.#running.has(key))
      throw invalidRequest('A search with this searchId is running on this connection.');
    if (this.#disposed || this.#running.size >= limits.searches)
      throw new RpcError(
        'overloaded',
        `${limits.searches} searches of this connection are running; try again when one is done.`,
      );
    const stop = new AbortController();
    this.#running.set(key, stop);
    const cancel = (): void => stop.abort('cancelled' satisfies Stop);
    signal.addEventListener('abort', cancel, { once: true });
    const timer = setTimeout(() => stop.abort('time' satisfies Stop), search.timeoutMs);
    let thread: SearchThread | undefined;
    let reusable = false;
    try {
      // Behind the registration: of two searches with one id, the first to come is the one that runs.
      const work = await search.prepare();
      if (stop.signal.aborted) return { counts: noCounts, truncatedBy: stop.signal.reason as Stop };
      thread = this.#takeThread();
      const ending = await runOn(thread, search, work, stop.signal);
      reusable = !stop.signal.aborted;
      return ending;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      if (this.#running.get(key) === stop) this.#running.delete(key);
      // A filter can still be running: the results were full before its files' turn.
      stop.abort('cancelled' satisfies Stop);
      if (thread !== undefined && reusable && !this.#disposed) this.#keepThread(thread);
      else thread?.end();
    }
  }

  /** Nothing happens if the search has ended. */
  cancel(id: string): void {
    this.#running.get(id)?.abort('cancelled' satisfies Stop);
    // Its place is free from now on.
    this.#running.delete(id);
  }

  dispose(): void {
    this.#disposed = true;
    for (const running of this.#running.values()) running.abort('cancelled' satisfies Stop);
    this.#endIdle();
  }

  #takeThread(): SearchThread {
    clearTimeout(this.#idleTimer);
    const thread = this.#idle ?? new SearchThread();
    this.#idle = undefined;
    return thread;
  }

  #keepThread(thread: SearchThread): void {
    this.#endIdle();
    this.#idle = thread;
    this.#idleTimer = setTimeout(() => this.#endIdle(), limits.searchThreadIdleMs);
    this.#idleTimer.unref();
  }

  #endIdle(): void {
    clearTimeout(this.#idleTimer);
    this.#idle?.end();
    this.#idle = undefined;
  }
}

const noCounts: Counts = { files: 0, errors: 0, skippedBinary: 0, skippedLarge: 0 };

async function runOn(
  thread: SearchThread,
  search: Search,
  work: Work,
  stop: AbortSignal,
): Promise<SearchEnding> {
  let counts = noCounts;
  const onMessage = (message: FromThread): void => {
    if (stop.aborted) return;
    if (message.kind === 'results') {
      ({ counts } = message);
      search.onResults(message.results);
    } else if (message.kind === 'candidates') {
      void work.filter(message.names, stop).then((hits) => {
        if (!stop.aborted) thread.send({ kind: 'hits', hits });
      });
    }
  };
  const stopped = new Promise<undefined>((resolve) => {
    stop.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const last = await Promise.race([thread.run(work.job, onMessage), stopped]).catch(explain);
  if (last === undefined) return { counts, truncatedBy: stop.reason as Stop };
  switch (last.kind) {
    case 'done':
      return { counts: last.counts, truncatedBy: last.truncatedBy };
    case 'refused':
      throw invalidParams(`params: the glob pattern ${last.problem}`);
    case 'failed':
      throw Object.assign(new Error('The root of the search cannot be read.'), { errno: -last.errno });
    case 'results':
    case 'candidates':
      throw new TypeError(`A search does not end with ${last.kind}.`);
  }
}

function explain(error: unknown): never {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
  throw new RpcError(
    'internalError',
    `The search needs more memory than the ${limits.searchThreadMiB} MiB that it may have; search a smaller part of the tree.`,
  );
}
