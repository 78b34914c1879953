import { limits } from '../protocol/limits.ts';
import type { Gap } from '../protocol/process.ts';
import { type JournalEvent, takeWithin } from './journal-event.ts';
import { Spill, type SpillBudget } from './spill.ts';

/** What comes after a cursor: events without a gap between them; or the gap that stands there; or nothing yet. */
export interface Pull {
  readonly events: readonly JournalEvent[];
  readonly gap?: Gap;
}

/** Events of one pull, so that a million tiny ones do not come at once. */
const pullEvents = 1024;
/** What an event costs in memory beyond its bytes, so that a million empty ones are bounded too. */
const eventOverhead = 64;

/**
 * The output of one process: appended as it is written, pulled by each reader from its own cursor at its own pace. The newest part is
 * in memory, older parts are on disk; what a limit drops is named to every reader that has not had it.
 */
export class Journal {
  readonly #budget: JournalBudget;
  readonly #spill: Spill;
  readonly #listeners = new Set<() => void>();
  /** Consecutive events up to the newest; those before #hotStart have gone to disk. */
  #hot: JournalEvent[] = [];
  #hotStart = 0;
  #hotBytes = 0;
  #nextSeq = 1;

  constructor(budget: JournalBudget) {
    this.#budget = budget;
    this.#spill = new Spill(budget.spill);
  }

  /** One past the newest event. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Bytes of output that a limit dropped. */
  get droppedBytes(): number {
    return this.#spill.droppedBytes;
  }

  /** The disk is behind: the source should wait until a listener is called. */
  get congested(): boolean {
    return this.#spill.pendingBytes > limits.journalInFlightBytes;
  }

  /** Somebody has subscribed: a connection that has not had everything yet. */
  get watched(): boolean {
    return this.#listeners.size > 0;
  }

  append(kind: JournalEvent['kind'], bytes: Buffer = Buffer.alloc(0)): number {
    const seq = this.#nextSeq++;
    this.#hot.push({ seq, kind, bytes });
    this.#countHot(bytes.length + eventOverhead);
    if (this.#hotBytes > this.#budget.hotLimit()) this.#cool();
    this.#tell();
    return seq;
  }

  /** Told after each append, and when the disk has caught up. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** What follows the cursor without waiting for the disk; undefined where the cursor is further back than the memory. */
  pullNow(afterSeq: number, maxBytes: number): Pull | undefined {
    const hotSeq = this.#hot[this.#hotStart]?.seq ?? this.#nextSeq;
    if (afterSeq + 1 < hotSeq) return undefined;
    return {
      events: takeWithin(this.#hotFrom(this.#hotStart + afterSeq + 1 - hotSeq), maxBytes, pullEvents),
    };
  }

  /** Events after the cursor: the first one whatever its size, further ones while they fit into `maxBytes`. */
  async pull(afterSeq: number, maxBytes: number): Promise<Pull> {
    for (;;) {
      const now = this.pullNow(afterSeq, maxBytes);
      if (now !== undefined) return now;
      const firstSeq = this.#spill.firstSeqAfter(afterSeq) ?? this.#hot[this.#hotStart]?.seq ?? this.#nextSeq;
      if (firstSeq > afterSeq + 1) {
        const bytes = this.#spill.droppedBytesAfter(afterSeq);
        return { events: [], gap: { fromSeq: afterSeq + 1, toSeq: firstSeq - 1, bytes } };
      }
      const events = await this.#spill.read(afterSeq, maxBytes, pullEvents);
      // None: it was dropped while the disk was read, so the next round finds the gap.
      if (events.length > 0) return { events };
    }
  }

  dispose(): void {
    this.#listeners.clear();
    this.#countHot(-this.#hotBytes);
    this.#hot = [];
    this.#hotStart = 0;
    this.#spill.dispose();
  }

  *#hotFrom(index: number): Generator<JournalEvent> {
    for (let i = index; i < this.#hot.length; i++) {
      const event = this.#hot[i];
      if (event !== undefined) yield event;
    }
  }

  #countHot(bytes: number): void {
    this.#hotBytes += bytes;
    this.#budget.memoryBytes += bytes;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Sends the older part of the memory to disk. */
  #cool(): void {
    const keep = (this.#budget.hotLimit() * 3) / 4;
    const block: JournalEvent[] = [];
    for (const event of this.#hotFrom(this.#hotStart)) {
      if (this.#hotBytes <= keep) break;
      block.push(event);
      this.#countHot(-(event.bytes.length + eventOverhead));
    }
    this.#hotStart += block.length;
    if (this.#hotStart > this.#hot.length / 2) {
      this.#hot = this.#hot.slice(this.#hotStart);
      this.#hotStart = 0;
    }
    if (block.length > 0) void this.#spill.append(block).then(() => this.#tell());
  }
}

/** What all journals of an executor share. */
export class JournalBudget {
  /** Bytes that all journals hold in memory. */
  memoryBytes = 0;
  readonly spill: SpillBudget;

  constructor(spill: SpillBudget) {
    this.spill = spill;
  }

  hotLimit(): number {
    const tight = this.memoryBytes > limits.journalMemoryTotalBytes;
    return tight ? limits.journalMemoryTightBytes : limits.journalMemoryBytes;
  }
}
