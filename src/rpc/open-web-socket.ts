import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { type TcpProgress, keepAlive } from './keep-alive.ts';
import { type CloseReason, closeCodes, closeKind } from './transport.ts';

/** Bytes of the reason in a Close frame (RFC 6455 section 5.5). */
const reasonBytes = 123;

export interface OpenWebSocketEvents {
  onMessage(data: Buffer, isBinary: boolean): void;
  /** `unsentBytes` has gone down. */
  onDrain(): void;
  /** Called exactly once, also after `close`. */
  onClose(reason: CloseReason): void;
}

/** An open WebSocket and the socket below it, whatever its messages are. */
export class OpenWebSocket {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  #corked = false;
  #stopPings = (): void => {};
  #closeReason: CloseReason | undefined;

  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    socket.setNoDelay(true);
    // Until listen, so that no first message is missed.
    webSocket.pause();
    webSocket.on('error', () => {});
    webSocket.once('close', () => this.#stopPings());
  }

  /** Whether what is sent goes out. */
  get isOpen(): boolean {
    return this.#webSocket.readyState === this.#webSocket.OPEN;
  }

  /** Why it has closed, or is about to. */
  get closeReason(): CloseReason | undefined {
    return this.#closeReason;
  }

  /** Bytes sent and not yet taken by the operating system. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Bytes that have come so far: a sign of life where it changes. */
  get receivedBytes(): number {
    return this.#socket.bytesRead;
  }

  /** Called once; what arrives before is kept. */
  listen(events: OpenWebSocketEvents): void {
    this.#webSocket.on('message', (data: Buffer, isBinary) => events.onMessage(data, isBinary));
    this.#socket.on('drain', () => events.onDrain());
    this.#webSocket.once('close', (code, reason) => {
      const message =
        reason.toString() || (code === 1006 ? 'the socket closed without a Close frame' : `code ${code}`);
      this.#closeReason ??= { kind: closeKind(code), message };
      events.onClose(this.#closeReason);
    });
    this.#webSocket.resume();
  }

  /**
   * The first message of a turn of the event loop leaves at once, the others of that turn in one write behind it. After the close it is
   * dropped. `sent`: called when the system has the bytes.
   */
  write(data: string | Uint8Array, binary: boolean, sent?: () => void): void {
    if (!this.isOpen) return;
    this.#webSocket.send(data, { binary }, sent);
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
    this.#stopPings();
    if (this.#closeReason !== undefined) return;
    const silent = (milliseconds: number): void =>
      this.close({ kind: 'lost', message: `no sign of life for ${milliseconds} ms` });
    this.#stopPings = keepAlive(this.#socket, () => this.ping(), intervalMs, silent, progress);
  }

  /** Until `keepAlive` is called again. */
  stopKeepAlive(): void {
    this.#stopPings();
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  ping(): void {
    if (this.isOpen) this.#webSocket.ping();
  }

  /** Says why, waits a while for the answer, and ends the connection. A `lost` one is not waited for. */
  close(reason: CloseReason): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    this.#stopPings();
    const webSocket = this.#webSocket;
    const text = Buffer.from(reason.message).subarray(0, reasonBytes);
    if (reason.kind === 'lost') {
      // In case that somebody hears it; nobody is waited for.
      webSocket.close(closeCodes.goingAway, text);
      return webSocket.terminate();
    }
    // A paused socket would never see the answer to the Close frame.
    webSocket.resume();
    webSocket.close(closeCodes[reason.kind], text);
    const timer = setTimeout(() => webSocket.terminate(), limits.closeTimeoutMs);
    webSocket.once('close', () => clearTimeout(timer));
  }
}
