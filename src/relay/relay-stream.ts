import { isAscii, isUtf8 } from 'node:buffer';
import { limits } from '../protocol/limits.ts';
import type { CloseReason, Transport, TransportEvents } from '../rpc/transport.ts';
import { resetReason, resetText } from './close-text.ts';
import { Exchange } from './exchange.ts';
import { type RelayBody, type RelayFrame, encodeFrame } from './frame.ts';
import { PlainMessages } from './plain-messages.ts';
import type { Road } from './road.ts';
import { type RelayTiming, relayTiming } from './timing.ts';

export interface RelayStreamOptions {
  readonly streamId: string;
  readonly role: 'orchestrator' | 'executor';
  /** What the other side is known to be. */
  readonly peer: PeerKind;
  readonly messageBytes: number;
  readonly timing?: RelayTiming | undefined;
  readonly onEnd: (reason: CloseReason) => void;
}

/** `plain`: takes frames as they come, acknowledges nothing, and knows messages of one segment only. */
export type PeerKind = 'unknown' | 'reliable' | 'plain';

/** The last number of a data frame. A stream ends before it gets there, and the session takes another one. */
const lastSeq = 2 ** 32 - 1;

/** One stream of messages, over one socket after the other where the other side is reliable. */
export class RelayStream implements Transport {
  readonly kind = 'rendezvous';
  readonly streamId: string;
  readonly #options: RelayStreamOptions;
  readonly #exchange: Exchange;
  readonly #plain: PlainMessages;
  #peer: PeerKind;
  #road: Road | undefined;
  #isFirstRoad = true;
  #receivedBytes = 0;
  #drains = false;
  #events: TransportEvents | undefined;
  #closing: CloseReason | undefined;
  #ended: CloseReason | undefined;

