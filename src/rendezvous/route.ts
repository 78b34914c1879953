import type { CloseReason } from '../rpc/transport.ts';
import type { ExchangeOptions } from './exchange.ts';
import { type FrameHead, wholePayload } from './frame-head.ts';
import { dataFrame, resetFrame } from './frames.ts';
import { Lane } from './lane.ts';
import type { Leg } from './leg.ts';

/** The socket of an orchestrator. */
export interface Orchestrator {
  readonly leg: Leg;
  readonly subject: string;
  readonly routes: Set<Route>;
  /** Told by its first message; a plain one speaks without frames. */
  framing: 'unknown' | 'relay' | 'plain';
}

/** One stream of a relay executor: whose it is, and what waits in both directions. */
export class Route {
  readonly id: string;
  readonly toExecutor: Lane;
  readonly toOrchestrator: Lane;
  /** Undefined while only the executor knows the stream: after a new start of this service. */
  subject: string | undefined;
  orchestrator: Orchestrator | undefined;
  executorIsReliable = false;
  orchestratorIsReliable = false;
  grace: NodeJS.Timeout | undefined;
  #seq = 0;

  constructor(id: string, subject: string | undefined, { limits, budget }: ExchangeOptions) {
    this.id = id;
    this.subject = subject;
    this.toOrchestrator = new Lane(limits.streamQueueBytes, budget);
    this.toExecutor = new Lane(limits.streamQueueBytes, budget, () => {
      if (this.toExecutor.bytes <= limits.streamPauseBytes / 2) this.orchestrator?.leg.resume(this);
    });
  }

  /** Whether both sides send again what was lost. Only then the stream outlives a socket. */
  get isReliable(): boolean {
    return this.executorIsReliable && this.orchestratorIsReliable;
  }

  join(orchestrator: Orchestrator): void {
    this.leave();
    this.orchestrator = orchestrator;
    orchestrator.routes.add(this);
    this.toOrchestrator.moveTo(orchestrator.leg);
  }

  leave(): void {
    clearTimeout(this.grace);
    this.orchestrator?.routes.delete(this);
    this.orchestrator?.leg.resume(this);
    this.orchestrator = undefined;
    this.toOrchestrator.moveTo(undefined);
  }

  /** A frame of the executor. False where there is no room for it. */
  deliver(head: FrameHead, frame: Buffer): boolean {
    if (this.orchestrator?.framing !== 'plain') return this.toOrchestrator.push(frame, true);
    const payload = wholePayload(head);
    return payload === undefined || this.toOrchestrator.push(payload, false);
  }

  /** A message of a plain orchestrator. An empty one is none. */
  wrap(text: Buffer): boolean {
    if (text.length === 0) return true;
    const frame = dataFrame(this.id, this.#seq, text);
    this.#seq = (this.#seq + 1) % 2 ** 32;
    return this.toExecutor.push(frame, true);
  }

  /** Tells the executor that the stream has ended. What else waits for it is of no use any more. */
  tellExecutor(reason: CloseReason): void {
    this.toExecutor.replaceAll(resetFrame(this.id, reason), true);
  }

  /** The same to the orchestrator, behind what it has still to get unless that is too much. */
  tellOrchestrator(reason: CloseReason): void {
    const { orchestrator } = this;
    if (orchestrator?.framing === 'plain') return orchestrator.leg.finish(reason);
    const frame = resetFrame(this.id, reason);
    if (!this.toOrchestrator.push(frame, true)) this.toOrchestrator.replaceAll(frame, true);
  }
}
