import { createHash } from 'node:crypto';
import type { ByteSink } from '../disk/transfer.ts';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { WireResult } from '../protocol/methods.ts';
import { toError } from '../support/to-error.ts';

interface Waiting {
  readonly bytes: Uint8Array;
  readonly taken: PromiseWithResolvers<void>;
}

/** Bytes on their way from the client to a sink, one write after the other. The first failure is the answer to everything after it. */
export class IncomingStream {
  readonly #sink: ByteSink;
  readonly #hash = createHash('sha256');
  readonly #queue: Waiting[] = [];
  #received = 0;
  #waiting = 0;
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  #finishing = false;
  #committed: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Resolves when the sink has the bytes. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#check();
    if (this.#finishing) throw invalidRequest('the stream is being finished');
    if (bytes.length > limits.fileBlockBytes)
      throw this.#fail(invalidRequest(`stream/write takes at most ${limits.fileBlockBytes} bytes`));
    if (offset !== this.#received) {
      throw this.#fail(
        invalidRequest(`the stream is at ${this.#received}, but the write begins at ${offset}`),
      );
    }
    if (this.#waiting + bytes.length > limits.streamWaitingBytes) {
      throw this.#fail(
        new RpcError(
          'overloaded',
          'Too many bytes of the stream wait for the disk; wait for the answers of earlier writes.',
        ),
      );
    }
    this.#received += bytes.length;
    this.#waiting += bytes.length;
    const taken = Promise.withResolvers<void>();
    this.#queue.push({ bytes, taken });
    this.#writing ??= this.#write();
    await taken.promise;
  }

  /** Gives the sink what waits, as much as came during the last write at once. */
  async #write(): Promise<void> {
    for (let batch = this.#batch(); batch.length > 0; batch = this.#batch()) {
      const size = batch.reduce((sum, { bytes }) => sum + bytes.length, 0);
      try {
        this.#check();
        for (const { bytes } of batch) this.#hash.update(bytes);
        await this.#sink.write(batch.map(({ bytes }) => bytes));
        for (const { taken } of batch) taken.resolve();
      } catch (error) {
        const failure = this.#fail(toError(error));
        for (const { taken } of batch) taken.reject(failure);
      }
      this.#waiting -= size;
    }
    this.#writing = undefined;
  }

  #batch(): Waiting[] {
    let bytes = 0;
    const fits = (one: Waiting): boolean => (bytes += one.bytes.length) <= limits.streamDiskBytes;
    const end = this.#queue.findIndex((one) => !fits(one));
    // A write of a whole block is a batch of its own.
    return this.#queue.splice(0, end < 0 ? this.#queue.length : Math.max(1, end));
  }

  /** Commits what has come, if it is what was sent. */
  async finish(bytes: number, sha256: string): Promise<WireResult<'stream/finish'>> {
    if (this.#finishing) throw invalidRequest('the stream is being finished');
    this.#finishing = true;
    await this.#writing;
    try {
      this.#check();
      const digest = this.#hash.digest('hex');
      if (bytes !== this.#received || sha256 !== digest) {
        throw invalidRequest(
          `the stream brought ${this.#received} bytes with sha256 ${digest}; nothing was committed`,
        );
      }
      const commit = this.#sink.commit();
      this.#committed = commit.catch(() => {});
      return { bytes, sha256, ...(await commit) };
    } finally {
      await this.cancel();
    }
  }

  /** What was not committed is given up. */
  async cancel(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure ??= invalidRequest('the stream has ended');
    this.#sink.abort?.();
    await this.#writing;
    await this.#committed;
    await this.#sink.dispose();
  }

  #check(): void {
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  #fail(error: Error): Error {
    this.#failure ??= error;
    return error;
  }
}
