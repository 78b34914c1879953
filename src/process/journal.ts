import type { LimitSettings } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import { giveBack } from '../support/give-back.ts';
import { type JournalEvent, takeWithin } from './journal-event.ts';
import { type JournalReader, JournalReaders, lookMs } from './journal-readers.ts';
import type { SpillBudget } from './spill-budget.ts';
import { Spill } from './spill.ts';

/** What comes after a cursor: events without a gap between them; or the gap that stands there; or nothing yet. */
export interface Pull {
  readonly events: readonly JournalEvent[];
  readonly gap?: {
    readonly fromSeq: number;
    readonly toSeq: number;
    /** Bytes of output up to its end. */
    readonly endOffset: number;
  };
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
  readonly #readers = new JournalReaders(() => this.#readersChanged());
  readonly #listeners = new Set<() => void>();
  /** The disk is full of what readers have not had yet. */
  #isHeld = false;
  /** Looks at them meanwhile. */
  #look: NodeJS.Timeout | undefined;
  /** Consecutive events up to the newest; those before #hotStart have gone to disk. */
  #hot: JournalEvent[] = [];
  #hotStart = 0;
  #hotBytes = 0;
  #nextSeq = 1;
  #outputBytes = 0;

  constructor(budget: JournalBudget) {
    this.#budget = budget;
    this.#spill = new Spill(budget.spill, this.#readers);
  }

  /** One past the newest event. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Bytes of output up to a cursor that has met a gap: exact at the beginning, elsewhere not more than there were. */
  offsetAfter(afterSeq: number): number {
    return afterSeq === 0 ? 0 : this.#spill.offsetAfter(afterSeq);
  }

  /** Bytes of output that a limit dropped. */
  get droppedBytes(): number {
    return this.#spill.droppedBytes;
  }

  /** Bytes on their way to disk. */
  get pendingBytes(): number {
    return this.#spill.pendingBytes;
  }

  /** The disk is behind, or full of what readers have not had yet: the source should wait until a listener is called. */
  get congested(): boolean {
    return this.pendingBytes > limits.journalInFlightBytes || this.#isHeld;
  }

  /** Somebody has subscribed: a connection that has not had everything yet. */
  get watched(): boolean {
    return this.#listeners.size > 0;
  }

  /** Takes the bytes over: they are not the caller's any more. */
  append(kind: JournalEvent['kind'], bytes: Buffer = Buffer.alloc(0)): number {
    const seq = this.#nextSeq++;
    this.#hot.push({ seq, kind, offset: this.#outputBytes, bytes });
    this.#outputBytes += bytes.length;
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

  /**
   * Somebody takes the events from here on: what a limit would drop waits for the slowest of them, as long as it makes progress and `mayHold`
   * says so.
   */
  follow(cursor: number, mayHold: () => boolean): JournalReader {
    return this.#readers.add(cursor, mayHold);
  }

  /** Somebody has had everything up to this event. */
  took(seq: number): void {
    this.#readers.took(seq);
  }

  /** Nothing more is appended. */
  end(): void {
    this.#spill.end();
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
      const first = this.#spill.firstAfter(afterSeq) ?? this.#hot[this.#hotStart] ?? this.#end();
      if (first.seq > afterSeq + 1) {
        return { events: [], gap: { fromSeq: afterSeq + 1, toSeq: first.seq - 1, endOffset: first.offset } };
      }
      const events = await this.#spill.read(afterSeq, maxBytes, pullEvents);
      // None: it was dropped while the disk was read, so the next round finds the gap.
      if (events.length > 0) return { events };
    }
  }

  dispose(): void {
    this.#listeners.clear();
    this.#readers.clear();
    clearTimeout(this.#look);
    this.#countHot(-this.#hotBytes);
    this.#hot = [];
    this.#hotStart = 0;
    this.#spill.dispose();
  }

  #end(): { readonly seq: number; readonly offset: number } {
    return { seq: this.#nextSeq, offset: this.#outputBytes };
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

  #readersChanged(): void {
    if (!this.#isHeld) return;
    this.#spill.trim();
    this.#isHeld = this.#spill.isHeld;
    if (!this.#isHeld) this.#tell();
  }

  /** Readers that make no progress are not waited for any longer. */
  #watchReaders(): void {
    this.#isHeld = this.#spill.isHeld;
    if (!this.#isHeld || this.#look !== undefined) return;
    this.#look = setTimeout(() => {
      this.#look = undefined;
      this.#readers.look(this.#nextSeq - 1);
      this.#readersChanged();
      this.#watchReaders();
    }, lookMs(this.#budget.holdMs));
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
    if (block.length === 0) return;
    void this.#spill.append(block).then(() => this.#tell());
    this.#watchReaders();
    // The spill has copied them, and no reader holds an event beyond the turn in which it has pulled it.
    for (const { bytes } of block) giveBack(bytes);
  }
}

type MemoryLimits = Pick<LimitSettings, 'journalMemoryBytes' | 'journalMemoryTotalBytes' | 'journalHoldMs'>;

/** What all journals of an executor share. */
export class JournalBudget {
  /** Bytes that all journals hold in memory. */
  memoryBytes = 0;
  readonly spill: SpillBudget;
  readonly #memory: MemoryLimits;

  constructor(spill: SpillBudget, memory: MemoryLimits = limits) {
    this.spill = spill;
    this.#memory = memory;
  }

  /** Milliseconds that a program waits for readers without progress. */
  get holdMs(): number {
    return this.#memory.journalHoldMs;
  }

  /** Bytes that one journal may hold in memory now. */
  hotLimit(): number {
    const { journalMemoryBytes, journalMemoryTotalBytes } = this.#memory;
    const tight = this.memoryBytes > journalMemoryTotalBytes;
    return tight ? Math.min(limits.journalMemoryTightBytes, journalMemoryBytes) : journalMemoryBytes;
  }
}
