import type { DataBody } from './frame.ts';
import { tooLong } from './plain-messages.ts';

export interface IncomingBounds {
  readonly segmentBytes: number;
  readonly segments: number;
  readonly windowFrames: number;
  readonly windowBytes: number;
  readonly messageBytes: number;
}

/** What a peer did that a reliable one does not. */
export interface Breach {
  readonly kind: 'protocolError' | 'tooBig';
  readonly message: string;
}

export type Taken =
  /** It was there already. */
  | 'again'
  /** One before it is missing. */
  | 'early'
  /** It was the next one, or waits for the reader behind it. */
  | 'inOrder';

/** A part of a buffer that is this many times as large is copied, so that it does not keep the whole one. */
const wasteful = 4;

/** What a stream receives, from data frames in any order to messages in theirs. Holds no more than one window and one message. */
export class Incoming {
  readonly #bounds: IncomingBounds;
  readonly #onMessage: (message: Buffer) => void;
  readonly #held = new Map<number, DataBody>();
  #heldBytes = 0;
  #next: number;
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  /** Segments of the message that has begun. */
  #count = 0;
  #paused = true;
  #handing = false;

  /** Nothing is handed on before `resume`. */
  constructor(bounds: IncomingBounds, onMessage: (message: Buffer) => void, firstSeq = 0) {
    this.#bounds = bounds;
    this.#onMessage = onMessage;
    this.#next = firstSeq;
  }

  /** The first data frame that has not been taken. */
  get next(): number {
    return this.#next;
  }

  /** Which of the frames behind `next` are there, if `next` is not. */
  get bits(): number {
    if (this.#held.size === 0 || this.#held.has(this.#next)) return 0;
    let bits = 0;
    for (let bit = 0; bit < 32; bit++) if (this.#held.has(this.#next + 1 + bit)) bits |= 1 << bit;
    return bits >>> 0;
  }

  take(data: DataBody): Taken | Breach {
    const { windowFrames, windowBytes } = this.#bounds;
    const { seq, payload } = data;
    if (seq < this.#next || this.#held.has(seq)) return 'again';
    const wrong = this.#check(data);
    if (wrong !== undefined) return wrong;
    if (seq >= this.#next + windowFrames || this.#heldBytes + payload.length > windowBytes)
      return { kind: 'protocolError', message: 'a data frame is beyond the window of its stream' };
    const isWasteful = payload.buffer.byteLength > wasteful * payload.length;
    this.#held.set(seq, isWasteful ? { ...data, payload: Uint8Array.from(payload) } : data);
    this.#heldBytes += payload.length;
    return this.#handOn() ?? (seq < this.#next || this.#held.has(this.#next) ? 'inOrder' : 'early');
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): Breach | undefined {
    this.#paused = false;
    return this.#handOn();
  }

  /** What is wrong with the frame whatever comes before it. */
  #check({ payload, segmentCount }: DataBody): Breach | undefined {
    const { segmentBytes, segments } = this.#bounds;
    if (payload.length > segmentBytes)
      return { kind: 'tooBig', message: `a segment has more than ${segmentBytes} bytes` };
    if (segmentCount > segments)
      return { kind: 'tooBig', message: `a message has more than ${segments} segments` };
    return undefined;
  }

  /** A reader may pause and resume while it is given a message: only the outermost goes on. */
  #handOn(): Breach | undefined {
    if (this.#handing) return undefined;
    this.#handing = true;
    try {
      return this.#handOnAll();
    } finally {
      this.#handing = false;
    }
  }

  #handOnAll(): Breach | undefined {
    while (!this.#paused) {
      const data = this.#held.get(this.#next);
      if (data === undefined) return undefined;
      this.#held.delete(this.#next);
      this.#heldBytes -= data.payload.length;
      this.#next += 1;
      const wrong = this.#assemble(data);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  #assemble({ segmentIndex, segmentCount, payload }: DataBody): Breach | undefined {
    if (segmentIndex !== this.#parts.length || (segmentIndex > 0 && segmentCount !== this.#count))
      return { kind: 'protocolError', message: 'the segments of a message do not fit together' };
    this.#count = segmentCount;
    const isLast = segmentIndex === segmentCount - 1;
    this.#partBytes += payload.length;
    const { messageBytes } = this.#bounds;
    if (this.#partBytes > messageBytes) return tooLong(messageBytes);
    this.#parts.push(payload);
    if (!isLast) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    this.#partBytes = 0;
    const [first] = parts;
    this.#onMessage(
      parts.length === 1 && first !== undefined
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(parts),
    );
    return undefined;
  }
}
