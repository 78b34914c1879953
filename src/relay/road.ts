import { limits } from '../protocol/limits.ts';
import type { FrameSocket } from './frame-socket.ts';

/** Something that sends frames when it is its turn. */
export interface Sender {
  /** The next frame; undefined if there is none for now. */
  next(): Uint8Array | undefined;
}

/** One socket, and the streams that send over it: a frame each in turn, and no more than the socket takes. */
export class Road {
  readonly socket: FrameSocket;
  readonly #waiting = new Set<Sender>();
  #running = false;

  constructor(socket: FrameSocket) {
    this.socket = socket;
  }

  /** What was sent is still here. */
  get isBusy(): boolean {
    return this.socket.unsentBytes >= limits.relaySocketBytes;
  }

  ready(sender: Sender): void {
    this.#waiting.add(sender);
    this.drained();
  }

  leave(sender: Sender): void {
    this.#waiting.delete(sender);
  }

  /** At once: acknowledgements and the like are small, and late ones cost more than they take. */
  send(frame: Uint8Array): void {
    this.socket.send(frame);
  }

  drained(): void {
    if (this.#running) return;
    this.#running = true;
    while (!this.isBusy) {
      const [sender] = this.#waiting;
      if (sender === undefined) break;
      this.#waiting.delete(sender);
      const frame = sender.next();
      if (frame === undefined) continue;
      this.socket.send(frame);
      this.#waiting.add(sender);
    }
    this.#running = false;
  }
}
