import { randomUUID } from 'node:crypto';
import type { HttpField } from '../protocol/http-field.ts';
import type { Event, Result, WireParams } from '../protocol/methods.ts';
import { toError } from '../support/to-error.ts';
import type { ByteStreams, StreamWriter } from './byte-streams.ts';
import type { Call } from './call.ts';
import { DeltaBody } from './delta-body.ts';

/** Milliseconds that stand for no deadline: as long as a timer can count. */
const unlimitedMs = 2_147_483_647;

export interface HttpRequestOptions {
  /** Absolute, http or https. */
  readonly url: string;
  /** GET if absent. */
  readonly method?: string;
  readonly headers?: WireParams<'http/request'>['headers'];
  /** What is iterated is sent as it comes, without being held in memory. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  /** For the whole request with its body; none if absent. */
  readonly timeoutMs?: number;
  /** "stop" answers with the redirect itself. */
  readonly redirectPolicy?: 'follow' | 'stop';
  /** A socket of the environment to connect to, an absolute path. */
  readonly unixSocket?: string;
  /** Another protocol for the connection, such as websocket: with status 101, `body` and the body of the answer are its bytes. */
  readonly upgrade?: string;
  readonly sandbox?: WireParams<'http/request'>['sandbox'];
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: readonly HttpField[];
  /** Where it comes from, after redirects; undefined where the executor does not say. */
  readonly url: string | undefined;
  readonly timing: Result<'http/request'>['timing'];
  /** As it was sent, nothing unpacked. Taken once, and compared with what the executor has read when it ends. */
  readonly body: AsyncIterable<Uint8Array>;
  /** What came behind the body; complete when that has ended. */
  trailers(): readonly HttpField[];
  /** Nobody takes what is left of the body. */
  cancel(reason?: Error): void;
}

/** HTTP requests that are made from inside the environment. */
export class RemoteHttp {
  readonly #call: Call;
  readonly #streams: ByteStreams;
  readonly #path: (path: string) => string;
  readonly #hasStreams: () => boolean;
  readonly #deltas = new Map<string, DeltaBody>();

  /** `hasStreams`: the executor has more than the protocol of the codex executor. */
  constructor(call: Call, streams: ByteStreams, path: (path: string) => string, hasStreams: () => boolean) {
    this.#call = call;
    this.#streams = streams;
    this.#path = path;
    this.#hasStreams = hasStreams;
  }

  /** Resolves with the header of the answer; its body follows. Every status is an answer. */
  async request(options: HttpRequestOptions): Promise<HttpResponse> {
    const { signal } = options;
    signal?.throwIfAborted();
    const requestId = randomUUID();
    const params = this.#params(options, requestId);
    return this.#hasStreams() ? this.#streamed(params, options) : this.#plain(params, options);
  }

  receive(event: Event<'http/request/bodyDelta'>): void {
    this.#deltas.get(event.requestId)?.receive(event);
  }

