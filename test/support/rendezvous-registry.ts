import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Duplex, Readable } from 'node:stream';
import type { Socket } from 'node:net';
import path from 'node:path';

import { type WebSocket, WebSocketServer } from 'ws';

import { WebSocketFrames } from '../../src/relay/frame-socket.ts';
import { WebSocketTransport } from '../../src/rpc/websocket-transport.ts';
import { portOf } from './reference.ts';
import { expectSoon } from './unit-wait.ts';

const certificates = path.resolve(import.meta.dirname, '..', 'fixtures', 'tls');
export const authorityFile = path.join(certificates, 'authority.pem');

/** A registration as the registry has read it. */
export interface Registering {
  readonly method: string;
  /** As it is on the wire. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** How a registration is answered. */
export type Reply = (response: ServerResponse, request: Registering) => void;

/** What an upgrade gets: a socket, or this. */
export type Welcome = (socket: Duplex) => void;

export interface OpenedSocket {
  readonly webSocket: WebSocket;
  /** The request that opened it. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** To drive the executor that dialled, as a service does on behalf of a client. */
  transport(): WebSocketTransport;
  /** The same with relay frames. */
  frames(): WebSocketFrames;
}

/** A registry with its rendezvous that does what a test says: real HTTP, real sockets, and nothing of the executor's code. */
export class RecordedRegistry implements AsyncDisposable {
  readonly url: string;
  readonly requests: Registering[] = [];
  /** Milliseconds of the clock at each of them. */
  readonly times: number[] = [];
  /** Raw names and values of each upgrade. */
  readonly upgrades: (readonly string[])[] = [];
  readonly #server: ReturnType<typeof createServer>;
  readonly #webSockets = new WebSocketServer({ noServer: true });
  readonly #connections = new Set<Socket>();
  #replies: Reply[] = [];
  #welcomes: Welcome[] = [];
  readonly #opened: OpenedSocket[] = [];
  #stir = Promise.withResolvers<void>();

  private constructor(server: ReturnType<typeof createServer>, scheme: string) {
    this.#server = server;
    this.url = `${scheme}://127.0.0.1:${portOf(server)}`;
    server.on('connection', (socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('request', (request, response) => void this.#register(request, response));
    server.on('upgrade', (request, socket: Socket, head) => this.#upgrade(request, socket, head));
  }

  /** `secure`: https and wss, with a certificate that authorityFile vouches for. */
  static async start({ secure = false } = {}): Promise<RecordedRegistry> {
    const read = (name: string): Buffer => readFileSync(path.join(certificates, name));
    const server = secure
      ? createTlsServer({ key: read('localhost.key.pem'), cert: read('localhost.pem') })
      : createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RecordedRegistry(server, secure ? 'https' : 'http');
  }

  /** The answers of the next registrations; the last one stays. */
  replies(...replies: Reply[]): void {
    this.#replies = replies;
  }

  /** What the next upgrades get; those after them get a socket. */
  welcomes(...welcomes: Welcome[]): void {
    this.#welcomes = welcomes;
  }

  /** The URL of a socket here, as answers name it. */
  socketUrl(query = 'role=executor&signature=hidden'): string {
    return `${this.url.replace(/^http/, 'ws')}/cloud/rendezvous?${query}`;
  }

  /** The next socket that an executor has opened. */
  async socket(): Promise<OpenedSocket> {
    await this.until('a socket', () => this.#opened.length > 0);
    return this.#opened.shift() as OpenedSocket;
  }

  async until(what: string, reached: () => boolean): Promise<void> {
    await expectSoon(
      what,
      (async () => {
        while (!reached()) await this.#stir.promise;
      })(),
    );
  }

  /** Every connection breaks without a word. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  async #register(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const seen = { method, path: url, headers, body: await textOf(request) };
    this.requests.push(seen);
    this.times.push(Date.now());
    const reply = this.#replies.length > 1 ? this.#replies.shift() : this.#replies[0];
    reply?.(response, seen);
    this.#wake();
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.upgrades.push(request.rawHeaders);
    const welcome = this.#welcomes.shift();
    if (welcome !== undefined) {
      welcome(socket);
      return this.#wake();
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.pause();
      this.#opened.push({
        webSocket,
        path: request.url ?? '',
        headers: request.headers,
        transport: () => new WebSocketTransport(webSocket, socket),
        frames: () => new WebSocketFrames(webSocket, socket),
      });
      this.#wake();
    });
  }

  #wake(): void {
    this.#stir.resolve();
    this.#stir = Promise.withResolvers();
  }
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const part of stream.setEncoding('utf8')) text += part;
  return text;
}

/** An answer with a JSON value, or with a text as it is. */
export const replies =
  (status: number, body: unknown = '', headers: Readonly<Record<string, string>> = {}): Reply =>
  (response) =>
    void response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));

/** Accepts the request and says nothing. */
export const silence: Reply = () => {};

/** Breaks the connection. */
export const breaks: Reply = (response) => void response.socket?.destroy();

/** Sends a part of an answer and breaks the connection. */
export const breaksInside: Reply = (response) => {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('{"id":', () => response.socket?.destroy());
};

/** An upgrade that is answered with a status. */
export const refuses =
  (status: string, headers: readonly string[] = []): Welcome =>
  (socket) =>
    void socket.end(['HTTP/1.1 ' + status, ...headers, 'content-length: 0', '', ''].join('\r\n'));

/** An upgrade that is never answered. */
export const stalls: Welcome = () => {};

/** An upgrade whose connection breaks. */
export const drops: Welcome = (socket) => void socket.destroy();
