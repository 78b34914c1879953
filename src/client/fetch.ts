import { Readable, type Transform, pipeline } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';
import { toError } from '../support/to-error.ts';
import type { HttpResponse, RemoteHttp } from './remote-http.ts';

/** What `fetch` takes, and what only requests from an environment have. */
export interface EnvironmentRequestInit extends RequestInit {
  /** Milliseconds for the whole request with its body; none if absent. */
  readonly timeoutMs?: number;
  /** A socket of the environment to connect to, an absolute path. */
  readonly unixSocket?: string;
}

/** `fetch`, with the requests made from inside the environment. */
export type EnvironmentFetch = (
  input: string | URL | Request,
  init?: EnvironmentRequestInit,
) => Promise<Response>;

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }),
  'x-gzip': () => createGunzip({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }),
  deflate: () => createInflate({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }),
  br: () => createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => createZstdDecompress({ flush: constants.ZSTD_e_flush }),
};

/** Statuses whose answers have no body. */
const withoutBody = new Set([204, 205, 304]);

/** Bytes of a body up to which it goes with the request itself. */
const inlineBytes = 1024 * 1024;

export function environmentFetch(http: RemoteHttp): EnvironmentFetch {
  return async (input, init = {}) => {
    const { timeoutMs, unixSocket, ...standard } = init;
    // The global one reads all forms of header and body that there are.
    const request = new Request(input, { ...standard, duplex: 'half' });
    const headers = [...request.headers].map(([name, value]) => ({ name, value }));
    if (!request.headers.has('accept-encoding')) {
      headers.push({ name: 'accept-encoding', value: 'gzip, deflate, br' });
    }
    const { signal } = request;
    const body = await bodyOf(request, standard.body);
    if (body instanceof Uint8Array && body.length > inlineBytes) {
      headers.push({ name: 'content-length', value: String(body.length) });
    }
    let response: HttpResponse;
    try {
      response = await http.request({
        method: request.method,
        url: request.url,
        headers,
        redirectPolicy: request.redirect === 'follow' ? 'follow' : 'stop',
        signal,
        ...(body !== undefined && {
          body: body instanceof Uint8Array && body.length > inlineBytes ? parts(body) : body,
        }),
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(unixSocket !== undefined && { unixSocket }),
      });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw new TypeError('fetch failed', { cause });
    }
    const isRedirect =
      response.headers.some(({ name }) => name === 'location') && Math.floor(response.status / 100) === 3;
    if (request.redirect === 'error' && isRedirect) {
      response.cancel();
      throw new TypeError('fetch failed', { cause: new Error('unexpected redirect') });
    }
    return toResponse(response, request);
  };
}

async function bodyOf(
  request: Request,
  given: RequestInit['body'],
): Promise<Uint8Array | AsyncIterable<Uint8Array> | undefined> {
  if (request.body === null) return undefined;
  const isWhole =
    typeof given === 'string' ||
    given instanceof ArrayBuffer ||
    ArrayBuffer.isView(given) ||
    given instanceof URLSearchParams;
  return isWhole ? new Uint8Array(await request.arrayBuffer()) : request.body;
}

async function* parts(whole: Uint8Array): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < whole.length; start += inlineBytes) {
    yield whole.subarray(start, start + inlineBytes);
  }
}

function toResponse(response: HttpResponse, request: Request): Response {
  const headers = new Headers();
  for (const { name, value } of response.headers) headers.append(name, value);
  const isEmpty = request.method === 'HEAD' || withoutBody.has(response.status);
  if (isEmpty) response.cancel();
  const init = { status: response.status, headers };
  const made = new Response(isEmpty ? null : readable(response, headers.get('content-encoding')), init);
  const url = response.url ?? request.url;
  Object.defineProperties(made, {
    url: { value: url },
    redirected: { value: url !== request.url.replace(/#.*$/, '') },
  });
  return made;
}

/** Not `ReadableStream.from`, whose cancellation waits for the next bytes. */
function readable(response: HttpResponse, encoding: string | null): ReadableStream<Uint8Array> {
  const iterator = decoded(response.body, encoding)[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const { done, value } = await iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason: unknown) => response.cancel(reason === undefined ? undefined : toError(reason)),
    },
    { highWaterMark: 0 },
  );
}

/** What is in an encoding that nobody here knows stays as it is. */
function decoded(body: AsyncIterable<Uint8Array>, encoding: string | null): AsyncIterable<Uint8Array> {
  const names = (encoding ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity');
  const makers = names
    .toReversed()
    .map((name) => (Object.hasOwn(decoders, name) ? decoders[name] : undefined));
  if (makers.length === 0 || !makers.every((make) => make !== undefined)) return body;
  const stages = makers.map((make) => make());
  const last = stages.at(-1);
  if (last === undefined) return body;
  // A failure reaches the last of them, and so its reader.
  pipeline([Readable.from(body, { objectMode: false }), ...stages], () => {});
  return last;
}
