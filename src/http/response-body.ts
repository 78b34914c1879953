import type { HttpField } from '../protocol/http-field.ts';
import { limits } from '../protocol/limits.ts';

/** What a body does with its origin. */
export interface Origin {
  /** Stops reading from it. */
  pause(): void;
  resume(): void;
  /** Nobody takes what is left. */
  abandon(): void;
}

/** The body of an answer: it is read from its origin no faster than it is taken. Taken once. */
export class ResponseBody implements AsyncIterable<Buffer> {
  readonly #origin: Origin;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #end: { readonly failure: Error | undefined; readonly trailers: readonly HttpField[] } | undefined;
  #wake: (() => void) | undefined;
  readonly #abandoned = Promise.withResolvers<void>();

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** What came behind the body; known when it has been taken. */
  get trailers(): readonly HttpField[] {
    return this.#end?.trailers ?? [];
  }

  /** Resolves when nobody takes anything any more: at the end, too. */
  get abandoned(): Promise<void> {
    return this.#abandoned.promise;
  }

  /** For a body that is not taken; one that is has abandoned itself at its end. */
  abandon(): void {
    this.#abandoned.resolve();
    this.#origin.abandon();
  }

  /** Bytes from the origin. */
  push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= limits.httpBodyAheadBytes) this.#origin.pause();
    this.#wake?.();
  }

  /** The origin has no more. What waits is still taken. */
  finish(trailers: readonly HttpField[]): void {
    this.#end ??= { failure: undefined, trailers };
    this.#wake?.();
  }

  fail(failure: Error): void {
    this.#end ??= { failure, trailers: [] };
    this.#wake?.();
  }

  /** Everything that is there, in one block. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    try {
      for (;;) {
        if (this.#waiting.length > 0) {
          const block = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting);
          this.#waiting = [];
          this.#waitingBytes = 0;
          this.#origin.resume();
          if (block !== undefined) yield block;
        } else if (this.#end !== undefined) {
          if (this.#end.failure !== undefined) throw this.#end.failure;
          return;
        } else {
          await new Promise<void>((resolve) => void (this.#wake = resolve));
        }
      }
    } finally {
      this.abandon();
    }
  }
}
