import type { Transport, TransportEvents } from '../../rpc/transport.ts';

/**
 * Hands on a message only when what the one before has caused is done. An answer goes to the client in a later turn of the microtasks than
 * it came in; without this a notification behind it would overtake it.
 */
export class TurnTransport implements Transport {
  readonly kind = 'stdio';
  readonly #inner: Transport;
  readonly #queue: (() => void)[] = [];
  #busy = false;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  get unsentBytes(): number {
    return this.#inner.unsentBytes;
  }

  get receivedBytes(): number {
    return this.#inner.receivedBytes;
  }

  attach(events: TransportEvents): void {
    this.#inner.attach({
      onMessage: (text) => this.#add(() => events.onMessage(text)),
      onGarbage: (problem) => this.#add(() => events.onGarbage(problem)),
      onDrain: () => events.onDrain(),
      onClose: (reason) => this.#add(() => events.onClose(reason)),
    });
  }

  send(message: string | Buffer): void {
    this.#inner.send(message);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  close(reason: Parameters<Transport['close']>[0]): void {
    this.#inner.close(reason);
  }

  #add(deliver: () => void): void {
    this.#queue.push(deliver);
    if (!this.#busy) this.#next();
  }

  #next(): void {
    const deliver = this.#queue.shift();
    this.#busy = deliver !== undefined;
    if (deliver === undefined) return;
    deliver();
    setImmediate(() => this.#next());
  }
}
