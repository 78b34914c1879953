import { isAscii, isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { limitOption } from '../protocol/limit-settings.ts';
import { giveBack } from '../support/give-back.ts';
import { type TcpProgress, keepAlive } from './keep-alive.ts';
import {
  type CloseReason,
  type Transport,
  type TransportEvents,
  closeCodes,
  closeKind,
} from './transport.ts';

/** Bytes of the reason in a Close frame (RFC 6455 section 5.5). */
const reasonBytes = 123;

const ownReasons: Readonly<Record<number, string>> = {
  [closeCodes.protocolError]: 'a frame was malformed',
  [closeCodes.notText]: 'a text frame was not UTF-8',
  [closeCodes.tooBig]: `a message was too long ${limitOption('messageBytes')}`,
};

/** Gives a reason to the Close frames that the library sends by itself. */
export class ReasonedWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? (code === undefined ? undefined : ownReasons[code]));
  }
}

/** One message a frame, over an open WebSocket and the socket below it. */
export class WebSocketTransport implements Transport {
  readonly kind = 'websocket';
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  #corked = false;
  #closeReason: CloseReason | undefined;

  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    socket.setNoDelay(true);
    // Until attach, so that no first message is missed.
    webSocket.pause();
    webSocket.on('error', () => {});
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get receivedBytes(): number {
    return this.#socket.bytesRead;
  }

  attach(events: TransportEvents): void {
    this.#webSocket.on('message', (data: Buffer, isBinary) => {
      if (isBinary && !isUtf8(data)) events.onGarbage('is not UTF-8');
      // Base64 makes most long messages ASCII, which is quicker to take as Latin-1.
      else {
        const text = data.toString(isAscii(data) ? 'latin1' : 'utf8');
        giveBack(data);
        events.onMessage(text);
      }
    });
    this.#socket.on('drain', () => events.onDrain());
    this.#webSocket.once('close', (code, reason) => {
      const message =
        reason.toString() || (code === 1006 ? 'the socket closed without a Close frame' : `code ${code}`);
      events.onClose(this.#closeReason ?? { kind: closeKind(code), message });
    });
    this.#webSocket.resume();
  }

  /** The first frame of a turn of the event loop leaves at once, the others of that turn in one write behind it. */
  send(message: string | Buffer): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    // The library calls back when the system has the bytes.
    const sent = typeof message === 'string' ? undefined : (): void => giveBack(message);
    this.#webSocket.send(message, { binary: false }, sent);
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  /** Pings the other side, and gives the connection up when it is gone. `progress`: asks the kernel what it has taken. */
  keepAlive(intervalMs: number, progress?: (fd: number) => TcpProgress | undefined): void {
    const silent = (milliseconds: number): void =>
      this.close({ kind: 'lost', message: `no sign of life for ${milliseconds} ms` });
    const stop = keepAlive(this.#socket, () => this.#webSocket.ping(), intervalMs, silent, progress);
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

/** Says why, waits a while for the answer, and ends the connection. */
export function closeWebSocket(webSocket: WebSocket, reason: CloseReason): void {
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
