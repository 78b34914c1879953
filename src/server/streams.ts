import { fileError } from '../file-system/file-error.ts';
import type { ByteSink } from '../disk/transfer.ts';
import { RpcError, errorCodes, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { WireEvent } from '../protocol/methods.ts';
import type { Peer } from '../rpc/peer.ts';
import { IncomingStream } from './incoming-stream.ts';
import { OutgoingStream, type StreamFacts } from './outgoing-stream.ts';

/** Stands for a stream whose opener is at work. */
class Opening {
  readonly cancel: () => void;

  constructor(cancel: () => void) {
    this.cancel = cancel;
  }
}

interface OutgoingOptions<S> {
  /** What the end says beside bytes and digest. */
  readonly facts?: (source: S) => StreamFacts;
  /** For a source that can wait for others: ends its opening and its reading. */
  readonly cancel?: () => void;
}

/** The open streams of one connection, by the id that the client chose. */
export class Streams {
  readonly #peer: Peer;
  readonly #streams = new Map<string, OutgoingStream | IncomingStream | Opening>();
  #disposed = false;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  has(id: string): boolean {
    return this.#streams.has(id);
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Opens a stream to the client. Answers how to start it, which is to be done behind the answer that announces it. */
  async openOutgoing<S extends { readonly blocks: AsyncIterable<Buffer> }>(
    id: string,
    credit: number,
    open: () => Promise<S>,
    { facts = () => ({}), cancel = () => {} }: OutgoingOptions<S> = {},
  ): Promise<{ readonly source: S; readonly start: () => void }> {
    const { opened: source, cancelled } = await this.#reserve(id, open, cancel);
    const stream = new OutgoingStream(this.#peer, id, source.blocks, credit, () => facts(source), cancel);
    // A cancelled one is run all the same: that is how its source is closed.
    if (cancelled) stream.cancel();
    else this.#streams.set(id, stream);
    return { source, start: () => void this.#run(id, stream) };
  }

  async openIncoming(id: string, open: () => Promise<ByteSink>): Promise<void> {
    const { opened: sink, cancelled } = await this.#reserve(id, open, () => {});
    if (!cancelled) return void this.#streams.set(id, new IncomingStream(sink));
    await sink.dispose();
    throw invalidRequest('The stream was cancelled while it was opened.');
  }

  /** The same for a sink that is there: the stream is open at once. */
  addIncoming(id: string, sink: ByteSink): IncomingStream {
    this.#check(id);
    const stream = new IncomingStream(sink);
    this.#streams.set(id, stream);
    return stream;
  }

  incoming(id: string): IncomingStream {
    const stream = this.#streams.get(id);
    if (stream instanceof IncomingStream) return stream;
    throw new RpcError('notFound', 'There is no open stream to the executor with this id.');
  }

  grant(id: string, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream instanceof OutgoingStream) stream.grant(bytes);
  }

  /** The stream is over: its id is free. */
  forget(id: string, stream: IncomingStream): void {
    if (this.#streams.get(id) === stream) this.#streams.delete(id);
  }

  /** Nobody takes its bytes any more. */
  async end(id: string, stream: IncomingStream): Promise<void> {
    this.forget(id, stream);
    await stream.cancel();
  }

  async cancel(id: string): Promise<void> {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    await stream?.cancel();
  }

  /** The connection takes more. */
  resume(): void {
    for (const stream of this.#streams.values()) if (stream instanceof OutgoingStream) stream.resume();
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.all([...this.#streams.keys()].map((id) => this.cancel(id)));
  }

  /** Holds the id while something is opened for it. `cancelled`: it was given up meanwhile. */
  async #reserve<T>(
    id: string,
    open: () => Promise<T>,
    cancel: () => void,
  ): Promise<{ opened: T; cancelled: boolean }> {
    this.#check(id);
    const opening = new Opening(cancel);
    this.#streams.set(id, opening);
    try {
      const opened = await open();
      return { opened, cancelled: this.#disposed || this.#streams.get(id) !== opening };
    } catch (error) {
      if (this.#streams.get(id) === opening) this.#streams.delete(id);
      throw error;
    }
  }

  #check(id: string): void {
    if (this.#streams.has(id)) throw invalidRequest('A stream with this id is open.');
    if (this.#streams.size >= limits.streams) {
      throw new RpcError('overloaded', `At most ${limits.streams} streams may be open on a connection.`);
    }
  }

  async #run(id: string, stream: OutgoingStream): Promise<void> {
    try {
      await stream.run();
    } catch (error) {
      const shown = fileError(error);
      const code = shown instanceof RpcError ? shown.code : errorCodes.internalError;
      const message = shown instanceof Error ? shown.message : 'The stream failed.';
      const failure: WireEvent<'stream/error'> = { streamId: id, code, message };
      this.#peer.notify('stream/error', failure);
    }
    if (this.#streams.get(id) === stream) this.#streams.delete(id);
  }
}
