import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { keepAlive } from '../rpc/keep-alive.ts';
import { type CloseReason, closeCodes, closeKind } from '../rpc/transport.ts';
import { tcpProgress } from '../support/tcp-progress.ts';
import type { Lane, Outlet } from './lane.ts';
import type { RendezvousLimits } from './limits.ts';

export interface LegEvents {
  onBinary(frame: Buffer): void;
  onText(text: Buffer): void;
  onClose(reason: CloseReason): void;
}

/** Bytes of the reason in a Close frame (RFC 6455 section 5.5). */
const reasonBytes = 123;

/** One socket of an executor or an orchestrator: its streams take turns, and it is known whether somebody is there. */
export class Leg implements Outlet {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #limits: RendezvousLimits;
  /** The lanes with something to send, in the order of their turns. */
  readonly #ring = new Set<Lane>();
  /** What keeps it from being read. */
  readonly #pausers = new Set<unknown>();
  #waitingBytes = 0;
  #corked = false;
  #stopPings = (): void => {};
  #closeReason: CloseReason | undefined;
  #whenSent: (() => void) | undefined;

  constructor(webSocket: WebSocket, socket: Socket, limits: RendezvousLimits) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#limits = limits;
    socket.setNoDelay(true);
    // Until attach, so that no first message is missed.
    webSocket.pause();
    webSocket.on('error', () => {});
  }

  get isOpen(): boolean {
    return this.#closeReason === undefined && this.#webSocket.readyState === this.#webSocket.OPEN;
  }

  get isFull(): boolean {
    return this.#waitingBytes >= this.#limits.legQueueBytes;
  }

  attach(events: LegEvents): void {
    this.#webSocket.on('message', (data: Buffer, isBinary) => {
      if (this.#closeReason !== undefined) return;
      if (isBinary) events.onBinary(data);
      else events.onText(data);
    });
    this.#socket.on('drain', () => this.#pump());
    this.#webSocket.once('close', (code, reason) => {
      this.#stopPings();
      const message =
        reason.toString() || (code === 1006 ? 'the socket closed without a Close frame' : `code ${code}`);
      this.#closeReason ??= { kind: closeKind(code), message };
      events.onClose(this.#closeReason);
      // Streams that go on have taken their lanes along.
      for (const lane of this.#ring) lane.clear();
    });
    this.#watch();
    this.#webSocket.resume();
  }

  /** Not read any more, until everybody who has asked for that has called `resume`. */
  pause(pauser: unknown): void {
    if (this.#pausers.size === 0) {
      this.#webSocket.pause();
      // Answers to pings are not seen now. Whoever is waited for is watched on another leg.
      this.#stopPings();
    }
    this.#pausers.add(pauser);
  }

  resume(pauser: unknown): void {
    if (!this.#pausers.delete(pauser) || this.#pausers.size > 0) return;
    this.#webSocket.resume();
    this.#watch();
  }

  sendNow(data: Buffer, binary: boolean): boolean {
    if (this.#ring.size > 0 || this.#socket.writableLength >= this.#limits.legUnsentBytes) return false;
    this.#write(data, binary);
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
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    this.#stopPings();
    const code = reason.kind === 'lost' ? closeCodes.goingAway : closeCodes[reason.kind];
    const text = Buffer.from(reason.message).subarray(0, reasonBytes);
    // A paused socket would never see the answer to the Close frame.
    this.#webSocket.resume();
    this.#webSocket.close(code, text);
    if (reason.kind === 'lost') return this.#webSocket.terminate();
    const timer = setTimeout(() => this.#webSocket.terminate(), limits.closeTimeoutMs);
    this.#webSocket.once('close', () => clearTimeout(timer));
  }

  /** Lanes take turns of `turnBytes`, as long as the socket takes something. */
  #pump(): void {
    while (this.#ring.size > 0 && this.#socket.writableLength < this.#limits.legUnsentBytes) {
      if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
      const [lane] = this.#ring;
      if (lane === undefined) return;
      this.#ring.delete(lane);
      const before = lane.bytes;
      while (before - lane.bytes < this.#limits.turnBytes) {
        const message = lane.shift();
        if (message === undefined) break;
        this.#write(message.data, message.binary);
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

  /** The messages of one turn of the event loop leave in one write, but for the first, which leaves at once. */
  #write(data: Buffer, binary: boolean): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#webSocket.send(data, { binary });
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  #watch(): void {
    const silent = (milliseconds: number): void =>
      this.close({ kind: 'lost', message: `no sign of life for ${milliseconds} ms` });
    this.#stopPings();
    if (this.#closeReason !== undefined) return;
    this.#stopPings = keepAlive(
      this.#socket,
      () => this.#webSocket.ping(),
      this.#limits.pingMs,
      silent,
      tcpProgress,
    );
  }
}
