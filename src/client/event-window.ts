import type { Event } from '../protocol/methods.ts';
import type { Gap, OutputStream } from '../protocol/process.ts';

/** An event of a process, in the form that the application sees; `gap` stands for events that the executor had to drop. */
export type ProcessEvent =
  | {
      readonly kind: 'output';
      readonly seq: number;
      readonly stream: OutputStream;
      readonly bytes: Uint8Array;
    }
  | ({ readonly kind: 'exited' } & Event<'process/exited'>)
  | ({ readonly kind: 'closed' } & Event<'process/closed'>)
  | { readonly kind: 'gap'; readonly seq: number; readonly gap: Gap };

/** Bytes and events that wait for an earlier one. More than any executor in the field reorders. */
const earlyBytes = 16 * 1024 * 1024;
const earlyEvents = 8192;
/** What an event costs beyond its bytes. */
const eventOverhead = 64;

/**
 * The newest events of one process, put in order. Bounded: a reader that falls behind it reads from the executor's journal instead.
 */
export class EventWindow {
  readonly #capacity: number;
  #events: ProcessEvent[] = [];
  #start = 0;
  #bytes = 0;
  readonly #early = new Map<number, ProcessEvent>();
  #earlyBytes = 0;
  #nextSeq = 1;
  #waiting = Promise.withResolvers<void>();
  #failure: Error | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** One past the newest event in order. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Takes an event in whatever order it comes, and answers the ones that are now in order. A second one with its seq is dropped. */
  add(event: ProcessEvent): ProcessEvent[] {
    // A gap may begin among events that have come.
    const first = event.kind === 'gap' ? Math.max(event.gap.fromSeq, this.#nextSeq) : event.seq;
    if (event.seq < this.#nextSeq || this.#early.has(first)) return [];
    this.#early.set(first, event);
    this.#earlyBytes += sizeOf(event);
    const ordered: ProcessEvent[] = [];
    for (
      let next = this.#early.get(this.#nextSeq);
      next !== undefined;
      next = this.#early.get(this.#nextSeq)
    ) {
      this.#early.delete(this.#nextSeq);
      this.#earlyBytes -= sizeOf(next);
      this.#nextSeq = next.seq + 1;
      this.#append(next);
      ordered.push(next);
    }
    if (this.#early.size > earlyEvents || this.#earlyBytes > earlyBytes) {
      this.fail(
        new Error(`Events of the process are missing from number ${this.#nextSeq} on, and do not come.`),
      );
    }
    return ordered;
  }

  /** The event after the cursor; undefined where it has not come yet; 'older' where it is no longer here. */
  after(seq: number): ProcessEvent | 'older' | undefined {
    if (seq + 1 >= this.#nextSeq) return undefined;
    // Events are consecutive but for gaps, so the place is at most as far as the numbers say.
    let index = Math.min(this.#events.length - 1, this.#start + Math.max(0, seq + 1 - this.#firstSeq()));
    while (index >= this.#start && (this.#events[index]?.seq ?? 0) > seq) index -= 1;
    const event = this.#events[index + 1];
    if (event === undefined) return 'older';
    const first = event.kind === 'gap' ? event.gap.fromSeq : event.seq;
    return first > seq + 1 && index + 1 === this.#start ? 'older' : event;
  }

  /** Resolves when another event is in order; rejects when none will be. */
  async more(): Promise<void> {
    if (this.#failure === undefined) await this.#waiting.promise;
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  /** No further event will come. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #firstSeq(): number {
    const event = this.#events[this.#start];
    return event === undefined ? this.#nextSeq : event.kind === 'gap' ? event.gap.fromSeq : event.seq;
  }

  #append(event: ProcessEvent): void {
    this.#events.push(event);
    this.#bytes += sizeOf(event);
    while (this.#bytes > this.#capacity && this.#events.length - this.#start > 1) {
      const oldest = this.#events[this.#start++];
      if (oldest !== undefined) this.#bytes -= sizeOf(oldest);
    }
    if (this.#start > 1024 && this.#start > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#start);
      this.#start = 0;
    }
    this.#wake();
  }

  #wake(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }
}

function sizeOf(event: ProcessEvent): number {
  return eventOverhead + (event.kind === 'output' ? event.bytes.length : 0);
}
