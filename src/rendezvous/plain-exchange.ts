import type { CloseReason } from '../rpc/transport.ts';
import { type Exchange, type ExchangeOptions, executorGone, orchestratorGone } from './exchange.ts';
import { readFrameHead, wholePayload } from './frame-head.ts';
import { dataFrame, resetFrame } from './frames.ts';
import { Lane } from './lane.ts';
import type { Leg } from './leg.ts';

/** The one orchestrator, and what it is to the executor. */
interface Pair {
  readonly leg: Leg;
  /** What waits for it. */
  readonly lane: Lane;
  /** Undefined until the first message. A stream id: it speaks relay frames, which are taken off here. */
  framing: undefined | 'plain' | { readonly streamId: string; seq: number };
}

/** An executor that speaks plain messages: one session a socket, so that each orchestrator gets a socket of its own. */
export class PlainExchange implements Exchange {
  readonly #options: ExchangeOptions;
  #executor: { readonly leg: Leg; readonly lane: Lane } | undefined;
  #pair: Pair | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  get online(): boolean {
    return this.#executor !== undefined;
  }

  get streams(): number {
    return this.#pair === undefined ? 0 : 1;
  }

  get orchestrators(): number {
    return this.streams;
  }

  busy(): string | undefined {
    return this.#pair === undefined
      ? undefined
      : 'The executor serves one orchestrator at a time, and another one is connected.';
  }

  executorArrived(leg: Leg): void {
    const former = this.#executor;
    this.#executor = { leg, lane: this.#lane(leg, () => this.#pair?.leg.resume(this)) };
    former?.leg.close({ kind: 'displaced', message: 'another socket of this executor has taken its place' });
    this.#endPair(executorGone('another socket of the executor has taken its place'));
    leg.attach({
      onBinary: (data) => this.#fromExecutor(leg, data),
      onText: (data) => this.#fromExecutor(leg, data),
      onClose: () => this.#executorLost(leg),
    });
    this.#options.onChange();
  }

  orchestratorArrived(leg: Leg): void {
    const lane = this.#lane(leg, () => this.#executor?.leg.resume(this));
    const pair: Pair = { leg, lane, framing: undefined };
    this.#pair = pair;
    leg.attach({
      onBinary: (frame) => this.#frameOf(pair, frame),
      onText: (text) => this.#textOf(pair, text),
      onClose: ({ message }) => this.#orchestratorLost(pair, message),
    });
  }

  close(reason: CloseReason): void {
    this.finish(reason, 0);
  }

  finish(reason: CloseReason, waitMs: number): void {
    const legs = [this.#executor?.leg, this.#pair?.leg];
    this.#executor = undefined;
    this.#pair = undefined;
    for (const leg of legs) {
      if (waitMs > 0) leg?.finish(reason, waitMs);
      else leg?.close(reason);
    }
  }

  #textOf(pair: Pair, text: Buffer): void {
    pair.framing ??= 'plain';
    if (pair.framing === 'plain') this.#toExecutorFrom(pair, text);
  }

  #frameOf(pair: Pair, frame: Buffer): void {
    // Plain peers may send their text as binary messages, and no text begins like a frame.
    if (pair.framing === 'plain') return this.#toExecutorFrom(pair, frame);
    const head = readFrameHead(frame);
    if (head === undefined) return;
    pair.framing ??= { streamId: head.streamId, seq: 0 };
    if (head.streamId !== pair.framing.streamId) return;
    if (head.kind === 'reset') return pair.leg.finish({ kind: 'normal', message: 'the stream was reset' });
    const payload = wholePayload(head);
    if (payload !== undefined) this.#toExecutorFrom(pair, payload);
  }

  #toExecutorFrom(pair: Pair, text: Buffer): void {
    if (pair !== this.#pair || this.#executor === undefined) return;
    const { lane } = this.#executor;
    if (!lane.push(text, false)) return this.#overflow('executor');
    if (lane.bytes > this.#options.limits.streamPauseBytes) pair.leg.pause(this);
  }

  #fromExecutor(leg: Leg, text: Buffer): void {
    const pair = this.#pair;
    if (leg !== this.#executor?.leg || pair === undefined || text.length === 0) return;
    const { framing, lane } = pair;
    const isTaken =
      typeof framing === 'object'
        ? lane.push(dataFrame(framing.streamId, framing.seq++, text), true)
        : lane.push(text, false);
    if (!isTaken) return this.#overflow('orchestrator');
    if (lane.bytes > this.#options.limits.streamPauseBytes) leg.pause(this);
  }

  /** A lane of a leg that lets the other side be read again when there is room. */
  #lane(leg: Leg, resume: () => void): Lane {
    const { limits, budget } = this.#options;
    const lane: Lane = new Lane(limits.legQueueBytes, budget, () => {
      if (lane.bytes <= limits.streamPauseBytes / 2) resume();
    });
    lane.moveTo(leg);
    return lane;
  }

  /** Only when its tenant has too much waiting: otherwise the faster side is not read. */
  #overflow(side: string): void {
    this.#endPair({ kind: 'lost', message: `too much waits for the ${side}` });
    this.#release(orchestratorGone('its connection was closed'));
  }

  #executorLost(leg: Leg): void {
    if (leg !== this.#executor?.leg) return;
    this.#executor.lane.clear();
    this.#executor = undefined;
    this.#endPair(executorGone('its connection to the rendezvous is lost'));
    this.#options.onChange();
  }

  #orchestratorLost(pair: Pair, why: string): void {
    pair.lane.clear();
    if (pair !== this.#pair) return;
    this.#pair = undefined;
    this.#release(orchestratorGone(why));
  }

  /** The executor's session ends with its orchestrator; it comes back with a new socket. */
  #release(reason: CloseReason): void {
    const executor = this.#executor;
    if (executor === undefined) return;
    this.#executor = undefined;
    executor.leg.resume(this);
    executor.leg.finish(reason);
    this.#options.onChange();
  }

  #endPair(reason: CloseReason): void {
    const pair = this.#pair;
    if (pair === undefined) return;
    this.#pair = undefined;
    if (typeof pair.framing === 'object') {
      pair.lane.push(resetFrame(pair.framing.streamId, reason), true);
    }
    pair.leg.resume(this);
    pair.leg.finish(reason);
  }
}
