import { randomUUID } from 'node:crypto';
import { limits } from '../protocol/limits.ts';
import type { Event, Result, WireParams } from '../protocol/methods.ts';
import { toError } from '../support/to-error.ts';
import type { Call } from './call.ts';

/** Milliseconds for the answer of a search beyond its own time. */
const answerMs = 30_000;

interface Cancellable {
  /** Cancels the search. */
  readonly signal?: AbortSignal;
}

export type GlobOptions = Omit<WireParams<'fs/glob'>, 'searchId'> & Cancellable;
export type GrepOptions = Omit<WireParams<'fs/grep'>, 'searchId'> & Cancellable;

/** Paths in the form of `path`, sorted by bytes, and how the search ended. */
export type GlobFound = Omit<Result<'fs/glob'>, 'paths'> & { readonly paths: string[] };
/** A line that matches. */
export type GrepMatch = NonNullable<Event<'fs/matches'>['matches']>[number];
/** Totals, and how the search ended. */
export type GrepSummary = Omit<Result<'fs/grep'>, 'matches'>;

type Receiver = (event: Event<'fs/matches'>) => void;

/** The searches of one connection. */
export class RemoteSearches {
  readonly #call: Call;
  readonly #receivers = new Map<string, Receiver>();

  constructor(call: Call) {
    this.#call = call;
  }

  /** Lists paths by glob patterns. Rejects with the reason of `signal` when it aborts. */
  async glob({ signal, ...params }: GlobOptions): Promise<GlobFound> {
    const paths: string[] = [];
    const receive: Receiver = (event) => {
      for (const path of event.paths ?? []) paths.push(path);
    };
    const found = await this.#run(receive, params.timeoutMs, signal, (searchId, options) =>
      this.#call('fs/glob', { ...params, searchId }, options),
    );
    return { ...found, paths };
  }

  /** Searches lines by a regular expression. Starts at once; the matches come as they are found. */
  grep({ signal, ...params }: GrepOptions): RemoteGrep {
    const leave = new AbortController();
    const both = signal === undefined ? leave.signal : AbortSignal.any([leave.signal, signal]);
    const grep = new RemoteGrep(() => leave.abort());
    const receive: Receiver = (event) => grep.receive(event.matches ?? []);
    const run = this.#run(receive, params.timeoutMs, both, (searchId, options) =>
      this.#call('fs/grep', { ...params, searchId }, options),
    );
    run.then(
      (summary) => grep.end(summary),
      (error: unknown) => grep.fail(toError(error)),
    );
    return grep;
  }

  /** Takes a notification from the connection. */
  receive(event: Event<'fs/matches'>): void {
    this.#receivers.get(event.searchId)?.(event);
  }

  async #run<T>(
    receive: Receiver,
    timeoutMs: number | null | undefined,
    signal: AbortSignal | undefined,
    start: (searchId: string, options: Parameters<Call>[2]) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const searchId = randomUUID();
    this.#receivers.set(searchId, receive);
    // Where it fails, the connection is gone, and the search with it.
    const cancel = (): void => void this.#call('fs/cancelSearch', { searchId }).catch(() => {});
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const options = { timeoutMs: (timeoutMs ?? limits.searchMs) + answerMs, ...(signal && { signal }) };
      return await start(searchId, options);
    } finally {
      signal?.removeEventListener('abort', cancel);
      this.#receivers.delete(searchId);
    }
  }
}

/** A running fs/grep, for one reader: `for await (const match of grep)`. Leaving the loop cancels it. */
export class RemoteGrep implements AsyncIterable<GrepMatch> {
  /** Resolves at the end of the search, also when nobody reads its matches; rejects where it failed or was cancelled. */
  readonly done: Promise<GrepSummary>;
  readonly #cancel: () => void;
  readonly #end = Promise.withResolvers<GrepSummary>();
  #waiting: GrepMatch[] = [];
  #more = Promise.withResolvers<void>();
  #ended = false;

  constructor(cancel: () => void) {
    this.#cancel = cancel;
    this.done = this.#end.promise;
    // A caller that never looks at it must not crash because the connection was lost.
    this.done.catch(() => {});
  }

  /** The executor's bounds keep the matches that wait here to a few megabytes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<GrepMatch, void> {
    try {
      for (;;) {
        const matches = this.#waiting;
        this.#waiting = [];
        yield* matches;
        if (this.#waiting.length > 0) continue;
        if (this.#ended) break;
        await this.#more.promise;
      }
      await this.done;
    } finally {
      if (!this.#ended) this.#cancel();
    }
  }

  cancel(): void {
    if (!this.#ended) this.#cancel();
  }

  /** Takes matches from the connection. */
  receive(matches: readonly GrepMatch[]): void {
    for (const match of matches) this.#waiting.push(match);
    this.#wake();
  }

  /** The executor has answered: all matches are here. */
  end(summary: GrepSummary): void {
    this.#ended = true;
    this.#end.resolve(summary);
    this.#wake();
  }

  fail(error: Error): void {
    this.#ended = true;
    this.#end.reject(error);
    this.#wake();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}
