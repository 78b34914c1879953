import type { OutputStream } from '../protocol/process.ts';

export interface OutputChunk {
  readonly stream: OutputStream;
  readonly bytes: Uint8Array;
}

/**
 * One stream of a process, from its beginning: bytes as they were written. Each iteration reads on its own. Ends when the process has
 * closed; throws an OutputLostError where output is missing, and a ConnectionError where no more can come.
 */
export class OutputView implements AsyncIterable<Uint8Array> {
  readonly #chunks: () => AsyncIterable<OutputChunk>;
  readonly #stream: OutputStream;

  constructor(chunks: () => AsyncIterable<OutputChunk>, stream: OutputStream) {
    this.#chunks = chunks;
    this.#stream = stream;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of this.#chunks()) if (chunk.stream === this.#stream) yield chunk.bytes;
  }

  /** The stream as text. A character that is split over chunks comes whole; bytes that are no UTF-8 become U+FFFD. */
  async *text(): AsyncGenerator<string, void> {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    for await (const bytes of this) {
      const text = decoder.decode(bytes, { stream: true });
      if (text !== '') yield text;
    }
    const rest = decoder.decode();
    if (rest !== '') yield rest;
  }

  /** Everything until the process has closed, in memory. */
  async collect(): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const bytes of this) parts.push(bytes);
    return Buffer.concat(parts);
  }
}