  /** No further event will come. */
  fail(error: Error): void {
    for (const body of this.#deltas.values()) body.fail(error);
    this.#deltas.clear();
  }

  #params(options: HttpRequestOptions, requestId: string): WireParams<'http/request'> {
    const {
      url,
      method = 'GET',
      headers = [],
      timeoutMs,
      redirectPolicy,
      unixSocket,
      sandbox,
      upgrade,
    } = options;
    return {
      requestId,
      method,
      url,
      headers,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(redirectPolicy !== undefined && { redirectPolicy }),
      ...(unixSocket !== undefined && { unixSocket: this.#path(unixSocket) }),
      ...(sandbox !== undefined && { sandbox }),
      ...(upgrade !== undefined && { upgrade }),
    };
  }

  async #streamed(
    params: WireParams<'http/request'>,
    { body, signal }: HttpRequestOptions,
  ): Promise<HttpResponse> {
    const { requestId } = params;
    const sourceFailed = Promise.withResolvers<never>();
    sourceFailed.promise.catch(() => {});
    const cancelRequest = (): void => void this.#call('http/cancel', { requestId }).catch(() => {});
    const abort = (): void => {
      sourceFailed.reject(signal?.reason as Error);
      cancelRequest();
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const { opened, bytes } = await this.#streams.open(async (responseStreamId, creditBytes) => {
        const whole = { ...params, responseStreamId, creditBytes };
        const answer =
          body === undefined || body instanceof Uint8Array
            ? this.#send({ ...whole, ...(body && { bodyBase64: Buffer.from(body).toString('base64') }) })
            : this.#upload(whole, body, (error) => {
                sourceFailed.reject(error);
                cancelRequest();
              });
        return Promise.race([answer, sourceFailed.promise]);
      });
      const cancel = (reason: Error = new Error('The body was given up.')): void => {
        bytes.fail(reason);
        bytes.cancel();
      };
      const abortBody = (): void => cancel(signal?.reason as Error);
      signal?.addEventListener('abort', abortBody, { once: true });
      void bytes.ended.then(() => signal?.removeEventListener('abort', abortBody));
      if (signal?.aborted === true) abortBody();
      return { ...headOf(opened), body: bytes, trailers: () => bytes.end?.trailers ?? [], cancel };
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Sends the request, and its body beside it: the answer may come before the body has ended. */
  async #upload(
    params: WireParams<'http/request'>,
    source: AsyncIterable<Uint8Array>,
    onSourceError: (error: Error) => void,
  ): Promise<Result<'http/request'>> {
    let answer: Promise<Result<'http/request'>> | undefined;
    const writer = await this.#streams.openWriter(async (bodyStreamId) => {
      answer = this.#send({ ...params, bodyStreamId });
      answer.catch(() => {});
    }, unlimitedMs);
    void pump(source, writer, onSourceError);
    if (answer === undefined) throw new Error('The request was not sent.');
    return answer;
  }

  /** For executors that know no more than that. They cannot be told of a cancellation, and take a body in one piece. */
  async #plain(
    params: WireParams<'http/request'>,
    { body, signal }: HttpRequestOptions,
  ): Promise<HttpResponse> {
    const { requestId } = params;
    const whole = body === undefined || body instanceof Uint8Array ? body : await collect(body);
    const deltas = new DeltaBody(() => void this.#deltas.delete(requestId));
    this.#deltas.set(requestId, deltas);
    const cancel = (reason: Error = new Error('The body was given up.')): void => {
      deltas.fail(reason);
      this.#deltas.delete(requestId);
    };
    try {
      const result = await this.#send(
        {
          ...params,
          streamResponse: true,
          ...(whole && { bodyBase64: Buffer.from(whole).toString('base64') }),
        },
        signal,
      );
      signal?.addEventListener('abort', () => cancel(signal.reason as Error), { once: true });
      return { ...headOf(result), body: deltas, trailers: () => deltas.trailers, cancel };
    } catch (error) {
      this.#deltas.delete(requestId);
      throw error;
    }
  }

  async #send(params: WireParams<'http/request'>, signal?: AbortSignal): Promise<Result<'http/request'>> {
    return this.#call('http/request', params, { timeoutMs: unlimitedMs, ...(signal && { signal }) });
  }
}

function headOf({ status, headers, url, timing }: Result<'http/request'>) {
  return { status, headers, url, timing };
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

/** A server may answer without having read everything: only what the source does is this side's failure. */
async function pump(
  source: AsyncIterable<Uint8Array>,
  writer: StreamWriter,
  onSourceError: (error: Error) => void,
): Promise<void> {
  let writing = false;
  try {
    for await (const bytes of source) {
      writing = true;
      await writer.write(bytes);
      writing = false;
    }
    writing = true;
    await writer.finish();
  } catch (error) {
    // First of all, so that it is the reason that is told.
    if (!writing) onSourceError(toError(error));
    await writer.cancel();
  }
}
