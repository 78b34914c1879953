import { isAscii, isUtf8 } from 'node:buffer';
import { limits } from '../protocol/limits.ts';
import type { CloseReason, Transport, TransportEvents } from '../rpc/transport.ts';
import { resetReason, resetText } from './close-text.ts';
import { type RelayBody, type RelayFrame, encodeFrame } from './frame.ts';
import { type Breach, Incoming } from './incoming.ts';
import { Outgoing } from './outgoing.ts';
import { PlainMessages } from './plain-messages.ts';
import type { Road } from './road.ts';
import { RoundTrip } from './round-trip.ts';
import { StreamClocks } from './stream-clocks.ts';
import { type RelayTiming, relayTiming } from './timing.ts';

export interface RelayStreamOptions {
  readonly streamId: string;
  readonly role: 'orchestrator' | 'executor';
  /** What the other side is known to be. */
  readonly peer: Peer;
  readonly messageBytes: number;
  readonly timing?: RelayTiming | undefined;
  readonly onEnd: (reason: CloseReason) => void;
}

/** `plain`: takes frames as they come, acknowledges nothing, and knows messages of one segment only. */
export type Peer = 'unknown' | 'reliable' | 'plain';

/** The last number of a data frame. A stream ends before it gets there, and the session takes another one. */
const lastSeq = 2 ** 32 - 1;

/** Parts of a window after which an acknowledgement does not wait for company. */
const ackParts = 4;

/** One stream of messages, over one socket after the other. */
export class RelayStream implements Transport {
  readonly kind = 'rendezvous';
  readonly streamId: string;
  readonly #options: RelayStreamOptions;
  readonly #roundTrip: RoundTrip;
  readonly #outgoing: Outgoing;
  readonly #incoming: Incoming;
  readonly #plain: PlainMessages;
  readonly #clocks: StreamClocks;
  #peer: Peer;
  #road: Road | undefined;
  #isFirstRoad = true;
  /** A resume was sent on this road, and nothing has come since. */
  #asking = false;
  #unacknowledged = { frames: 0, bytes: 0 };
  #receivedBytes = 0;
  #events: TransportEvents | undefined;
  #closing: CloseReason | undefined;
  #ended: CloseReason | undefined;

