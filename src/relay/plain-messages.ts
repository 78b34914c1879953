import { limitOption } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import { parseMessage } from '../rpc/json-text.ts';
import type { DataBody } from './frame.ts';

export interface PlainBreach {
  readonly kind: 'tooBig';
  readonly message: string;
}

/** Both directions of a stream whose other side knows no acknowledgements; and what waits until it is known whether it does. */
export class PlainMessages {
  readonly #messageBytes: number;
  readonly #onMessage: (message: Buffer) => void;
  #queue: Buffer[] = [];
  #unsentBytes = 0;
  #seq = 0;
  #inbox: Buffer[] = [];
  #inboxBytes = 0;
  #paused = true;

  /** Nothing is handed on before `resume`. */
  constructor(messageBytes: number, onMessage: (message: Buffer) => void) {
    this.#messageBytes = messageBytes;
    this.#onMessage = onMessage;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get waits(): boolean {
    return this.#queue.length > 0;
  }

  /** `first` go before what waits already; the next data frame gets this number. */
  start(first: readonly Buffer[], seq: number): void {
    for (const message of first) this.#unsentBytes += message.length;
    this.#queue = [...first, ...this.#queue];
    this.#seq = seq;
  }

  push(message: Buffer): void {
    this.#queue.push(message);
    this.#unsentBytes += message.length;
  }

  shift(): Buffer | undefined {
    const message = this.#queue.shift();
    this.#unsentBytes -= message?.length ?? 0;
    return message;
  }

  /** The number of the next data frame, which tells such peers nothing. */
  number(): number {
    const seq = this.#seq;
    this.#seq = (seq + 1) % 2 ** 32;
    return seq;
  }

  /** In the order of arrival. What is no message is dropped without a word, as those peers expect. */
  take(data: DataBody): PlainBreach | undefined {
    if (data.payload.length > this.#messageBytes) return tooLong(this.#messageBytes);
    const message = plainMessage(data);
    if (message === undefined) return undefined;
    if (!this.#paused && this.#inbox.length === 0) {
      this.#onMessage(message);
      return undefined;
    }
    this.#inbox.push(message);
    this.#inboxBytes += message.length;
    const most = limits.relayPlainInboxBytes;
    if (this.#inboxBytes <= most) return undefined;
    return { kind: 'tooBig', message: `more than ${most} bytes wait for a reader that is behind` };
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    while (!this.#paused) {
      const message = this.#inbox.shift();
      if (message === undefined) return;
      this.#inboxBytes -= message.length;
      this.#onMessage(message);
    }
  }
}

/** The message in a plain peer's data frame; undefined where there is none. */
export function plainMessage({ segmentIndex, segmentCount, payload }: DataBody): Buffer | undefined {
  if (segmentIndex !== 0 || segmentCount !== 1) return undefined;
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  return typeof parseMessage(bytes.toString()) === 'string' ? undefined : bytes;
}

/** What is wrong with a message that has more bytes. */
export function tooLong(messageBytes: number): { readonly kind: 'tooBig'; readonly message: string } {
  return {
    kind: 'tooBig',
    message: `a message has more than ${messageBytes} bytes ${limitOption('messageBytes')}`,
  };
}
