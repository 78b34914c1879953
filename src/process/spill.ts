import type { FileHandle } from 'node:fs/promises';
import { type JournalEvent, decodeEvents, encodeEvents, takeWithin } from './journal-event.ts';
import type { SpillBudget, Spilled } from './spill-budget.ts';
import { openSpillFile } from './spill-file.ts';

/** Bytes of one file; a file whose blocks are all dropped gives its space back. */
const segmentBytes = 16 * 1024 * 1024;
/** Remembered drops. */
const rememberedDrops = 1024;

/** Some consecutive events. `content` is there until they are written, `place` from then on. */
interface Block {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly firstOffset: number;
  readonly outputBytes: number;
  readonly size: number;
  content: Buffer | undefined;
  place: { readonly segment: Segment; readonly position: number } | undefined;
}

interface Segment {
  readonly file: FileHandle;
  end: number;
  /** Blocks in it and reads of it, plus one while it is written to. Nobody left: the file is closed. */
  users: number;
}

/** Where a part of the output ended that a limit took. */
interface Drop {
  readonly lastSeq: number;
  /** Bytes of output up to there. */
  readonly endOffset: number;
}

/** How far the readers of a journal are. */
export interface SpillReaders {
  /** Events behind this one are not dropped for a limit. */
  readonly neededAfter: number;
  /** The newest event that somebody has had. */
  readonly newestTaken: number;
}

/**
 * The older part of a journal, in files. What does not fit is dropped from the oldest on, but for what a reader still needs; what cannot be
 * written is dropped at once.
 */
export class Spill implements Spilled {
  readonly #budget: SpillBudget;
  readonly #readers: SpillReaders;
  #blocks: Block[] = [];
  #drops: Drop[] = [];
  #usedBytes = 0;
  #pendingBytes = 0;
  #droppedBytes = 0;
  #segment: Segment | undefined;
  #writing: Promise<void> = Promise.resolve();
  #disposed = false;

  constructor(budget: SpillBudget, readers: SpillReaders) {
    this.#budget = budget;
    this.#readers = readers;
  }

  /** Bytes that are not on disk yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  get isRead(): boolean {
    return this.#readers.newestTaken >= (this.#blocks.at(-1)?.lastSeq ?? 0);
  }

  get isNeeded(): boolean {
    return (this.#blocks.at(-1)?.lastSeq ?? 0) > this.#readers.neededAfter;
  }

  /** It is over a limit, and its oldest part is still needed. */
  get isHeld(): boolean {
    return this.#isOverLimit && this.#oldestIsNeeded;
  }

  /** Where what is here begins behind the cursor. */
  firstAfter(afterSeq: number): { readonly seq: number; readonly offset: number } | undefined {
    const block = this.#blocks.find((candidate) => candidate.lastSeq > afterSeq);
    return block && { seq: Math.max(block.firstSeq, afterSeq + 1), offset: block.firstOffset };
  }

  /** Bytes of output up to the cursor, as exactly as the places tell where parts were dropped: not more than there were. */
  offsetAfter(afterSeq: number): number {
    return this.#drops.findLast((drop) => drop.lastSeq <= afterSeq)?.endOffset ?? 0;
  }

  /** Takes events that follow those of the last call. Resolves when they are on disk, or dropped. */
  append(events: readonly JournalEvent[]): Promise<void> {
    const content = encodeEvents(events);
    const block: Block = {
      firstSeq: events[0]?.seq ?? 0,
      lastSeq: events.at(-1)?.seq ?? 0,
      firstOffset: events[0]?.offset ?? 0,
      outputBytes: events.reduce((sum, event) => sum + event.bytes.length, 0),
      size: content.length,
      content,
      place: undefined,
    };
    this.#blocks.push(block);
    this.#count(block.size);
    this.#pendingBytes += block.size;
    this.trim();
    this.#writing = this.#writing.then(() => this.#write(block));
    return this.#writing;
  }

