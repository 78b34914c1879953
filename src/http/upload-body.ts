import { invalidRequest } from '../protocol/errors.ts';

interface Piece {
  readonly bytes: Uint8Array;
  readonly taken: PromiseWithResolvers<void>;
}

/**
 * The body of a request that comes as a stream: what one side writes the other reads, one piece at a time, so that a server that does
 * not read holds up the client.
 */
export class UploadBody implements AsyncIterable<Uint8Array> {
  #piece: Piece | undefined;
  #wanted = Promise.withResolvers<void>();
  #state: 'open' | 'whole' | 'failed' = 'open';
  #failure: Error = invalidRequest('the request has ended');
  readonly #aborted = Promise.withResolvers<Error>();

  /** Resolves when its sender gives it up. The request may wait for a server that does not read, so it has to be told. */
  get aborted(): Promise<Error> {
    return this.#aborted.promise;
  }

  /** Resolves when the bytes are on their way. Called one at a time. */
  async write(blocks: readonly Uint8Array[]): Promise<void> {
    for (const bytes of blocks) {
      if (this.#state !== 'open') throw this.#failure;
      const piece = { bytes, taken: Promise.withResolvers<void>() };
      this.#piece = piece;
      this.#wanted.resolve();
      await piece.taken.promise;
    }
  }

  /** Everything has come. */
  async commit(): Promise<{ readonly entries?: number }> {
    if (this.#state === 'failed') throw this.#failure;
    this.#state = 'whole';
    this.#wanted.resolve();
    return {};
  }

  /** A body that is not whole is none: its request fails. */
  abort(): void {
    if (this.#state !== 'open') return;
    this.fail(invalidRequest('the body of the request was given up before its end'));
    this.#aborted.resolve(this.#failure);
  }

  async dispose(): Promise<void> {
    this.abort();
  }

  /** Nothing more is taken, or nothing more will come. */
  fail(failure: Error): void {
    if (this.#state === 'failed') return;
    this.#failure = failure;
    this.#state = 'failed';
    this.#piece?.taken.reject(failure);
    this.#wanted.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      await this.#wanted.promise;
      this.#wanted = Promise.withResolvers<void>();
      if (this.#state === 'failed') throw this.#failure;
      const piece = this.#piece;
      if (piece !== undefined) {
        try {
          yield piece.bytes;
          this.#piece = undefined;
          // Asked for more: the socket has taken it.
          piece.taken.resolve();
        } finally {
          piece.taken.reject(this.#failure);
        }
      }
      if (this.#state === 'whole') return;
    }
  }
}
