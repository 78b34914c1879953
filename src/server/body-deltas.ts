import { RpcError } from '../protocol/errors.ts';
import type { HttpField } from '../protocol/http-field.ts';
import { limits } from '../protocol/limits.ts';
import type { WireEvent } from '../protocol/methods.ts';
import type { Peer } from '../rpc/peer.ts';

type Body = AsyncIterable<Buffer> & { readonly trailers: readonly HttpField[] };

/** The body of one answer on its way to the client, as numbered notifications, as fast as the connection takes them. */
export class BodyDeltas {
  readonly #peer: Peer;
  readonly #requestId: string;
  readonly #body: Body;
  #seq = 1;
  #sentBytes = 0;
  #wake: (() => void) | undefined;

  constructor(peer: Peer, requestId: string, body: Body) {
    this.#peer = peer;
    this.#requestId = requestId;
    this.#body = body;
  }

  /** Sends everything, and the end or the failure behind it. */
  async run(): Promise<void> {
    try {
      for await (const block of this.#body) {
        for (let start = 0; start < block.length; start += limits.httpDeltaBytes) {
          await this.#send(block.subarray(start, start + limits.httpDeltaBytes));
        }
      }
      const { trailers } = this.#body;
      this.#end(null, {
        bodyBytes: this.#sentBytes,
        ...(trailers.length > 0 && { trailers: [...trailers] }),
      });
    } catch (error) {
      this.#end(error instanceof RpcError ? error.message : 'the body of the answer could not be read', {});
    }
  }

  /** The connection takes more, or it is gone. */
  resume(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  async #send(bytes: Buffer): Promise<void> {
    while (this.#peer.closed === undefined && this.#peer.unsentBytes >= limits.outboxHighBytes) {
      await new Promise<void>((resolve) => void (this.#wake = resolve));
    }
    const members = `"requestId":${JSON.stringify(this.#requestId)},"seq":${this.#seq++},"done":false,"error":null`;
    this.#peer.notifyChunk('http/request/bodyDelta', members, bytes, 'deltaBase64');
    this.#sentBytes += bytes.length;
  }

  #end(
    error: string | null,
    more: Pick<WireEvent<'http/request/bodyDelta'>, 'bodyBytes' | 'trailers'>,
  ): void {
    const last: WireEvent<'http/request/bodyDelta'> = {
      requestId: this.#requestId,
      seq: this.#seq,
      deltaBase64: '',
      done: true,
      error,
      ...more,
    };
    this.#peer.notify('http/request/bodyDelta', last);
  }
}
