import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { OpenWebSocket } from '../rpc/open-web-socket.ts';
import type { CloseReason } from '../rpc/transport.ts';
import { tcpProgress } from '../support/tcp-progress.ts';
import type { Lane, Outlet } from './lane.ts';
import type { RendezvousLimits } from './limits.ts';

export interface LegEvents {
  onBinary(frame: Buffer): void;
  onText(text: Buffer): void;
  onClose(reason: CloseReason): void;
}

/** One socket of an executor or an orchestrator: its streams take turns, and it is known whether somebody is there. */
export class Leg implements Outlet {
  readonly #socket: OpenWebSocket;
  readonly #limits: RendezvousLimits;
  /** The lanes with something to send, in the order of their turns. */
  readonly #ring = new Set<Lane>();
  /** What keeps it from being read. */
  readonly #pausers = new Set<unknown>();
  #waitingBytes = 0;
  #whenSent: (() => void) | undefined;

  constructor(webSocket: WebSocket, socket: Socket, limits: RendezvousLimits) {
    this.#socket = new OpenWebSocket(webSocket, socket);
    this.#limits = limits;
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  get isFull(): boolean {
    return this.#waitingBytes >= this.#limits.legQueueBytes;
  }

  attach(events: LegEvents): void {
    this.#watch();
    this.#socket.listen({
      onMessage: (data, isBinary) => {
        if (this.#socket.closeReason !== undefined) return;
        if (isBinary) events.onBinary(data);
        else events.onText(data);
      },
      onDrain: () => this.#pump(),
      onClose: (reason) => {
        events.onClose(reason);
        // Streams that go on have taken their lanes along.
        for (const lane of this.#ring) lane.clear();
      },
    });
  }

  /** Not read any more, until everybody who has asked for that has called `resume`. */
  pause(pauser: unknown): void {
    if (this.#pausers.size === 0) {
      this.#socket.pause();
      // Answers to pings are not seen now. Whoever is waited for is watched on another leg.
      this.#socket.stopKeepAlive();
    }
    this.#pausers.add(pauser);
  }

  resume(pauser: unknown): void {
    if (!this.#pausers.delete(pauser) || this.#pausers.size > 0) return;
    this.#socket.resume();
    this.#watch();
  }

  sendNow(data: Buffer, binary: boolean): boolean {
    if (this.#ring.size > 0 || this.#socket.unsentBytes >= this.#limits.legUnsentBytes) return false;
    this.#socket.write(data, binary);
    return true;
  }

  added(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  enter(lane: Lane): void {
    this.#waitingBytes += lane.bytes;
    this.#ring.add(lane);
    this.#pump();
  }

  leave(lane: Lane): void {
    if (!this.#ring.delete(lane)) return;
    this.#waitingBytes -= lane.bytes;
    if (this.#ring.size === 0) this.#sent();
  }

  /** Closes it when everything that waits has been sent, or after a time. */
  finish(reason: CloseReason, waitMs: number = limits.closeTimeoutMs): void {
    if (this.#ring.size === 0 || this.#whenSent !== undefined) return this.close(reason);
    const timer = setTimeout(() => this.close(reason), waitMs);
    this.#whenSent = () => {
      clearTimeout(timer);
      this.close(reason);
    };
  }

  close(reason: CloseReason): void {
    this.#socket.close(reason);
  }

  /** Lanes take turns of `turnBytes`, as long as the socket takes something. */
  #pump(): void {
    while (this.#ring.size > 0 && this.#socket.unsentBytes < this.#limits.legUnsentBytes) {
      if (!this.#socket.isOpen) return;
      const [lane] = this.#ring;
      if (lane === undefined) return;
      this.#ring.delete(lane);
      const before = lane.bytes;
      while (before - lane.bytes < this.#limits.turnBytes) {
        const message = lane.shift();
        if (message === undefined) break;
        this.#socket.write(message.data, message.binary);
      }
      this.#waitingBytes -= before - lane.bytes;
      if (lane.bytes > 0) this.#ring.add(lane);
      lane.left();
    }
    if (this.#ring.size === 0) this.#sent();
  }

  #sent(): void {
    const whenSent = this.#whenSent;
    this.#whenSent = undefined;
    whenSent?.();
  }

  #watch(): void {
    this.#socket.keepAlive(this.#limits.pingMs, tcpProgress);
  }
}
