import type { JournalEvent } from '../process/journal-event.ts';
import type { JournalReader } from '../process/journal-readers.ts';
import type { Pull } from '../process/journal.ts';
import type { Ending, ManagedProcess } from '../process/managed-process.ts';
import { limits } from '../protocol/limits.ts';
import type { WireEvent } from '../protocol/methods.ts';
import type { Peer } from '../rpc/peer.ts';

/** Bytes that one process sends before the next one gets its turn. */
const sliceBytes = 256 * 1024;

interface Feed {
  readonly process: ManagedProcess;
  /** By which the connection knows the process. */
  readonly name: string;
  /** The same as JSON, which every event repeats. */
  readonly id: string;
  /** How far it is, for the journal. */
  readonly reader: JournalReader;
  subscription: Disposable | undefined;
  cursor: number;
  /** Bytes of output up to the cursor; undefined where it did not begin at the beginning and nothing has come yet. */
  offset: number | undefined;
  /** In the queue, or waiting for the disk: it need not be queued again. */
  busy: boolean;
}

/**
 * Pushes the events of processes to one connection, by pulling them from each journal as fast as this connection takes them. It holds no
 * output of its own: what a slow connection has not had waits in the journal.
 */
export class OutputPush {
  readonly #peer: Peer;
  readonly #feeds = new Map<ManagedProcess, Feed>();
  readonly #queue: Feed[] = [];
  #pushing = false;
  #closed = false;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Sends the events of the process that come after the cursor, until it is closed. One that is attached stays as it is. `mayHold`: whether
   * the program waits where it outruns this connection.
   */
  attach(process: ManagedProcess, afterSeq: number, name = process.id, mayHold = () => true): void {
    if (this.#closed || this.#feeds.has(process)) return;
    const feed: Feed = {
      process,
      name,
      id: JSON.stringify(name),
      reader: process.journal.follow(afterSeq, mayHold),
      subscription: undefined,
      cursor: afterSeq,
      offset: afterSeq === 0 ? 0 : undefined,
      busy: false,
    };
    this.#feeds.set(process, feed);
    feed.subscription = process.journal.subscribe(() => this.#ready(feed));
    // Of a start that fails nothing comes.
    if (process.state === 'starting') void process.closed.then(() => process.closing ?? this.#drop(feed));
    this.#ready(feed);
  }

  /** The same from another cursor, wherever it was before. */
  attachAt(process: ManagedProcess, afterSeq: number, name: string, mayHold: () => boolean): void {
    this.detach(process);
    this.attach(process, afterSeq, name, mayHold);
  }

  /** Sends no more of the process. */
  detach(process: ManagedProcess): void {
    const feed = this.#feeds.get(process);
    if (feed !== undefined) this.#drop(feed);
  }

  /** The connection takes more. */
  resume(): void {
    if (this.#pushing) return;
    this.#pushing = true;
    while (this.#queue.length > 0 && !this.#closed && this.#peer.unsentBytes < limits.outboxHighBytes) {
      const feed = this.#queue.shift();
      if (feed !== undefined) this.#step(feed);
    }
    this.#pushing = false;
  }

  dispose(): void {
    this.#closed = true;
    this.#queue.length = 0;
    for (const feed of this.#feeds.values()) this.#drop(feed);
  }

  #drop(feed: Feed): void {
    feed.subscription?.[Symbol.dispose]();
    feed.reader[Symbol.dispose]();
    if (this.#feeds.get(feed.process) === feed) this.#feeds.delete(feed.process);
  }

  #isAttached(feed: Feed): boolean {
    return this.#feeds.get(feed.process) === feed;
  }

  #ready(feed: Feed): void {
    if (feed.busy) return;
    feed.busy = true;
    this.#queue.push(feed);
    this.resume();
  }

  #step(feed: Feed): void {
    if (!this.#isAttached(feed)) return;
    const { journal } = feed.process;
    const now = journal.pullNow(feed.cursor, sliceBytes);
    if (now !== undefined) return this.#send(feed, now);
    void journal.pull(feed.cursor, sliceBytes).then((pull) => {
      if (!this.#isAttached(feed)) return;
      this.#send(feed, pull);
      this.resume();
    });
  }

  #send(feed: Feed, pull: Pull): void {
    feed.busy = false;
    if (pull.gap !== undefined) {
      const { fromSeq, toSeq, endOffset } = pull.gap;
      const bytes = endOffset - (feed.offset ?? feed.process.journal.offsetAfter(feed.cursor));
      const isAll = feed.process.closing !== undefined && toSeq === feed.process.journal.nextSeq - 1;
      const last = isAll ? toSeq - 1 : toSeq;
      const gap: WireEvent<'process/gap'> = { processId: feed.name, fromSeq, toSeq: last, bytes };
      if (fromSeq <= last) this.#peer.notify('process/gap', gap);
      [feed.cursor, feed.offset] = [toSeq, endOffset];
      // The session, and the journal with it, ended before this connection had taken everything: the end is known all the same.
      if (isAll) this.#sendClosed(feed, toSeq);
    }
    for (const event of pull.events) {
      this.#sendEvent(feed, event);
      [feed.cursor, feed.offset] = [event.seq, event.offset + event.bytes.length];
    }
    if (this.#isAttached(feed) && feed.cursor < feed.process.journal.nextSeq - 1) {
      feed.busy = true;
      this.#queue.push(feed);
    }
    feed.reader.moved(feed.cursor);
  }

  #sendClosed(feed: Feed, seq: number): void {
    this.#peer.notify('process/closed', { processId: feed.name, seq, ...feed.process.closing });
    this.#drop(feed);
  }

  #sendEvent(feed: Feed, event: JournalEvent): void {
    const { process, id, name } = feed;
    switch (event.kind) {
      case 'exited':
        this.#peer.notify('process/exited', exitedEvent(process, name, event.seq));
        return;
      case 'closed':
        this.#sendClosed(feed, event.seq);
        return;
      case 'stdout':
      case 'stderr':
      case 'pty':
        this.#peer.notifyChunk(
          'process/output',
          `"processId":${id},"seq":${event.seq},"stream":"${event.kind}"`,
          event.bytes,
        );
    }
  }
}

const noEnding: Ending = {
  exitCode: -1,
  signal: null,
  endReason: 'unknown',
  usage: null,
  sandboxDenied: false,
};

function exitedEvent(process: ManagedProcess, processId: string, seq: number): WireEvent<'process/exited'> {
  const { exitCode, sandboxDenied, signal, endReason, usage } = process.ending ?? noEnding;
  return { processId, seq, exitCode, sandboxDenied, signal, endReason, usage };
}
