import { limits } from '../protocol/limits.ts';
import type { CloseReason } from '../rpc/transport.ts';
import type { RelayBody, RelayFrame } from './frame.ts';
import { Incoming } from './incoming.ts';
import { Outgoing, type Segment } from './outgoing.ts';
import type { Road } from './road.ts';
import { RoundTrip } from './round-trip.ts';
import { StreamClocks } from './stream-clocks.ts';
import type { RelayTiming } from './timing.ts';

export interface ExchangeEvents {
  /** The way that frames take now. */
  road(): Road | undefined;
  /** Sends a frame at once; it carries an acknowledgement. */
  control(body: RelayBody): void;
  onMessage(message: Buffer): void;
  /** There is something to send again. */
  onSendable(): void;
  /** The stream cannot go on. */
  onFailure(reason: CloseReason): void;
}

/** Parts of a window after which an acknowledgement does not wait for company. */
const ackParts = 16;

/** Both directions of a stream between reliable sides: what is resent and acknowledged when, over one road after the other. */
export class Exchange {
  readonly outgoing: Outgoing;
  readonly incoming: Incoming;
  readonly clocks: StreamClocks;
  readonly #events: ExchangeEvents;
  readonly #roundTrip: RoundTrip;
  /** A resume was sent on this road, and nothing has come since. */
  #asking = false;
  #isKnown = false;
  #due = { frames: 0, bytes: 0 };

  constructor(messageBytes: number, timing: RelayTiming, events: ExchangeEvents) {
    const bounds = {
      segmentBytes: limits.relaySegmentBytes,
      segments: limits.relaySegments,
      windowFrames: limits.relayWindowFrames,
      windowBytes: limits.relayWindowBytes,
      messageBytes,
    };
    this.#events = events;
    this.#roundTrip = new RoundTrip(timing.resend);
    this.outgoing = new Outgoing(bounds, this.#roundTrip);
    this.incoming = new Incoming(bounds, (message) => events.onMessage(message));
    this.clocks = new StreamClocks(timing, {
      onResend: () => this.#resend(),
      onAck: () => this.#sendAck(),
      onHeartbeat: () => events.control({ kind: 'heartbeat' }),
      onSilence: (milliseconds) => {
        // Without a road it has to be.
        const message = `the other side was silent for ${milliseconds} ms`;
        if (events.road() !== undefined) events.onFailure({ kind: 'lost', message });
      },
    });
  }

  /** The other side is known to be a reliable one. */
  start(): void {
    this.#isKnown = true;
    this.clocks.startHeartbeats();
  }

  /** Asks what of this stream has arrived over there: the first frame on a road. */
  ask(): void {
    this.#asking = true;
    this.#events.control({
      kind: 'resume',
      nextSeq: this.incoming.next,
      firstSeq: this.outgoing.base,
      reliability: 1,
    });
    this.#armResend(false);
  }

  /** The road is gone, or no use to such an exchange. */
  leave(): void {
    this.#asking = false;
    this.clocks.stopResending();
  }

  /** The next data frame. */
  take(): Segment | undefined {
    // What the other side has is not known yet.
    if (this.#asking && this.#isKnown) return undefined;
    const segment = this.outgoing.take(performance.now());
    if (segment !== undefined) this.#armResend(false);
    return segment;
  }

  /** A frame with an acknowledgement goes out. */
  sent(): void {
    this.#due = { frames: 0, bytes: 0 };
    this.clocks.sent();
  }

  resume(): void {
    const before = this.incoming.next;
    const breach = this.incoming.resume();
    if (breach !== undefined) this.#events.onFailure(breach);
    // The other side waits for room.
    else if (this.incoming.next > before) this.#sendAck();
  }

  receive({ ack, ackBits, body }: RelayFrame): void {
    const isResume = body.kind === 'resume';
    // What was sent before the other side was known is on its way; on a later road nothing is.
    const isNews = this.#asking && this.#isKnown;
    this.#asking = false;
    if (!this.#isKnown) this.start();
    const now = performance.now();
    const progress = isResume
      ? this.outgoing.acknowledge(body.nextSeq, 0, now)
      : this.outgoing.acknowledge(ack, ackBits, now);
    if (progress === undefined) return this.#fail('protocolError', 'what was never sent is acknowledged');
    if (isResume && body.firstSeq > this.incoming.next)
      return this.#fail('lost', 'what the other side has dropped never arrived');
    if (isNews || isResume) this.outgoing.restart();
    if (body.kind === 'data') {
      const taken = this.incoming.take(body);
      if (typeof taken === 'object') return this.#fail(taken.kind, taken.message);
      this.#received(body.payload.length, taken !== 'inOrder');
    } else if (isResume || body.kind === 'heartbeat') this.#sendAck();
    this.#armResend(progress);
  }

  #fail(kind: CloseReason['kind'], message: string): void {
    this.#events.onFailure({ kind, message });
  }

  /** An acknowledgement goes at once where the other side waits for it, or else with the next frame, or after a while. */
  #received(bytes: number, isUnexpected: boolean): void {
    this.#due.frames += 1;
    this.#due.bytes += bytes;
    const isMuch =
      this.#due.frames >= limits.relayWindowFrames / ackParts ||
      this.#due.bytes >= limits.relayWindowBytes / ackParts;
    if (isUnexpected || isMuch) this.#sendAck();
    else this.clocks.ackSoon();
  }

  #sendAck(): void {
    this.#events.control({ kind: 'ack' });
  }

  #resend(): void {
    const road = this.#events.road();
    // What has not even left is not late.
    if (road?.isBusy === false) {
      if (this.#asking) {
        this.#roundTrip.waitedInVain();
        this.ask();
      } else this.outgoing.timeOut();
      this.#events.onSendable();
    }
    this.#armResend(true);
  }

  /** `anew`: from now on, not from when it was armed first. */
  #armResend(anew: boolean): void {
    const waits = this.#asking || (this.#isKnown && this.outgoing.waitsForAck);
    if (this.#events.road() === undefined || !waits) this.clocks.stopResending();
    else this.clocks.resendIn(this.#roundTrip.waitMs, anew);
  }
}