  constructor(options: RelayStreamOptions) {
    const { streamId, peer, messageBytes, timing = relayTiming } = options;
    this.streamId = streamId;
    this.#options = options;
    this.#peer = peer;
    this.#exchange = new Exchange(messageBytes, timing, {
      road: () => this.#road,
      control: (body) => this.#control(body),
      onMessage: (message) => this.#deliver(message),
      onSendable: () => this.#road?.ready(this),
      onFailure: (reason) => this.#finish(reason),
    });
    this.#plain = new PlainMessages(messageBytes, (message) => this.#deliver(message));
    if (peer === 'reliable') this.#exchange.start();
  }

  get peer(): PeerKind {
    return this.#peer;
  }

  get unsentBytes(): number {
    return this.#exchange.outgoing.unsentBytes + this.#plain.unsentBytes;
  }

  /** Of a plain peer, which answers no heartbeat, what its rendezvous says counts as well. */
  get receivedBytes(): number {
    return this.#ownRoad?.socket.receivedBytes ?? this.#receivedBytes;
  }

  get ping(): (() => void) | undefined {
    if (this.#peer !== 'plain') return () => this.#control({ kind: 'heartbeat' });
    return this.#ownRoad === undefined ? undefined : () => this.#ownRoad?.socket.ping?.();
  }

  attach(events: TransportEvents): void {
    this.#events = events;
    const ended = this.#ended;
    if (ended === undefined) this.resume();
    else queueMicrotask(() => events.onClose(ended));
  }

  send(message: string | Buffer): void {
    if (this.#isOver || message.length === 0) return;
    const bytes = typeof message === 'string' ? Buffer.from(message) : message;
    const { outgoing } = this.#exchange;
    // A first message in one segment suits every peer. A longer one waits until it is known which this is.
    const waits = this.#peer === 'unknown' && (this.#plain.waits || bytes.length > limits.relaySegmentBytes);
    if (this.#peer === 'plain' || waits) this.#plain.push(bytes);
    else outgoing.push(bytes);
    if (outgoing.end > lastSeq)
      return this.#finish({ kind: 'lost', message: 'the stream has used up its numbers' });
    this.#road?.ready(this);
  }

  pause(): void {
    this.#exchange.incoming.pause();
    this.#plain.pause();
    this.#ownRoad?.socket.pause();
  }

  resume(): void {
    if (this.#isOver || this.#events === undefined) return;
    this.#exchange.resume();
    this.#plain.resume();
    this.#ownRoad?.socket.resume();
  }

  /** What was sent before is delivered first, if the other side takes it in time. */
  close(reason: CloseReason): void {
    if (this.#isOver) return;
    this.#closing = reason;
    this.#exchange.incoming.pause();
    this.#plain.pause();
    if (reason.kind === 'lost' || this.#road === undefined || this.#isDelivered) return this.#finish(reason);
    this.#exchange.clocks.closeIn(() => this.#finish(reason));
  }

  /** A socket is there: the first one, or the next. */
  join(road: Road): void {
    this.#road = road;
    this.#exchange.clocks.heard();
    // An executor's first road is the one on which it was asked.
    const asks = this.#options.role === 'orchestrator' || !this.#isFirstRoad;
    this.#isFirstRoad = false;
    if (this.#peer !== 'plain' && asks) this.#exchange.ask();
    road.ready(this);
  }

  /** It is gone. */
  leave(): void {
    this.#road?.leave(this);
    this.#road = undefined;
    this.#exchange.leave();
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
    this.#exchange.clocks.heard();
    if (body.kind === 'reset') return this.#end(this.#closing ?? resetReason(body.reason));
    if (frame.reliable || (body.kind === 'resume' && body.reliability > 0)) this.#receiveReliable(frame);
    else this.#receivePlain(body);
  }

  /** Asked by the road when it is this stream's turn. */
  next(): Uint8Array | undefined {
    if (this.#ended !== undefined) return undefined;
    if (this.#peer === 'plain') return this.#nextPlain();
    const segment = this.#exchange.take();
    if (segment === undefined) return undefined;
    const { seq, segmentIndex, segmentCount, payload, sendings } = segment;
    const frame = this.#frame({ kind: 'data', seq, segmentIndex, segmentCount, payload });
    if (sendings === 1) this.#tellDrain();
    return frame;
  }

  /** The other side has everything. */
  get #isDelivered(): boolean {
    return this.#exchange.outgoing.bytes + this.#plain.unsentBytes === 0;
  }

  get #isOver(): boolean {
    return this.#closing !== undefined || this.#ended !== undefined;
  }

  /** The road of a plain stream that has it to itself: what is done to the stream can be done to the socket. */
  get #ownRoad(): Road | undefined {
    return this.#options.role === 'orchestrator' && this.#peer === 'plain' ? this.#road : undefined;
  }

  #nextPlain(): Uint8Array | undefined {
    const payload = this.#plain.shift();
    if (payload === undefined) {
      if (this.#closing !== undefined) this.#finish(this.#closing);
      return undefined;
    }
    const seq = this.#plain.number();
    const frame = this.#frame({ kind: 'data', seq, segmentIndex: 0, segmentCount: 1, payload });
    this.#tellDrain();
    return frame;
  }

  /** Later: what it causes must not come before the frame that is on its way. */
  #tellDrain(): void {
    if (this.#drains) return;
    this.#drains = true;
    queueMicrotask(() => {
      this.#drains = false;
      if (!this.#isOver) this.#events?.onDrain();
    });
  }

  #receivePlain(body: RelayBody): void {
    if (body.kind !== 'data' || this.#peer === 'reliable') return;
    if (this.#peer === 'unknown') {
      const { outgoing } = this.#exchange;
      this.#peer = 'plain';
      this.#exchange.leave();
      this.#plain.start(outgoing.drainPlain(), outgoing.end);
      this.#road?.ready(this);
    }
    const breach = this.#plain.take(body);
    if (breach !== undefined) this.#finish(breach);
  }

  #receiveReliable(frame: RelayFrame): void {
    if (this.#peer === 'plain') return;
    if (this.#peer === 'unknown') {
      this.#peer = 'reliable';
      const { outgoing } = this.#exchange;
      for (let bytes = this.#plain.shift(); bytes !== undefined; bytes = this.#plain.shift())
        outgoing.push(bytes);
    }
    this.#exchange.receive(frame);
    if (this.#closing !== undefined && this.#isDelivered) return this.#finish(this.#closing);
    this.#road?.ready(this);
  }

  #control(body: RelayBody): void {
    this.#road?.send(this.#frame(body));
  }

  #frame(body: RelayBody): Uint8Array {
    const { streamId } = this;
    if (this.#peer === 'plain') return encodeFrame({ streamId, reliable: false, ack: 0, ackBits: 0, body });
    this.#exchange.sent();
    const { next, bits } = this.#exchange.incoming;
    return encodeFrame({ streamId, reliable: true, ack: next, ackBits: bits, body });
  }

  #deliver(message: Buffer): void {
    const events = this.#events;
    if (events === undefined || this.#isOver) return;
    if (!isUtf8(message)) events.onGarbage('is not UTF-8');
    // Base64 makes most long messages ASCII, which is quicker to take as Latin-1.
    else events.onMessage(message.toString(isAscii(message) ? 'latin1' : 'utf8'));
  }

  #finish(reason: CloseReason): void {
    if (this.#ended !== undefined) return;
    this.#control({ kind: 'reset', reason: resetText(reason) });
    this.#end(reason);
  }

  #end(reason: CloseReason): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#exchange.incoming.pause();
    this.#plain.pause();
    this.#exchange.clocks.stop();
    this.#road?.leave(this);
    this.#road = undefined;
    this.#options.onEnd(reason);
    const events = this.#events;
    if (events !== undefined) queueMicrotask(() => events.onClose(reason));
  }
}
