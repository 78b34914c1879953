import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';

import { type RelayBody, type RelayFrame, decodeFrame, encodeFrame } from '../../src/relay/frame.ts';
import { beforeDeadline } from './cli-program.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface AskOptions {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

/** One request to the rendezvous: POST unless it says otherwise. */
export async function ask(url: string, path: string, options: AskOptions = {}): Promise<Answer> {
  const { token, body, headers = {}, method = 'POST' } = options;
  const answer = await fetch(url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, json: parse(text) };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** `code` of an error body. */
export function codeOf({ json }: Answer): unknown {
  return (json['error'] as { code?: unknown } | undefined)?.code;
}

/** What a refused upgrade was answered. */
export interface Refusal {
  readonly status: number;
  readonly reason: string | undefined;
}

/** Tries an upgrade: an open socket, or how it was refused. */
export async function dial(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  autoPong = true,
): Promise<Peer | Refusal> {
  const webSocket = new WebSocket(url, { perMessageDeflate: false, headers, autoPong });
  webSocket.on('error', () => {});
  const peer = new Peer(webSocket);
  const opened = once(webSocket, 'open').then(() => peer);
  const refused = once(webSocket, 'unexpected-response').then(([, answer]): Refusal => {
    const { statusCode = 0, headers: given } = answer as IncomingMessage;
    webSocket.terminate();
    return { status: statusCode, reason: given['x-codex-rendezvous-rejection-reason'] as string | undefined };
  });
  const failed = once(webSocket, 'close').then(([code]): Refusal => ({
    status: 0,
    reason: `closed ${code}`,
  }));
  return beforeDeadline('an upgrade', Promise.race([opened, refused, failed]));
}

/** The same where it has to succeed. */
export async function open(url: string): Promise<Peer> {
  const peer = await dial(url);
  if (peer instanceof Peer) return peer;
  throw new Error(`The upgrade was refused: ${peer.status} ${peer.reason}`);
}

/** One end of a socket, with what has come and was not taken yet. */
export class Peer implements Disposable {
  readonly webSocket: WebSocket;
  readonly #arrived: { data: Buffer; binary: boolean }[] = [];
  #closed: { readonly code: number; readonly reason: string } | undefined;
  #stir = Promise.withResolvers<void>();

  constructor(webSocket: WebSocket) {
    this.webSocket = webSocket;
    webSocket.on('message', (data: Buffer, binary) => {
      this.#arrived.push({ data, binary });
      this.#wake();
    });
    webSocket.on('close', (code, reason) => {
      this.#closed = { code, reason: reason.toString() };
      this.#wake();
    });
  }

  /** Messages that nobody has taken. */
  get waiting(): number {
    return this.#arrived.length;
  }

  sendFrame(streamId: string, body: RelayBody, reliable = false): void {
    this.webSocket.send(encodeFrame({ streamId, reliable, ack: 0, ackBits: 0, body }));
  }

  /** Opens a stream as a plain peer of 2026-06 does. */
  openStream(streamId: string, reliable = false): void {
    this.sendFrame(
      streamId,
      { kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: reliable ? 1 : 0 },
      reliable,
    );
  }

  sendData(streamId: string, text: string | Buffer, seq = 0, reliable = false): void {
    const payload = Buffer.from(text);
    this.sendFrame(streamId, { kind: 'data', seq, segmentIndex: 0, segmentCount: 1, payload }, reliable);
  }

  /** The next message. */
  async message(): Promise<{ data: Buffer; binary: boolean }> {
    return beforeDeadline('a message', this.#next());
  }

  async text(): Promise<string> {
    const { data, binary } = await this.message();
    if (binary) throw new Error('A binary message came in place of a text.');
    return data.toString();
  }

  async frame(): Promise<RelayFrame> {
    const { data } = await this.message();
    const frame = decodeFrame(data);
    if (typeof frame === 'string') throw new Error(frame);
    return frame;
  }

  /** The next frame with such a body. */
  async frameOf(kind: RelayBody['kind']): Promise<RelayFrame> {
    for (;;) {
      const frame = await this.frame();
      if (frame.body.kind === kind) return frame;
    }
  }

  async closed(): Promise<{ readonly code: number; readonly reason: string }> {
    return beforeDeadline(
      'the end of a socket',
      (async () => {
        while (this.#closed === undefined) await this.#stir.promise;
        return this.#closed;
      })(),
    );
  }

  [Symbol.dispose](): void {
    this.webSocket.terminate();
  }

  async #next(): Promise<{ data: Buffer; binary: boolean }> {
    for (;;) {
      const message = this.#arrived.shift();
      if (message !== undefined) return message;
      if (this.#closed !== undefined)
        throw new Error(`The socket closed: ${this.#closed.code} ${this.#closed.reason}`);
      await this.#stir.promise;
    }
  }

  #wake(): void {
    this.#stir.resolve();
    this.#stir = Promise.withResolvers();
  }
}

/** Registers a relay executor and connects it. */
export async function executor(url: string, id: string, token: string): Promise<Peer> {
  return open(await executorUrl(url, id, token));
}

export async function executorUrl(url: string, id: string, token: string): Promise<string> {
  const answer = await ask(url, `/cloud/environment/${id}/register`, { token });
  if (answer.status !== 200) throw new Error(`The registration was refused: ${answer.text}`);
  return answer.json['url'] as string;
}

/** Registers an executor of 0.130 and connects it. */
export async function plainExecutor(url: string, id: string, token: string): Promise<Peer> {
  const body = {
    idempotency_id: `codex-exec-server-${id}`,
    executor_id: id,
    name: 'box',
    labels: {},
    metadata: {},
  };
  const answer = await ask(url, `/cloud/executor/${id}/register`, { token, body });
  return open(answer.json['url'] as string);
}

export async function connectUrl(url: string, id: string, token: string, body: object = {}): Promise<string> {
  const answer = await ask(url, `/cloud/environment/${id}/connect`, { token, body });
  if (answer.status !== 200) throw new Error(`There is no ticket: ${answer.text}`);
  return answer.json['url'] as string;
}

export async function orchestrator(url: string, id: string, token: string): Promise<Peer> {
  return open(await connectUrl(url, id, token));
}
