import type { CloseReason, Transport, TransportEvents } from './transport.ts';

/** Two transports that are each other's other side, for a client and an executor in one process. */
export function memoryTransportPair(): [Transport, Transport] {
  const left = new MemoryTransport();
  const right = new MemoryTransport();
  left.connect(right);
  right.connect(left);
  return [left, right];
}

/**
 * A message arrives in a later turn of the event loop, as over a wire: no handler runs inside a `send`, and two sides that keep each other
 * busy do not keep everything else waiting.
 */
class MemoryTransport implements Transport {
  readonly kind = 'memory';
  #other: MemoryTransport | undefined;
  #events: TransportEvents | undefined;
  #inbox: string[] = [];
  #inboxBytes = 0;
  #receivedBytes = 0;
  #paused = false;
  #scheduled = false;
  #closing: CloseReason | undefined;
  #closed = false;

  connect(other: MemoryTransport): void {
    this.#other = other;
  }

  get unsentBytes(): number {
    return this.#other?.inboxBytes ?? 0;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get inboxBytes(): number {
    return this.#inboxBytes;
  }

  attach(events: TransportEvents): void {
    this.#events = events;
    this.#schedule();
  }

  send(message: string | Buffer): void {
    if (this.#closing === undefined) this.#other?.deliver(message.toString());
  }

  deliver(message: string): void {
    this.#inbox.push(message);
    this.#inboxBytes += message.length;
    this.#receivedBytes += message.length;
    this.#schedule();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  close(reason: CloseReason): void {
    // Who closes does not listen any more.
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.hangUp(reason);
    this.#other?.hangUp(reason);
  }

  hangUp(reason: CloseReason): void {
    this.#closing ??= reason;
    this.#schedule();
  }

  drained(): void {
    if (!this.#closed) this.#events?.onDrain();
  }

  #schedule(): void {
    if (this.#scheduled || this.#events === undefined) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const events = this.#events;
    if (events === undefined || this.#closed) return;
    // What was sent before the close still arrives, unless nobody reads.
    while (this.#inbox.length > 0 && !this.#paused) {
      const message = this.#inbox.shift() ?? '';
      this.#inboxBytes = Math.max(0, this.#inboxBytes - message.length);
      events.onMessage(message);
      if (this.#inbox.length === 0) this.#other?.drained();
    }
    if (this.#closing !== undefined && (this.#inbox.length === 0 || this.#paused)) {
      this.#closed = true;
      events.onClose(this.#closing);
    }
  }
}