  constructor(options: RelayStreamOptions) {
    const { streamId, peer, messageBytes, timing = relayTiming } = options;
    this.streamId = streamId;
    this.#options = options;
    this.#peer = peer;
    const bounds = {
      segmentBytes: limits.relaySegmentBytes,
      segments: limits.relaySegments,
      windowFrames: limits.relayWindowFrames,
      windowBytes: limits.relayWindowBytes,
      messageBytes,
    };
    this.#roundTrip = new RoundTrip(timing.resend);
    this.#outgoing = new Outgoing(bounds, this.#roundTrip);
    this.#incoming = new Incoming(bounds, (message) => this.#deliver(message));
    this.#plain = new PlainMessages((message) => this.#deliver(message));
    this.#clocks = new StreamClocks(timing, {
      onResend: () => this.#resend(),
      onAck: () => this.#sendAck(),
      onHeartbeat: () => this.#control({ kind: 'heartbeat' }),
      onSilence: (milliseconds) => {
        // Without a road it has to be.
        const message = `the other side was silent for ${milliseconds} ms`;
        if (this.#road !== undefined) this.#finish({ kind: 'lost', message });
      },
      onCloseTimeout: () => this.#finish(this.#closing ?? { kind: 'lost', message: 'the time is up' }),
    });
    if (peer === 'reliable') this.#clocks.startHeartbeats();
  }

  get peer(): Peer {
    return this.#peer;
  }

  get unsentBytes(): number {
    return this.#outgoing.bytes + this.#plain.unsentBytes;
  }

  /** Of a plain peer, which answers no heartbeat, what its rendezvous says counts as well. */
  get receivedBytes(): number {
    const ofRoad = this.#isExclusive && this.#peer === 'plain' ? this.#road?.socket.receivedBytes : undefined;
    return ofRoad ?? this.#receivedBytes;
  }

  get ping(): (() => void) | undefined {
    if (this.#peer === 'plain') return this.#isExclusive ? () => this.#road?.socket.ping?.() : undefined;
    return () => this.#control({ kind: 'heartbeat' });
  }

  attach(events: TransportEvents): void {
    this.#events = events;
    const ended = this.#ended;
    if (ended !== undefined) return queueMicrotask(() => events.onClose(ended));
    this.resume();
  }

  send(message: string | Buffer): void {
    if (this.#closing !== undefined || this.#ended !== undefined || message.length === 0) return;
    const bytes = typeof message === 'string' ? Buffer.from(message) : message;
    // A first message in one segment suits every peer. A longer one waits until it is known which this is.
    const waits = this.#peer === 'unknown' && (this.#plain.waits || bytes.length > limits.relaySegmentBytes);
    if (this.#peer === 'plain' || waits) this.#plain.push(bytes);
    else this.#outgoing.push(bytes);
    if (this.#outgoing.end > lastSeq)
      return this.#finish({ kind: 'lost', message: 'the stream has used up its numbers' });
    this.#road?.ready(this);
  }

  pause(): void {
    this.#incoming.pause();
    this.#plain.pause();
    if (this.#peer === 'plain' && this.#isExclusive) this.#road?.socket.pause();
  }

  resume(): void {
    if (this.#closing !== undefined || this.#ended !== undefined) return;
    const before = this.#incoming.next;
    const breach = this.#incoming.resume();
    if (breach !== undefined) return this.#refuse(breach);
    // The other side waits for room.
    if (this.#incoming.next > before && this.#ended === undefined) this.#sendAck();
    this.#plain.resume();
    if (this.#peer === 'plain' && this.#isExclusive) this.#road?.socket.resume();
  }

  close(reason: CloseReason): void {
    if (this.#closing !== undefined || this.#ended !== undefined) return;
    this.#closing = reason;
    this.#incoming.pause();
    this.#plain.pause();
    if (reason.kind === 'lost' || this.#road === undefined || this.unsentBytes === 0)
      return this.#finish(reason);
    this.#clocks.awaitClose();
  }

  /** A socket is there: the first one, or the next. */
  join(road: Road): void {
    this.#road = road;
    this.#clocks.heard();
    // An executor's first road is the one on which it was asked.
    const asks = this.#options.role === 'orchestrator' || !this.#isFirstRoad;
    this.#isFirstRoad = false;
    if (this.#peer !== 'plain' && asks) this.#ask();
    road.ready(this);
  }

  /** It is gone. */
  leave(): void {
    this.#road?.leave(this);
    this.#road = undefined;
    this.#asking = false;
    this.#clocks.stopResending();
    if (this.#closing !== undefined) this.#end(this.#closing);
  }

  /** Ends it without a word to the other side. */
  end(reason: CloseReason): void {
    this.#end(this.#closing ?? reason);
  }

  receive(frame: RelayFrame, frameBytes: number): void {
    if (this.#ended !== undefined) return;
    const { body } = frame;
    this.#receivedBytes += frameBytes;
    this.#clocks.heard();
    if (body.kind === 'reset') return this.#end(this.#closing ?? resetReason(body.reason));
    const isReliable = frame.reliable || (body.kind === 'resume' && body.reliability > 0);
    if (!isReliable) return this.#receivePlain(body);
    if (this.#peer === 'plain') return;
    // What was sent before it was known is on its way.
    const isNews = this.#asking && this.#peer === 'reliable';
    if (this.#peer === 'unknown') this.#becomeReliable();
    this.#asking = false;
    this.#receiveReliable(frame, isNews);
  }

  /** Asked by the road when it is this stream's turn. */
  next(): Uint8Array | undefined {
    if (this.#ended !== undefined) return undefined;
    if (this.#peer === 'plain') return this.#nextPlain();
    // What the other side has is not known yet.
    if (this.#asking && this.#peer === 'reliable') return undefined;
    const segment = this.#outgoing.take(performance.now());
    if (segment === undefined) return undefined;
    this.#armResend(false);
    const { seq, segmentIndex, segmentCount, payload } = segment;
    return this.#frame({ kind: 'data', seq, segmentIndex, segmentCount, payload });
  }

  get #isExclusive(): boolean {
    return this.#options.role === 'orchestrator';
  }

  #nextPlain(): Uint8Array | undefined {
    const payload = this.#plain.shift();
    if (payload === undefined) {
      if (this.#closing !== undefined) this.#finish(this.#closing);
      return undefined;
    }
    const seq = this.#plain.number();
    const frame = this.#frame({ kind: 'data', seq, segmentIndex: 0, segmentCount: 1, payload });
    if (this.#closing === undefined) this.#events?.onDrain();
    return frame;
  }

  #receivePlain(body: RelayBody): void {
    if (body.kind !== 'data' || this.#peer === 'reliable') return;
    if (this.#peer === 'unknown') {
      this.#peer = 'plain';
      this.#asking = false;
      this.#clocks.stopResending();
      this.#plain.start(this.#outgoing.drainPlain(), this.#outgoing.end);
      this.#road?.ready(this);
    }
    const breach = this.#plain.take(body);
    if (breach !== undefined) this.#refuse(breach);
  }

  #becomeReliable(): void {
    this.#peer = 'reliable';
    this.#clocks.startHeartbeats();
    for (let bytes = this.#plain.shift(); bytes !== undefined; bytes = this.#plain.shift())
      this.#outgoing.push(bytes);
  }

  /** `isNews`: the first word on this road. */
  #receiveReliable({ ack, ackBits, body }: RelayFrame, isNews: boolean): void {
    const isResume = body.kind === 'resume';
    const progress = isResume
      ? this.#outgoing.acknowledge(body.nextSeq, 0, performance.now())
      : this.#outgoing.acknowledge(ack, ackBits, performance.now());
    if (progress === undefined)
      return this.#refuse({ kind: 'protocolError', message: 'what was never sent is acknowledged' });
    if (isResume && body.firstSeq > this.#incoming.next)
      return this.#finish({ kind: 'lost', message: 'what the other side has dropped never arrived' });
    if (isNews || isResume) this.#outgoing.restart();
    if (body.kind === 'data') {
      const taken = this.#incoming.take(body);
      if (typeof taken === 'object') return this.#refuse(taken);
      if (this.#ended !== undefined) return;
      this.#received(body.payload.length, taken !== 'inOrder');
    } else if (isResume || body.kind === 'heartbeat') this.#sendAck();
    this.#armResend(progress);
    if (this.#closing !== undefined) {
      if (this.#outgoing.bytes === 0) this.#finish(this.#closing);
    } else if (progress) this.#events?.onDrain();
    this.#road?.ready(this);
  }

  /** An acknowledgement goes at once where the other side waits for it, or else with the next frame, or after a while. */
  #received(bytes: number, isUnexpected: boolean): void {
    const due = this.#unacknowledged;
    due.frames += 1;
    due.bytes += bytes;
    const isMuch =
      due.frames >= limits.relayWindowFrames / ackParts || due.bytes >= limits.relayWindowBytes / ackParts;
    if (isUnexpected || isMuch) this.#sendAck();
    else this.#clocks.ackSoon();
  }

  #ask(): void {
    this.#asking = true;
    this.#control({
      kind: 'resume',
      nextSeq: this.#incoming.next,
      firstSeq: this.#outgoing.base,
      reliability: 1,
    });
    this.#armResend(false);
  }

  #resend(): void {
    // What has not even left is not late.
    if (this.#road?.isBusy === false) {
      if (this.#asking) {
        this.#roundTrip.waitedInVain();
        this.#ask();
      } else this.#outgoing.timeOut();
      this.#road.ready(this);
    }
    this.#armResend(true);
  }

  /** `anew`: from now on, not from when it was armed first. */
  #armResend(anew: boolean): void {
    const waits = this.#asking || (this.#peer === 'reliable' && this.#outgoing.waitsForAck);
    if (this.#road === undefined || this.#ended !== undefined || !waits) this.#clocks.stopResending();
    else this.#clocks.resendIn(this.#roundTrip.waitMs, anew);
  }

  #sendAck(): void {
    if (this.#peer === 'reliable') this.#control({ kind: 'ack' });
  }

  #control(body: RelayBody): void {
    this.#road?.send(this.#frame(body));
  }

  #frame(body: RelayBody): Uint8Array {
    const { streamId } = this;
    this.#clocks.sent();
    if (this.#peer === 'plain') return encodeFrame({ streamId, reliable: false, ack: 0, ackBits: 0, body });
    this.#unacknowledged = { frames: 0, bytes: 0 };
    const { next, bits } = this.#incoming;
    return encodeFrame({ streamId, reliable: true, ack: next, ackBits: bits, body });
  }

  #deliver(message: Buffer): void {
    const events = this.#events;
    if (events === undefined || this.#ended !== undefined || this.#closing !== undefined) return;
    if (!isUtf8(message)) events.onGarbage('is not UTF-8');
    // Base64 makes most long messages ASCII, which is quicker to take as Latin-1.
    else events.onMessage(message.toString(isAscii(message) ? 'latin1' : 'utf8'));
  }

  #refuse({ kind, message }: Breach): void {
    this.#finish({ kind, message });
  }

  #finish(reason: CloseReason): void {
    if (this.#ended !== undefined) return;
    this.#control({ kind: 'reset', reason: resetText(reason) });
    this.#end(reason);
  }

  #end(reason: CloseReason): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#incoming.pause();
    this.#plain.pause();
    this.#clocks.stop();
    this.#road?.leave(this);
    this.#road = undefined;
    this.#options.onEnd(reason);
    const events = this.#events;
    if (events !== undefined) queueMicrotask(() => events.onClose(reason));
  }
}
