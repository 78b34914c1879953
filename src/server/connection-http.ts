import type { HttpAnswer, HttpRequest } from '../http/http-request.ts';
import type { HttpRequests } from '../http/http-requests.ts';
import { RpcError, invalidParams } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Params, WireResult } from '../protocol/methods.ts';
import type { Peer, RequestContext } from '../rpc/peer.ts';
import { BodyDeltas } from './body-deltas.ts';
import type { Streams } from './streams.ts';

type RequestParams = Params<'http/request'>;

/** The HTTP requests of one connection, which end with it. */
export class ConnectionHttp {
  readonly #requests: HttpRequests;
  readonly #peer: Peer;
  readonly #streams: Streams;
  readonly #running = new Map<HttpRequest, string>();
  /** Ids whose bodies are being sent as deltas. */
  readonly #deltas = new Map<string, BodyDeltas | undefined>();
  #bufferedBytes = 0;

  constructor(requests: HttpRequests, peer: Peer, streams: Streams) {
    this.#requests = requests;
    this.#peer = peer;
    this.#streams = streams;
  }

  /** Nothing is awaited before the stream of the body is open: the client writes to it at once. */
  async request(params: RequestParams, context: RequestContext): Promise<WireResult<'http/request'>> {
    const { requestId, streamResponse, responseStreamId, bodyStreamId } = params;
    if (this.#running.size >= limits.httpRequests) {
      throw new RpcError(
        'overloaded',
        `At most ${limits.httpRequests} HTTP requests of a connection run at a time.`,
      );
    }
    if (responseStreamId != null && streamResponse) {
      throw invalidParams('http/request takes streamResponse or responseStreamId, not both');
    }
    if (bodyStreamId != null && params.bodyBase64 != null) {
      throw invalidParams('http/request takes bodyBase64 or bodyStreamId, not both');
    }
    if (params.upgrade != null && (responseStreamId == null || bodyStreamId == null)) {
      throw invalidParams('http/request with upgrade needs responseStreamId and bodyStreamId');
    }
    if (streamResponse && this.#deltas.has(requestId)) {
      throw invalidParams(
        `http/request streamResponse requestId ${JSON.stringify(requestId)} is already active`,
      );
    }
    const request = this.#requests.prepare(params);
    const { upload } = request;
    if (bodyStreamId != null && upload !== undefined) {
      const stream = this.#streams.addIncoming(bodyStreamId, upload);
      void request.ended.then(async () => this.#streams.end(bodyStreamId, stream));
    }
    this.#running.set(request, requestId);
    void request.ended.then(() => this.#running.delete(request));
    if (responseStreamId != null) return this.#stream(request, responseStreamId, params.creditBytes, context);
    return streamResponse ? this.#sendDeltas(request, requestId, context) : this.#collect(request, context);
  }

  cancel(requestId: string): void {
    for (const [request, id] of this.#running) if (id === requestId) request.cancel();
  }

  /** The connection takes more, or it is gone. */
  resume(): void {
    for (const deltas of this.#deltas.values()) deltas?.resume();
  }

  async #stream(
    request: HttpRequest,
    streamId: string,
    credit: number,
    context: RequestContext,
  ): Promise<WireResult<'http/request'>> {
    const open = async () => {
      const answer = await request.start(context.signal);
      return { answer, blocks: answer.body };
    };
    try {
      const { source, start } = await this.#streams.openOutgoing(streamId, credit, open, {
        facts: ({ answer: { body } }) => (body.trailers.length === 0 ? {} : { trailers: [...body.trailers] }),
        cancel: () => request.cancel(),
      });
      context.afterReply(start);
      return head(source.answer);
    } catch (error) {
      // It may not even have been started.
      request.cancel();
      throw error;
    }
  }

  async #sendDeltas(
    request: HttpRequest,
    requestId: string,
    context: RequestContext,
  ): Promise<WireResult<'http/request'>> {
    this.#deltas.set(requestId, undefined);
    try {
      const answer = await request.start(context.signal);
      const deltas = new BodyDeltas(this.#peer, requestId, answer.body);
      this.#deltas.set(requestId, deltas);
      context.afterReply(() => void deltas.run().then(() => this.#deltas.delete(requestId)));
      return head(answer);
    } catch (error) {
      this.#deltas.delete(requestId);
      throw error;
    }
  }

  async #collect(request: HttpRequest, context: RequestContext): Promise<WireResult<'http/request'>> {
    const answer = await request.start(context.signal);
    const blocks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const block of answer.body) {
        bytes += block.length;
        this.#bufferedBytes += block.length;
        if (bytes > limits.httpBufferedBytes) {
          const text = `http/request failed: the body is larger than ${limits.httpBufferedBytes} bytes; ask for it as a stream`;
          throw new RpcError('internalError', text);
        }
        if (this.#bufferedBytes > limits.httpBufferedTotalBytes) {
          throw new RpcError(
            'overloaded',
            'Too many bodies are collected at a time; ask for them as streams.',
          );
        }
        blocks.push(block);
      }
    } finally {
      this.#bufferedBytes -= bytes;
    }
    const { trailers } = answer.body;
    return {
      ...head(answer),
      bodyBase64: Buffer.concat(blocks).toString('base64'),
      ...(trailers.length > 0 && { trailers: [...trailers] }),
    };
  }
}

function head({ status, headers, url, timing }: HttpAnswer): WireResult<'http/request'> {
  return { status, headers: [...headers], bodyBase64: '', url, timing };
}
