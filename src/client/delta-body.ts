import { RpcError } from '../protocol/errors.ts';
import type { HttpField } from '../protocol/http-field.ts';
import { limits } from '../protocol/limits.ts';
import type { Event } from '../protocol/methods.ts';
import { ConnectionError } from '../rpc/connection-error.ts';

/** A body that comes as numbered notifications, as executors send it that know no credit. Taken once. */
export class DeltaBody implements AsyncIterable<Uint8Array> {
  readonly #onEnd: () => void;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #receivedBytes = 0;
  #nextSeq = 1;
  #ended = false;
  #failure: Error | undefined;
  #trailers: readonly HttpField[] = [];
  #wake: (() => void) | undefined;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  get trailers(): readonly HttpField[] {
    return this.#trailers;
  }

  receive({ seq, deltaBase64, done, error, bodyBytes, trailers }: Event<'http/request/bodyDelta'>): void {
    if (this.#ended) return;
    if (seq !== this.#nextSeq++) return this.fail(broken('parts of it are missing'));
    if (error != null) return this.fail(new RpcError('internalError', error));
    this.#queue.push(deltaBase64);
    this.#queuedBytes += deltaBase64.length;
    this.#receivedBytes += deltaBase64.length;
    if (this.#queuedBytes > limits.streamCreditBytes)
      return this.fail(broken('it came faster than it was read'));
    if (done && bodyBytes !== undefined && bodyBytes !== this.#receivedBytes) {
      return this.fail(broken('it is shorter or longer than what was sent'));
    }
    this.#trailers = trailers ?? [];
    this.#ended = done;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const bytes = this.#queue.shift();
        if (bytes !== undefined) {
          this.#queuedBytes -= bytes.length;
          if (bytes.length > 0) yield bytes;
        } else if (this.#ended) {
          if (this.#failure !== undefined) throw this.#failure;
          return;
        } else {
          await new Promise<void>((resolve) => void (this.#wake = resolve));
        }
      }
    } finally {
      this.#onEnd();
    }
  }
}

function broken(what: string): ConnectionError {
  return new ConnectionError('protocol', `The body of the answer is broken: ${what}.`);
}
