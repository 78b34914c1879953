import type { Socket } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client, type Dispatcher } from 'undici';
import type { HttpField } from '../protocol/http-field.ts';
import { limits } from '../protocol/limits.ts';
import { exchangeFailure } from './failure.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import { ResponseBody } from './response-body.ts';

export interface IncomingAnswer {
  readonly status: number;
  readonly headers: readonly HttpField[];
  readonly body: ResponseBody;
}

/** Sends one request over a connection of its own. Resolves with the header of the answer; the body follows. */
export async function send(
  request: OutgoingRequest,
  socket: Socket,
  signal: AbortSignal,
): Promise<IncomingAnswer> {
  const client = new Client(request.url.origin, {
    // The socket is there already; undici expects it later than it asks for it.
    connect: (_options, done) => queueMicrotask(() => done(null, socket)),
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: limits.httpHeaderBytes,
  });
  const { upgrade } = request;
  const exchange = new Exchange(client, socket, signal, upgrade === undefined ? undefined : request.body);
  const host = request.fields.find(({ name }) => name === 'host');
  const headers = request.fields.flatMap(({ name, value }) => [name, asBytes(value)]);
  if (host === undefined) headers.push('host', request.url.host);
  if (request.contentLength !== undefined && request.body !== undefined && upgrade === undefined) {
    headers.push('content-length', String(request.contentLength));
  }
  client.dispatch(
    {
      method: request.method,
      path: request.url.pathname + request.url.search,
      headers,
      body: (upgrade === undefined ? (request.body ?? null) : null) as Dispatcher.DispatchOptions['body'] &
        null,
      // The connection is for this request alone, and the server may know.
      reset: true,
      ...(upgrade !== undefined && { upgrade }),
    },
    exchange,
  );
  return exchange.answer.promise;
}

/** One for all: an error with a stack for each request is a tenth of its time. */
const over = new Error('The request is over.');

/** One request and its answer, as undici tells it. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly answer = Promise.withResolvers<IncomingAnswer>();
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #abort = (): void => this.#fail(this.#signal.reason);
  #controller: Dispatcher.DispatchController | undefined;
  #socketError: Error | undefined;
  #ended = false;
  readonly #body: ResponseBody;
  readonly #outgoing: OutgoingRequest['body'] | undefined;
  #tunnel: Duplex | undefined;

  /** `outgoing`: what goes to the other side when the connection has another protocol. */
  constructor(
    client: Client,
    socket: Socket,
    signal: AbortSignal,
    outgoing: OutgoingRequest['body'] | undefined,
  ) {
    this.#client = client;
    this.#outgoing = outgoing;
    this.#signal = signal;
    this.#body = new ResponseBody({
      pause: () => void (this.#tunnel?.pause() ?? this.#controller?.pause()),
      resume: () => void (this.#tunnel?.resume() ?? this.#controller?.resume()),
      abandon: () => this.#end(),
    });
    // Before undici, which takes a reset for the end of a body without a length.
    socket.prependListener('error', (error) => void (this.#socketError = error));
    signal.addEventListener('abort', this.#abort);
    if (signal.aborted) this.#abort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // 103 and the like: the answer is still to come.
    if (status < 200) return;
    const headers = fields(controller.rawHeaders);
    this.answer.resolve({ status, headers, body: this.#body });
  }

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#body.push(bytes);
  }

  /** The connection has another protocol: the body is what comes on it, until it ends. */
  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    socket: Duplex,
  ): void {
    this.#tunnel = socket;
    socket.on('error', (error) => this.#fail(error));
    socket.on('data', (bytes: Buffer) => this.#body.push(bytes));
    socket.on('end', () => this.#body.finish([]));
    socket.on('close', () => this.#fail(this.#socketError));
    this.answer.resolve({ status, headers: fields(controller.rawHeaders), body: this.#body });
    // Its failure is that of the socket, or of the body, whose sender knows it.
    pipeline(Readable.from(this.#outgoing ?? []), socket).catch(() => {});
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#socketError !== undefined) return this.#fail(this.#socketError);
    this.#body.finish(fields(controller.rawTrailers));
    this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(this.#socketError ?? error);
  }

  #fail(error: unknown): void {
    const failure = exchangeFailure(error);
    this.answer.reject(failure);
    this.#body.fail(failure);
    this.#end();
  }

  /** Nothing is left to do with the connection. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.removeEventListener('abort', this.#abort);
    this.#tunnel?.destroy();
    this.#client.destroy(over).catch(() => {});
  }
}

/** Names in lower case; values of the same name where the first of them is. What is not visible ASCII is left out, as elsewhere. */
function fields(raw: Dispatcher.DispatchController['rawHeaders']): HttpField[] {
  const pairs = (raw ?? []) as readonly (Buffer | string)[];
  const grouped = new Map<string, HttpField[]>();
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    const name = String(pairs[index]).toLowerCase();
    const value = Buffer.from(pairs[index + 1] ?? '').toString('latin1');
    if (!/^[\t\x20-\x7e]*$/.test(value)) continue;
    const group = grouped.get(name);
    if (group === undefined) grouped.set(name, [{ name, value }]);
    else group.push({ name, value });
  }
  return [...grouped.values()].flat();
}

/** Header values are bytes, which undici takes as latin1 text: those of UTF-8. */
function asBytes(value: string): string {
  return Buffer.from(value).toString('latin1');
}
