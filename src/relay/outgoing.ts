import type { RoundTrip } from './round-trip.ts';

/** A data frame that waits for its turn or for its acknowledgement. */
export interface Segment {
  readonly seq: number;
  readonly segmentIndex: number;
  readonly segmentCount: number;
  readonly payload: Buffer;
  /** When it was sent for the last time. */
  sentAt: number;
  sendings: number;
  /** It has arrived, though one before it has not. */
  arrived: boolean;
  /** It is to be sent again. */
  lost: boolean;
}

export interface OutgoingBounds {
  readonly segmentBytes: number;
  readonly windowFrames: number;
  readonly windowBytes: number;
}

/** Frames behind a missing one that have to arrive until that counts as lost: less is disorder. */
const overtakers = 3;

/** What a stream sends, from the message to its acknowledgement. */
export class Outgoing {
  readonly #bounds: OutgoingBounds;
  readonly #roundTrip: RoundTrip;
  /** Those from `base` on; `#head` of them are done with. */
  #segments: Segment[] = [];
  #head = 0;
  /** The first that is not acknowledged, the first that was never sent, and the next new one. */
  #base = 0;
  #unsent = 0;
  #end: number;
  #bytes = 0;
  #sentBytes = 0;
  #lost = 0;
  /** How many may be sent again until something is acknowledged. */
  #allowance = 0;

  constructor(bounds: OutgoingBounds, roundTrip: RoundTrip, firstSeq = 0) {
    this.#bounds = bounds;
    this.#roundTrip = roundTrip;
    [this.#base, this.#unsent, this.#end] = [firstSeq, firstSeq, firstSeq];
  }

  get base(): number {
    return this.#base;
  }

  /** The number that the next new segment gets. */
  get end(): number {
    return this.#end;
  }

  /** Of payload that has not been acknowledged, sent or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of payload that was never sent. */
  get unsentBytes(): number {
    return this.#bytes - this.#sentBytes;
  }

  get waitsForAck(): boolean {
    return this.#unsent > this.#base;
  }

  push(message: Buffer): void {
    const { segmentBytes } = this.#bounds;
    const segmentCount = Math.ceil(message.length / segmentBytes);
    for (let segmentIndex = 0; segmentIndex < segmentCount; segmentIndex++) {
      const payload = message.subarray(segmentIndex * segmentBytes, (segmentIndex + 1) * segmentBytes);
      const seq = this.#end++;
      const fresh = { sentAt: 0, sendings: 0, arrived: false, lost: false };
      this.#segments.push({ seq, segmentIndex, segmentCount, payload, ...fresh });
    }
    this.#bytes += message.length;
  }

  /** The next one to send: a lost one before a new one. */
  take(now: number): Segment | undefined {
    const segment = this.#lost > 0 ? this.#takeLost() : this.#takeNew();
    if (segment === undefined) return undefined;
    segment.sentAt = now;
    segment.sendings += 1;
    return segment;
  }

  /** Answers whether something was acknowledged; undefined if that was never sent. */
  acknowledge(ack: number, ackBits: number, now: number): boolean | undefined {
    const last = ackBits === 0 ? ack : ack + 1 + (31 - Math.clz32(ackBits)) + 1;
    if (last > this.#unsent) return undefined;
    // It was overtaken by a later one.
    if (ack < this.#base) return false;
    const isProgress = ack > this.#base;
    if (isProgress) this.#release(ack, now);
    if (ackBits !== 0) this.#mark(ack, ackBits, now);
    if (isProgress) {
      this.#roundTrip.opened();
      this.#allowance = this.#lost === 0 ? 0 : this.#allowance * 2 + 2;
    }
    return isProgress;
  }

  /** Nothing was acknowledged in time: what is on the way counts as lost, and one frame tries whether that is so. */
  timeOut(): void {
    this.#roundTrip.waitedInVain();
    this.#loseAll(1);
  }

  /** The way is a new one: what was on the old one is sent again, as fast as it goes. */
  restart(): void {
    this.#loseAll(Number.POSITIVE_INFINITY);
  }

  /** All that is left, as messages of one segment; nothing is kept. For a peer that turns out to know no segments. */
  drainPlain(): Buffer[] {
    const messages = this.#segments.slice(this.#head + this.#unsent - this.#base).map((one) => one.payload);
    this.#segments = [];
    this.#head = 0;
    this.#end = this.#unsent;
    this.#base = this.#unsent;
    [this.#bytes, this.#sentBytes, this.#lost] = [0, 0, 0];
    return messages;
  }

  #at(seq: number): Segment | undefined {
    return this.#segments[this.#head + seq - this.#base];
  }

  #takeNew(): Segment | undefined {
    const { windowFrames, windowBytes } = this.#bounds;
    if (this.#unsent - this.#base >= windowFrames) return undefined;
    const segment = this.#at(this.#unsent);
    if (segment === undefined || this.#sentBytes + segment.payload.length > windowBytes) return undefined;
    this.#unsent += 1;
    this.#sentBytes += segment.payload.length;
    return segment;
  }

  #takeLost(): Segment | undefined {
    if (this.#allowance <= 0) return undefined;
    for (let seq = this.#base; seq < this.#unsent; seq++) {
      const segment = this.#at(seq);
      if (segment === undefined || !segment.lost) continue;
      segment.lost = false;
      this.#lost -= 1;
      this.#allowance -= 1;
      return segment;
    }
    return undefined;
  }

  #release(ack: number, now: number): void {
    for (; this.#base < ack; this.#base++) {
      const segment = this.#segments[this.#head] as Segment;
      this.#head += 1;
      this.#bytes -= segment.payload.length;
      this.#sentBytes -= segment.payload.length;
      if (segment.lost) this.#lost -= 1;
      if (segment.sendings === 1 && this.#base === ack - 1) this.#roundTrip.measured(now - segment.sentAt);
    }
    if (this.#head * 2 < this.#segments.length) return;
    this.#segments = this.#segments.slice(this.#head);
    this.#head = 0;
  }

  #mark(ack: number, ackBits: number, now: number): void {
    for (let bit = 0; bit < 32; bit++) {
      const segment = (ackBits >>> bit) & 1 ? this.#at(ack + 1 + bit) : undefined;
      if (segment === undefined || segment.arrived) continue;
      segment.arrived = true;
      if (segment.lost) this.#lost -= 1;
      segment.lost = false;
    }
    const newest = ack + 1 + (31 - Math.clz32(ackBits));
    for (let seq = ack; seq <= newest - overtakers; seq++) {
      const segment = this.#at(seq);
      if (segment === undefined || segment.arrived || segment.lost) continue;
      // One that was sent again has not been overtaken by what was sent before.
      if (segment.sendings > 1 && now - segment.sentAt <= this.#roundTrip.meanMs * 2) continue;
      segment.lost = true;
      this.#lost += 1;
      this.#allowance = Math.max(this.#allowance, 0) + 1;
    }
  }

  #loseAll(allowance: number): void {
    this.#lost = 0;
    for (let seq = this.#base; seq < this.#unsent; seq++) {
      const segment = this.#at(seq);
      if (segment === undefined || segment.arrived) continue;
      segment.lost = true;
      this.#lost += 1;
    }
    this.#allowance = allowance;
  }
}
