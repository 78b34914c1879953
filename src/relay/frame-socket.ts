import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { type TcpProgress, keepAlive } from '../rpc/keep-alive.ts';
import { type CloseReason, closeKind } from '../rpc/transport.ts';
import { closeWebSocket } from '../rpc/websocket-transport.ts';

/** A pipe of relay frames to a rendezvous, or from it to one of its legs: one binary message a frame. Knows no stream. */
export interface FrameSocket {
  /** Bytes sent and not yet taken by the operating system. */
  readonly unsentBytes: number;
  /** Bytes that have come so far: a sign of life where it changes. */
  readonly receivedBytes: number;
  /** Called once; what arrives before is kept. */
  attach(events: FrameSocketEvents): void;
  /** Queues a frame. After the close it is dropped. */
  send(frame: Uint8Array): void;
  pause(): void;
  resume(): void;
  /** A `lost` one is not waited for. */
  close(reason: CloseReason): void;
  ping?(): void;
}

export interface FrameSocketEvents {
  onFrame(frame: Uint8Array): void;
  /** A text message, which is no relay frame. */
  onText(text: Buffer): void;
  /** `unsentBytes` has gone down. */
  onDrain(): void;
  /** Called exactly once. */
  onClose(reason: CloseReason): void;
}

/** Bytes of the longest WebSocket message that carries a frame: a message of a plain peer, or a segment of a reliable one. */
export function longestFrame(messageBytes: number): number {
  return Math.max(messageBytes, limits.relaySegmentBytes) + limits.relayFrameBytes;
}

/** Over an open WebSocket and the socket below it. */
export class WebSocketFrames implements FrameSocket {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  #corked = false;
  #closeReason: CloseReason | undefined;

  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    socket.setNoDelay(true);
    // Until attach, so that no first frame is missed.
    webSocket.pause();
    webSocket.on('error', () => {});
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get receivedBytes(): number {
    return this.#socket.bytesRead;
  }

  attach(events: FrameSocketEvents): void {
    this.#webSocket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) events.onFrame(data);
      else events.onText(data);
    });
    this.#socket.on('drain', () => events.onDrain());
    this.#webSocket.once('close', (code, reason) => {
      const message =
        reason.toString() || (code === 1006 ? 'the socket closed without a Close frame' : `code ${code}`);
      events.onClose(this.#closeReason ?? { kind: closeKind(code), message });
    });
    this.#webSocket.resume();
  }

  /** The frames of one turn of the event loop leave in one write, but for the first, which leaves at once. */
  send(frame: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#webSocket.send(frame, { binary: true });
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  /** Pings the other side, and gives the socket up when it is gone. `progress`: asks the kernel what it has taken. */
  keepAlive(intervalMs: number, progress?: (fd: number) => TcpProgress | undefined): void {
    const silent = (milliseconds: number): void =>
      this.close({ kind: 'lost', message: `no sign of life for ${milliseconds} ms` });
    const stop = keepAlive(this.#socket, () => this.ping(), intervalMs, silent, progress);
    this.#webSocket.once('close', stop);
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  ping(): void {
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.ping();
  }

  close(reason: CloseReason): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    closeWebSocket(this.#webSocket, reason);
  }
}
