import { createHash, randomUUID } from 'node:crypto';
import { RpcError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Event, Result } from '../protocol/methods.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { toError } from '../support/to-error.ts';
import type { Call, CallOptions } from './call.ts';

/** Writes under way at a time: enough to hide the delay of a long road. */
const writesAhead = 32;
/** Milliseconds for the end of a stream, which may sync or set the times of a large tree. */
const finishTimeoutMs = 10 * 60_000;

export type StreamEvent =
  | ({ readonly kind: 'data' } & Event<'stream/data'>)
  | ({ readonly kind: 'end' } & Event<'stream/end'>)
  | ({ readonly kind: 'error' } & Event<'stream/error'>);

/** The streams of one connection, by their ids. */
export class ByteStreams {
  readonly #call: Call;
  readonly #incoming = new Map<string, IncomingBytes>();
  readonly #writers = new Set<StreamWriter>();

  constructor(call: Call) {
    this.#call = call;
  }

  /** Takes an event from the connection. */
  receive(event: StreamEvent): void {
    this.#incoming.get(event.streamId)?.receive(event);
  }

  /** No further event will come. */
  fail(error: Error): void {
    for (const stream of this.#incoming.values()) stream.fail(error);
    this.#incoming.clear();
    for (const writer of this.#writers) writer.fail(error);
    this.#writers.clear();
  }

  /** Opens a stream from the executor. Its bytes come as they are read; when they end, length and digest have been compared. */
  async open<T>(
    opener: (streamId: string, creditBytes: number) => Promise<T>,
  ): Promise<{ opened: T; bytes: IncomingBytes }> {
    const streamId = randomUUID();
    const bytes = new IncomingBytes(streamId, this.#call, () => void this.#incoming.delete(streamId));
    // Before the request: the first bytes may come with its answer.
    this.#incoming.set(streamId, bytes);
    try {
      return { opened: await opener(streamId, limits.streamDefaultCreditBytes), bytes };
    } catch (error) {
      this.#incoming.delete(streamId);
      throw error;
    }
  }

  /** Sends everything to a stream of the executor that is opened by `opener`, and ends it with its digest. */
  async send(
    opener: (streamId: string) => Promise<unknown>,
    source: AsyncIterable<Uint8Array>,
    onProgress: (bytes: number) => void = () => {},
  ): Promise<Result<'stream/finish'>> {
    const writer = await this.openWriter(opener);
    try {
      for await (const bytes of source) {
        await writer.write(bytes);
        onProgress(writer.sent);
      }
      return await writer.finish();
    } catch (error) {
      await writer.cancel();
      throw error;
    }
  }

  /** `writeTimeoutMs`: how long one write may wait; as long as any call if absent. */
  async openWriter(
    opener: (streamId: string) => Promise<unknown>,
    writeTimeoutMs?: number,
  ): Promise<StreamWriter> {
    const streamId = randomUUID();
    const writer: StreamWriter = new StreamWriter(
      this.#call,
      streamId,
      () => void this.#writers.delete(writer),
      writeTimeoutMs,
    );
    // Before the request, so that it is never a writer of a connection that is gone.
    this.#writers.add(writer);
    try {
      await opener(streamId);
      return writer;
    } catch (error) {
      this.#writers.delete(writer);
      throw error;
    }
  }
}

/** Bytes from the executor. Iterated once; credit is given back as they are taken. */
export class IncomingBytes implements AsyncIterable<Uint8Array> {
  readonly #streamId: string;
  readonly #call: Call;
  readonly #onEnd: () => void;
  readonly #hash = createHash('sha256');
  readonly #queue: Uint8Array[] = [];
  #received = 0;
  #consumed = 0;
  #end: Event<'stream/end'> | undefined;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #ended = Promise.withResolvers<void>();

  constructor(streamId: string, call: Call, onEnd: () => void) {
    this.#streamId = streamId;
    this.#call = call;
    this.#onEnd = onEnd;
  }

  /** What the executor said at the end; undefined before. */
  get end(): Event<'stream/end'> | undefined {
    return this.#end;
  }

  /** Resolves when nobody takes anything any more. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  receive(event: StreamEvent): void {
    if (event.kind === 'error') this.fail(new RpcError(event.code, event.message));
    else if (event.kind === 'end') this.#finish(event);
    else if (event.offset !== this.#received) this.fail(broken('bytes of the stream are missing'));
    else {
      this.#received += event.chunk.length;
      this.#hash.update(event.chunk);
      this.#queue.push(event.chunk);
    }
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for await (const parts of this.batches()) yield* parts;
  }

  /** The same in lists of what has come meanwhile, of some parts at most. */
  async *batches(): AsyncGenerator<Uint8Array[], void> {
    try {
      for (;;) {
        const parts = this.#queue.splice(0, limits.streamDiskBytes / limits.streamChunkBytes);
        if (parts.length > 0) {
          const bytes = byteLength(parts);
          yield parts;
          this.#giveBack(bytes);
        } else if (this.#failure !== undefined) {
          throw this.#failure;
        } else if (this.#end !== undefined) {
          return;
        } else {
          await new Promise<void>((resolve) => void (this.#wake = resolve));
        }
      }
    } finally {
      this.cancel();
    }
  }

  /** Nobody takes what is left. */
  cancel(): void {
    this.#onEnd();
    this.#ended.resolve();
    if (this.#end === undefined) this.#call('stream/cancel', { streamId: this.#streamId }).catch(() => {});
  }

  #finish(end: Event<'stream/end'>): void {
    const digest = this.#hash.digest('hex');
    if (end.bytes === this.#received && end.sha256 === digest) this.#end = end;
    else this.fail(broken('what arrived is not what was sent'));
  }

  #giveBack(bytes: number): void {
    this.#consumed += bytes;
    if (this.#end !== undefined || this.#consumed < limits.streamDefaultCreditBytes / 4) return;
    this.#call('stream/credit', { streamId: this.#streamId, bytes: this.#consumed }).catch(() => {});
    this.#consumed = 0;
  }
}

/** Bytes to the executor: several writes under way, in order. */
export class StreamWriter {
  readonly #call: Call;
  readonly #streamId: string;
  readonly #onEnd: () => void;
  readonly #options: CallOptions;
  readonly #hash = createHash('sha256');
  readonly #ahead = new Set<Promise<void>>();
  #sent = 0;
  #failure: Error | undefined;
  #isGone = false;

  constructor(call: Call, streamId: string, onEnd: () => void, writeTimeoutMs: number | undefined) {
    this.#call = call;
    this.#streamId = streamId;
    this.#onEnd = onEnd;
    this.#options = writeTimeoutMs === undefined ? {} : { timeoutMs: writeTimeoutMs };
  }

  get sent(): number {
    return this.#sent;
  }

  /** Resolves when there is room for more. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += limits.streamChunkBytes) {
      while (this.#ahead.size >= writesAhead) await Promise.race(this.#ahead);
      this.#check();
      this.#send(bytes.subarray(start, start + limits.streamChunkBytes));
    }
  }

  async finish(): Promise<Result<'stream/finish'>> {
    await Promise.all(this.#ahead);
    this.#check();
    const params = { streamId: this.#streamId, bytes: this.#sent, sha256: this.#hash.digest('hex') };
    try {
      return await this.#call('stream/finish', params, { timeoutMs: finishTimeoutMs });
    } finally {
      this.#onEnd();
    }
  }

  /** The connection of the stream is gone. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#isGone = true;
  }

  async cancel(): Promise<void> {
    this.#onEnd();
    if (this.#isGone) return;
    await this.#call('stream/cancel', { streamId: this.#streamId }).catch(() => {});
  }

  #check(): void {
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  #send(part: Uint8Array): void {
    this.#hash.update(part);
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.length).toString('base64');
    const params = { streamId: this.#streamId, offset: this.#sent, chunk };
    const write: Promise<void> = this.#call('stream/write', params, this.#options)
      .then(
        () => {},
        (error: unknown) => void (this.#failure ??= toError(error)),
      )
      .finally(() => this.#ahead.delete(write));
    this.#ahead.add(write);
    this.#sent += part.length;
  }
}

export function byteLength(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function broken(what: string): ConnectionError {
  return new ConnectionError('protocol', `The transfer is broken: ${what}.`);
}
