import type { Event, WireParams } from '../protocol/methods.ts';
import type { Call } from './call.ts';

/** Changes that wait here for the application; beyond it they are dropped, and it is told to list again. */
const waitingChanges = 20_000;

export type WatchedChange = Event<'fs/changed'>['changes'][number];

export interface WatchUpdate {
  /** Number of the last report that this stands for. */
  readonly cursor: number;
  /** To be applied in this order. Empty with `resync`. */
  readonly changes: readonly WatchedChange[];
  /** Changes are missing: list the tree again, and apply what comes from here on to the new list. */
  readonly resync: boolean;
  /** Why: what the executor says, or here `missed` (a report did not come) and `behind` (the application did not take them). */
  readonly reason?: string | undefined;
  /** What can be done about it. */
  readonly message?: string | undefined;
}

/**
 * What changes in a tree of a remote executor, for one reader: `for await (const update of watch)`. Ends with `close` and when the watch is
 * over, for which the last update is a resync; throws when the connection is lost.
 */
export class RemoteWatch implements AsyncIterable<WatchUpdate>, AsyncDisposable {
  readonly id: string;
  readonly #call: Call;
  #waiting: WatchUpdate[] = [];
  #waitingChanges = 0;
  #cursor = 0;
  #more = Promise.withResolvers<void>();
  #ended = false;
  #failure: Error | undefined;

  /** Reports for this id have to be given to `receive` from before `open` on. */
  constructor(id: string, call: Call) {
    this.id = id;
    this.#call = call;
  }

  /** Resolves when the executor watches: what is listed after it, the reports keep true. */
  async open(params: Omit<WireParams<'fs/watch'>, 'watchId'>): Promise<void> {
    await this.#call('fs/watch', { ...params, watchId: this.id });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchUpdate, void> {
    for (;;) {
      const update = this.#waiting.shift();
      if (update !== undefined) {
        this.#waitingChanges -= update.changes.length;
        yield update;
      } else if (this.#failure !== undefined) throw this.#failure;
      else if (this.#ended) return;
      else await this.#more.promise;
    }
  }

  /** Nothing more comes, neither what waits. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#drop();
    this.#end();
    await this.#call('fs/unwatch', { watchId: this.id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Without a connection there is no watch.
    await this.close().catch(() => {});
  }

  /** Takes a report from the connection. Answers whether another may follow. */
  receive(report: Event<'fs/changed'>): boolean {
    if (this.#ended) return false;
    const { cursor, changes, resync, ended, reason, message } = report;
    const missed = cursor !== this.#cursor + 1;
    this.#cursor = cursor;
    if (resync) this.#resync({ reason, message });
    else if (missed) this.#resync({ reason: 'missed' });
    else if (this.#waitingChanges + changes.length > waitingChanges) this.#resync({ reason: 'behind' });
    else this.#add({ cursor, changes, resync: false });
    if (ended) this.#end();
    return !this.#ended;
  }

  /** No further report will come: the connection is gone. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#failure = error;
    this.#end();
  }

  /** What waits is of no use to somebody who lists everything again. */
  #resync(why: Pick<WatchUpdate, 'reason' | 'message'>): void {
    this.#drop();
    this.#add({ cursor: this.#cursor, changes: [], resync: true, ...why });
  }

  #add(update: WatchUpdate): void {
    this.#waiting.push(update);
    this.#waitingChanges += update.changes.length;
    this.#wake();
  }

  #drop(): void {
    this.#waiting = [];
    this.#waitingChanges = 0;
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}
