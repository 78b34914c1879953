import { randomUUID } from 'node:crypto';
import { resetReason } from '../relay/close-text.ts';
import type { CloseReason } from '../rpc/transport.ts';
import { type Exchange, type ExchangeOptions, executorGone, orchestratorGone } from './exchange.ts';
import { type FrameHead, readFrameHead, resetText } from './frame-head.ts';
import { resumeFrame } from './frames.ts';
import type { Leg } from './leg.ts';
import { type Orchestrator, Route } from './route.ts';

const seconds = (milliseconds: number): string => `${milliseconds / 1000} s`;

/** An executor that speaks relay frames: many streams of many orchestrators on one socket, told apart by their ids. */
export class RelayExchange implements Exchange {
  readonly #options: ExchangeOptions;
  readonly #routes = new Map<string, Route>();
  readonly #orchestrators = new Set<Orchestrator>();
  /** Ids of streams that have ended lately, oldest first. */
  readonly #ended = new Set<string>();
  #executor: Leg | undefined;
  #grace: NodeJS.Timeout | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  get online(): boolean {
    return this.#executor !== undefined;
  }

  get streams(): number {
    return this.#routes.size;
  }

  get orchestrators(): number {
    return this.#orchestrators.size;
  }

  busy(): string | undefined {
    const { environmentOrchestrators } = this.#options.limits;
    if (this.#orchestrators.size < environmentOrchestrators) return undefined;
    return `${environmentOrchestrators} orchestrators are connected to the environment (--limit environmentOrchestrators=N changes that).`;
  }

  executorArrived(leg: Leg): void {
    const former = this.#executor;
    this.#executor = leg;
    clearTimeout(this.#grace);
    if (former !== undefined) {
      this.#endPlainStreams('another socket of the executor has taken its place');
      former.close({ kind: 'displaced', message: 'another socket of this executor has taken its place' });
    }
    for (const route of this.#routes.values()) route.toExecutor.moveTo(leg);
    leg.attach({
      onBinary: (frame) => this.#fromExecutor(leg, frame),
      // A relay executor has nothing to say outside of frames.
      onText: () => {},
      onClose: () => this.#executorLost(leg),
    });
    this.#options.onChange();
  }

  orchestratorArrived(leg: Leg, subject: string): void {
    const orchestrator: Orchestrator = { leg, subject, routes: new Set(), framing: 'unknown' };
    this.#orchestrators.add(orchestrator);
    const idle = this.#watchIdle(orchestrator);
    leg.attach({
      onBinary: (frame) => this.#frameOf(orchestrator, frame),
      onText: (text) => this.#textOf(orchestrator, text),
      onClose: (reason) => {
        clearInterval(idle);
        this.#orchestratorLost(orchestrator, reason);
      },
    });
  }

  close(reason: CloseReason): void {
    this.finish(reason, 0);
  }

  finish(reason: CloseReason, waitMs: number): void {
    clearTimeout(this.#grace);
    const executor = this.#executor;
    this.#executor = undefined;
    for (const route of this.#routes.values()) clearTimeout(route.grace);
    this.#routes.clear();
    for (const leg of [executor, ...[...this.#orchestrators].map((orchestrator) => orchestrator.leg)]) {
      if (waitMs > 0) leg?.finish(reason, waitMs);
      else leg?.close(reason);
    }
  }

  /** A socket without streams is of no use, and holds a place. */
  #watchIdle(orchestrator: Orchestrator): NodeJS.Timeout {
    let wasIdle = false;
    const look = (): void => {
      const isIdle = orchestrator.routes.size === 0;
      if (isIdle && wasIdle) orchestrator.leg.finish({ kind: 'normal', message: 'no stream is open' });
      wasIdle = isIdle;
    };
    return setInterval(look, this.#options.limits.idleOrchestratorMs / 2).unref();
  }

  #frameOf(orchestrator: Orchestrator, frame: Buffer): void {
    if (orchestrator.framing === 'plain') return mixed(orchestrator.leg);
    orchestrator.framing = 'relay';
    const head = readFrameHead(frame);
    if (head === undefined) return;
    const route = this.#routeFor(orchestrator, head);
    if (route === undefined) return;
    route.orchestratorIsReliable ||= head.isReliable;
    this.#push(route, () => route.toExecutor.push(frame, true));
    if (head.kind === 'reset') this.#forget(route);
  }

  /** A client that knows no frames gets a stream of its own, with messages as payloads. */
  #textOf(orchestrator: Orchestrator, text: Buffer): void {
    if (orchestrator.framing === 'relay') return mixed(orchestrator.leg);
    if (orchestrator.framing === 'unknown') {
      orchestrator.framing = 'plain';
      const route = this.#open(randomUUID(), orchestrator);
      if (typeof route === 'string')
        return orchestrator.leg.finish({ kind: 'policyViolation', message: route });
      route.toExecutor.push(resumeFrame(route.id), true);
    }
    const [route] = orchestrator.routes;
    if (route !== undefined) this.#push(route, () => route.wrap(text));
  }

  /** The stream that a frame of an orchestrator is for; undefined where it has none of that id. Nobody is told that somebody else has. */
  #routeFor(orchestrator: Orchestrator, { streamId, kind }: FrameHead): Route | undefined {
    const known = this.#routes.get(streamId);
    const opens = kind === 'resume' || kind === 'data' || kind === 'handshake';
    if (known === undefined) {
      if (!opens || (kind !== 'resume' && this.#ended.has(streamId))) return undefined;
      const opened = this.#open(streamId, orchestrator);
      if (typeof opened !== 'string') return opened;
      const refusal = new Route(streamId, orchestrator.subject, this.#options);
      refusal.join(orchestrator);
      refusal.tellOrchestrator({ kind: 'policyViolation', message: opened });
      orchestrator.routes.delete(refusal);
      return undefined;
    }
    if (known.subject !== undefined && known.subject !== orchestrator.subject) return undefined;
    if (known.orchestrator === orchestrator) return known;
    // The next socket of an orchestrator takes its streams along by resuming them.
    if (kind !== 'resume' || orchestrator.routes.size >= this.#options.limits.orchestratorStreams)
      return undefined;
    known.subject = orchestrator.subject;
    known.join(orchestrator);
    return known;
  }

  /** Answers a text that says why there is no room. */
  #open(streamId: string, orchestrator: Orchestrator | undefined): Route | string {
    const { limits } = this.#options;
    if (orchestrator !== undefined && orchestrator.routes.size >= limits.orchestratorStreams)
      return `a socket has at most ${limits.orchestratorStreams} streams`;
    if (this.#routes.size >= limits.streams) this.#forgetOrphan();
    if (this.#routes.size >= limits.streams) return `the executor has ${limits.streams} streams`;
    const route = new Route(streamId, orchestrator?.subject, this.#options);
    this.#routes.set(streamId, route);
    this.#ended.delete(streamId);
    if (this.#executor !== undefined) route.toExecutor.moveTo(this.#executor);
    if (orchestrator !== undefined) route.join(orchestrator);
    return route;
  }

  /** A stream that only the executor knows makes room for one that somebody opens. */
  #forgetOrphan(): void {
    const orphan = [...this.#routes.values()].find((route) => route.subject === undefined);
    if (orphan !== undefined) this.#end(orphan, undefined, orchestratorGone('nobody has resumed the stream'));
  }

  /** Towards the executor: an orchestrator that is faster than it is not read for a while. */
  #push(route: Route, push: () => boolean): void {
    const isTaken = push();
    if (route.toExecutor.bytes > this.#options.limits.streamPauseBytes) route.orchestrator?.leg.pause(route);
    if (!isTaken && !route.isReliable) this.#overflow(route, 'executor');
  }

  #fromExecutor(leg: Leg, frame: Buffer): void {
    if (leg !== this.#executor) return;
    const head = readFrameHead(frame);
    if (head === undefined) return;
    const route = this.#routes.get(head.streamId) ?? this.#orphan(head);
    if (route === undefined) return;
    route.executorIsReliable ||= head.isReliable;
    if (head.kind === 'reset' && route.orchestrator?.framing === 'plain') {
      return this.#end(route, resetReason(resetText(head)), undefined);
    }
    // What a reliable sender loses here it sends again.
    if (!route.deliver(head, frame) && !route.isReliable) return this.#overflow(route, 'orchestrator');
    if (head.kind === 'reset') this.#forget(route);
  }

  /** An executor knows streams of which this service has heard nothing: those from before its start, until their orchestrators are back. */
  #orphan({ streamId, kind }: FrameHead): Route | undefined {
    if (kind === 'reset' || this.#ended.has(streamId)) return undefined;
    if (this.#routes.size >= this.#options.limits.streams) return undefined;
    const route = this.#open(streamId, undefined);
    if (typeof route === 'string') return undefined;
    this.#awaitOrchestrator(route);
    return route;
  }

  #overflow(route: Route, side: 'executor' | 'orchestrator'): void {
    const bytes = side === 'executor' ? route.toExecutor.bytes : route.toOrchestrator.bytes;
    const message = `the ${side} has left ${bytes} bytes of the stream unread`;
    // A kind after which a client comes back with its session: what it missed is in the journals.
    this.#end(route, { kind: 'lost', message }, { kind: 'lost', message });
  }

  #executorLost(leg: Leg): void {
    if (leg !== this.#executor) return;
    const { executorGraceMs } = this.#options.limits;
    this.#executor = undefined;
    for (const route of this.#routes.values()) route.toExecutor.moveTo(undefined);
    this.#endPlainStreams('its connection to the rendezvous is lost');
    const gone = executorGone(`the executor has not come back for ${seconds(executorGraceMs)}`);
    this.#grace = setTimeout(() => {
      for (const route of this.#routes.values()) this.#end(route, gone, undefined);
      for (const { leg: orchestrator } of this.#orchestrators) orchestrator.finish(gone);
    }, executorGraceMs);
    this.#options.onChange();
  }

  /** Streams of which one side cannot resume end with the executor's socket. */
  #endPlainStreams(why: string): void {
    for (const route of this.#routes.values()) {
      if (!route.isReliable && route.subject !== undefined) this.#end(route, executorGone(why), undefined);
    }
  }

  #orchestratorLost(orchestrator: Orchestrator, { kind, message }: CloseReason): void {
    this.#orchestrators.delete(orchestrator);
    for (const route of orchestrator.routes) {
      if (route.isReliable && kind !== 'normal') this.#awaitOrchestrator(route);
      else this.#end(route, undefined, orchestratorGone(message));
    }
  }

  #awaitOrchestrator(route: Route): void {
    const { orchestratorGraceMs } = this.#options.limits;
    route.leave();
    route.grace = setTimeout(() => {
      const why = `the orchestrator has not come back for ${seconds(orchestratorGraceMs)}`;
      this.#end(route, undefined, orchestratorGone(why));
    }, orchestratorGraceMs);
  }

  /** Ends a stream with a word to one side or both. */
  #end(route: Route, forOrchestrator: CloseReason | undefined, forExecutor: CloseReason | undefined): void {
    if (forExecutor !== undefined) route.tellExecutor(forExecutor);
    if (forOrchestrator !== undefined) route.tellOrchestrator(forOrchestrator);
    this.#forget(route);
  }

  /** What waits in its lanes still goes out. */
  #forget(route: Route): void {
    clearTimeout(route.grace);
    this.#routes.delete(route.id);
    route.orchestrator?.routes.delete(route);
    route.orchestrator?.leg.resume(route);
    if (route.orchestrator === undefined) route.toOrchestrator.clear();
    if (this.#executor === undefined) route.toExecutor.clear();
    this.#ended.add(route.id);
    if (this.#ended.size > this.#options.limits.endedStreams) {
      const [oldest = ''] = this.#ended;
      this.#ended.delete(oldest);
    }
  }
}

function mixed(leg: Leg): void {
  leg.close({ kind: 'protocolError', message: 'a socket has either relay frames or plain messages' });
}
