import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer, request as requestHttp } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';

import type { Chance } from './faults-random.ts';

/** What happens to relay frames, each in so many of ten thousand cases. */
export interface FrameFaults {
  readonly drop: number;
  readonly repeat: number;
  /** It comes behind others. */
  readonly delay: number;
  /** Nothing passes for a moment. */
  readonly stall: number;
  /** The connection ends, with all that is on its way. */
  readonly cut: number;
}

export const noFaults: FrameFaults = { drop: 0, repeat: 0, delay: 0, stall: 0, cut: 0 };

export interface FrameProxy extends AsyncDisposable {
  readonly url: string;
  readonly happened: Readonly<Record<keyof FrameFaults, number>>;
  /** No more faults from here on. */
  calm(): void;
  /** Ends all connections that are there now. */
  cut(): void;
}

const delayMs = 30;
const stallMs = 150;

/** Stands before a rendezvous, and lets faults happen to single relay frames. Requests pass as they are. */
export async function startFrameProxy(
  serviceUrl: string,
  chance: Chance,
  faults: FrameFaults,
): Promise<FrameProxy> {
  const service = new URL(serviceUrl);
  const happened = { drop: 0, repeat: 0, delay: 0, stall: 0, cut: 0 };
  const pairs = new Set<FramePair>();
  const sockets = new Set<Socket>();
  let isCalm = false;
  const pick = (): keyof FrameFaults | undefined => {
    if (isCalm) return undefined;
    let number = chance.below(10_000);
    for (const kind of Object.keys(happened) as (keyof FrameFaults)[]) {
      if (number < faults[kind]) {
        happened[kind] += 1;
        return kind;
      }
      number -= faults[kind];
    }
    return undefined;
  };

  const server = createServer((request, response) => forward(service, request, response));
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket: Socket, head) => {
    const far = new WebSocket(`ws://${service.host}${request.url}`, { perMessageDeflate: false });
    far.on('error', () => socket.destroy());
    far.once('unexpected-response', (_request, { statusCode }) => {
      socket.end(`HTTP/1.1 ${statusCode} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      far.terminate();
    });
    // What comes before the other side is there waits in the library.
    far.once('open', () => {
      far.pause();
      if (socket.destroyed) return far.terminate();
      webSockets.handleUpgrade(request, socket, head, (near) => {
        const pair = new FramePair(near, far, pick);
        pairs.add(pair);
        far.once('close', () => pairs.delete(pair));
        far.resume();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    happened,
    calm: () => void (isCalm = true),
    cut: () => {
      for (const pair of pairs) pair.cut();
    },
    [Symbol.asyncDispose]: async () => {
      for (const pair of pairs) pair.cut();
      for (const socket of sockets) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

function forward(service: URL, request: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url } = request;
  const sent = requestHttp(new URL(url ?? '/', service), { method, headers, agent: false });
  sent.once('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  sent.on('error', () => response.destroy());
  request.pipe(sent);
}

class FramePair {
  readonly #near: WebSocket;
  readonly #far: WebSocket;
  readonly #pick: () => keyof FrameFaults | undefined;
  #stalled: Promise<void> | undefined;

  constructor(near: WebSocket, far: WebSocket, pick: () => keyof FrameFaults | undefined) {
    this.#near = near;
    this.#far = far;
    this.#pick = pick;
    this.#join(near, far);
    this.#join(far, near);
  }

  cut(): void {
    this.#near.terminate();
    this.#far.terminate();
  }

  #join(from: WebSocket, to: WebSocket): void {
    from.on('error', () => {});
    from.on('message', (data: Buffer, isBinary) => this.#pass(to, data, isBinary));
    from.once('close', (code, reason) => {
      if (code === 1005) to.close();
      else if (code === 1006) to.terminate();
      else to.close(code, reason);
    });
  }

  #pass(to: WebSocket, data: Buffer, isBinary: boolean): void {
    const send = (): void => {
      if (to.readyState === WebSocket.OPEN) to.send(data, { binary: isBinary });
    };
    const fault = isBinary ? this.#pick() : undefined;
    switch (fault) {
      case 'drop':
        return;
      case 'cut':
        return this.cut();
      case 'delay':
        return void setTimeout(send, delayMs);
      case 'stall':
        this.#stalled = new Promise((resolve) => void setTimeout(resolve, stallMs));
        break;
      case 'repeat':
      case undefined:
    }
    if (this.#stalled === undefined) send();
    else void this.#stalled.then(send);
    if (fault === 'repeat') setTimeout(send, delayMs);
  }
}
