import { createHash } from 'node:crypto';
import { limits } from '../protocol/limits.ts';
import type { WireEvent } from '../protocol/methods.ts';
import type { Peer } from '../rpc/peer.ts';

export type StreamFacts = Omit<WireEvent<'stream/end'>, 'streamId' | 'bytes' | 'sha256'>;

/** Bytes on their way to the client: read from their source as fast as credit and the connection allow. */
export class OutgoingStream {
  readonly #peer: Peer;
  readonly #id: string;
  readonly #source: AsyncIterable<Buffer>;
  readonly #facts: () => StreamFacts;
  readonly #onCancel: () => void;
  readonly #hash = createHash('sha256');
  #credit: number;
  #sent = 0;
  #wake: (() => void) | undefined;
  #cancelled = false;

  /**
   * `facts`: what the end says beside bytes and digest; asked when the source has ended. `onCancel`: ends a reading of the source that waits
   * for others.
   */
  constructor(
    peer: Peer,
    id: string,
    source: AsyncIterable<Buffer>,
    credit: number,
    facts: () => StreamFacts,
    onCancel: () => void,
  ) {
    this.#peer = peer;
    this.#id = id;
    this.#source = source;
    this.#credit = credit;
    this.#facts = facts;
    this.#onCancel = onCancel;
  }

  /** Sends everything. Rejects with the failure of the source. A cancelled stream ends without a word. */
  async run(): Promise<void> {
    try {
      for await (const block of this.#source) {
        for (let start = 0; start < block.length && !this.#cancelled; start += limits.streamChunkBytes) {
          await this.#send(block.subarray(start, start + limits.streamChunkBytes));
        }
        if (this.#cancelled) return;
      }
    } catch (error) {
      if (this.#cancelled) return;
      throw error;
    }
    const end: WireEvent<'stream/end'> = {
      streamId: this.#id,
      bytes: this.#sent,
      sha256: this.#hash.digest('hex'),
      ...this.#facts(),
    };
    this.#peer.notify('stream/end', end);
  }

  grant(bytes: number): void {
    this.#credit = Math.min(this.#credit + bytes, limits.streamCreditBytes);
    this.resume();
  }

  /** The connection takes more, or there is more credit. */
  resume(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#onCancel();
    this.resume();
  }

  async #send(bytes: Buffer): Promise<void> {
    while (
      !this.#cancelled &&
      (this.#credit < bytes.length || this.#peer.unsentBytes >= limits.outboxHighBytes)
    ) {
      await new Promise<void>((resolve) => void (this.#wake = resolve));
    }
    if (this.#cancelled) return;
    this.#credit -= bytes.length;
    this.#hash.update(bytes);
    const members = `"streamId":${JSON.stringify(this.#id)},"offset":${this.#sent}`;
    this.#peer.notifyChunk('stream/data', members, bytes);
    this.#sent += bytes.length;
  }
}
