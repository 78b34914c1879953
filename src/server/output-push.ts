import type { JournalEvent } from '../process/journal-event.ts';
import type { Pull } from '../process/journal.ts';
import type { Ending, ManagedProcess } from '../process/managed-process.ts';
import { limits } from '../protocol/limits.ts';
import type { WireEvent } from '../protocol/methods.ts';
import type { Peer } from '../rpc/peer.ts';

/** Bytes that one process sends before the next one gets its turn. */
const sliceBytes = 256 * 1024;

interface Feed {
  readonly process: ManagedProcess;
  /** The process id as JSON, which every event repeats. */
  readonly id: string;
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
  readonly #feeds = new Map<ManagedProcess, Disposable>();
  readonly #queue: Feed[] = [];
  #pushing = false;
  #closed = false;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  /** Sends the events of the process that come after the cursor, until it is closed. */
  attach(process: ManagedProcess, afterSeq: number): void {
    if (this.#closed || this.#feeds.has(process)) return;
    const feed: Feed = {
      process,
      id: JSON.stringify(process.id),
      cursor: afterSeq,
      offset: afterSeq === 0 ? 0 : undefined,
      busy: false,
    };
    this.#feeds.set(
      process,
      process.journal.subscribe(() => this.#ready(feed)),
    );
    this.#ready(feed);
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
    for (const subscription of this.#feeds.values()) subscription[Symbol.dispose]();
    this.#feeds.clear();
  }

  #ready(feed: Feed): void {
    if (feed.busy) return;
    feed.busy = true;
    this.#queue.push(feed);
    this.resume();
  }

  #step(feed: Feed): void {
    const { journal } = feed.process;
    const now = journal.pullNow(feed.cursor, sliceBytes);
    if (now !== undefined) return this.#send(feed, now);
    void journal.pull(feed.cursor, sliceBytes).then((pull) => {
      if (this.#closed) return;
      this.#send(feed, pull);
      this.resume();
    });
  }

  #send(feed: Feed, pull: Pull): void {
    feed.busy = false;
    if (pull.gap !== undefined) {
      const { fromSeq, toSeq, endOffset } = pull.gap;
      const bytes = endOffset - (feed.offset ?? feed.process.journal.offsetAfter(feed.cursor));
      const gap: WireEvent<'process/gap'> = { processId: feed.process.id, fromSeq, toSeq, bytes };
      this.#peer.notify('process/gap', gap);
      [feed.cursor, feed.offset] = [toSeq, endOffset];
    }
    for (const event of pull.events) {
      this.#sendEvent(feed, event);
      [feed.cursor, feed.offset] = [event.seq, event.offset + event.bytes.length];
    }
    if (this.#feeds.has(feed.process) && feed.cursor < feed.process.journal.nextSeq - 1) {
      feed.busy = true;
      this.#queue.push(feed);
    }
  }

  #sendEvent(feed: Feed, event: JournalEvent): void {
    const { process, id } = feed;
    switch (event.kind) {
      case 'exited':
        this.#peer.notify('process/exited', exitedEvent(process, event.seq));
        return;
      case 'closed':
        this.#peer.notify('process/closed', closedEvent(process, event.seq));
        this.#feeds.get(process)?.[Symbol.dispose]();
        this.#feeds.delete(process);
        return;
      case 'stdout':
      case 'stderr':
      case 'pty':
        this.#peer.notifyText(
          'process/output',
          `{"processId":${id},"seq":${event.seq},"stream":"${event.kind}","chunk":"${event.bytes.toString('base64')}"}`,
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

function exitedEvent(process: ManagedProcess, seq: number): WireEvent<'process/exited'> {
  const ending = process.ending ?? noEnding;
  const { exitCode, sandboxDenied, signal, endReason, usage } = ending;
  return { processId: process.id, seq, exitCode, sandboxDenied, signal, endReason, usage };
}

function closedEvent(process: ManagedProcess, seq: number): WireEvent<'process/closed'> {
  return { processId: process.id, seq, ...process.closing };
}