  /** Drops what a limit asks for and nobody needs. */
  trim(): void {
    if (this.#isOverLimit) this.#budget.reclaim();
    this.dropWhile(() => this.#isOverLimit && !this.#oldestIsNeeded);
  }

  /** Nothing more is appended. */
  end(): void {
    if (!this.#disposed) this.#budget.end(this);
  }

  /** Events from right after the cursor on; none when they are no longer here. */
  async read(afterSeq: number, maxBytes: number, maxEvents: number): Promise<JournalEvent[]> {
    const block = this.#blocks.find(
      (candidate) => candidate.lastSeq > afterSeq && candidate.firstSeq <= afterSeq + 1,
    );
    if (block === undefined) return [];
    try {
      const events = [...decodeEvents(block.content ?? (await readBlock(block)), block.firstOffset)];
      return takeWithin(events.slice(afterSeq + 1 - block.firstSeq), maxBytes, maxEvents);
    } catch {
      // A disk that does not give back what it took: the loss is named, as for one that took nothing.
      this.dropWhile(() => this.#blocks.includes(block));
      return [];
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#budget.remove(this);
    for (const block of this.#blocks) this.#forget(block);
    this.#blocks = [];
    void this.#writing.then(() => release(this.#segment));
  }

  async #write(block: Block): Promise<void> {
    const { content } = block;
    try {
      if (content === undefined) return;
      const segment = await this.#segmentFor(block.size);
      const position = segment.end;
      segment.end += block.size;
      for (let done = 0; done < content.length;) {
        done += (await segment.file.write(content, done, content.length - done, position + done))
          .bytesWritten;
      }
      // It may have been dropped meanwhile.
      if (block.content === undefined) return;
      segment.users += 1;
      block.place = { segment, position };
      block.content = undefined;
    } catch {
      // A full or broken disk.
      this.dropWhile(() => this.#blocks.includes(block));
    } finally {
      this.#pendingBytes -= block.size;
    }
  }

  async #segmentFor(size: number): Promise<Segment> {
    const current = this.#segment;
    if (current !== undefined && current.end + size <= segmentBytes) return current;
    this.#segment = undefined;
    release(current);
    this.#segment = { file: await openSpillFile(this.#budget.directory), end: 0, users: 1 };
    return this.#segment;
  }

  get #isOverLimit(): boolean {
    return this.#usedBytes > this.#budget.bytesPerProcess || this.#budget.isExceeded;
  }

  get #oldestIsNeeded(): boolean {
    return (this.#blocks[0]?.lastSeq ?? 0) > this.#readers.neededAfter;
  }

  dropWhile(condition: () => boolean): void {
    while (condition()) {
      const block = this.#blocks.shift();
      if (block === undefined) return;
      this.#forget(block);
      this.#droppedBytes += block.outputBytes;
      this.#drops.push({ lastSeq: block.lastSeq, endOffset: block.firstOffset + block.outputBytes });
      // Every second place is enough to go on with.
      if (this.#drops.length > rememberedDrops)
        this.#drops = this.#drops.filter((_drop, index) => index % 2 === 1);
    }
  }

  #forget(block: Block): void {
    this.#count(-block.size);
    block.content = undefined;
    release(block.place?.segment);
    block.place = undefined;
  }

  #count(bytes: number): void {
    this.#usedBytes += bytes;
    this.#budget.usedBytes += bytes;
  }
}

async function readBlock(block: Block): Promise<Buffer> {
  if (block.place === undefined) throw new Error('The block was dropped.');
  const { segment, position } = block.place;
  const content = Buffer.allocUnsafeSlow(block.size);
  segment.users += 1;
  try {
    const { bytesRead } = await segment.file.read(content, 0, content.length, position);
    if (bytesRead !== block.size) throw new Error('The block was not read whole.');
    return content;
  } finally {
    release(segment);
  }
}

function release(segment: Segment | undefined): void {
  if (segment === undefined) return;
  segment.users -= 1;
  if (segment.users === 0) void segment.file.close().catch(() => {});
}
