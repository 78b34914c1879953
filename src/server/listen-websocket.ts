import type { AddressInfo } from 'node:net';
import websocketPlugin, { type WebsocketPluginOptions } from '@fastify/websocket';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { ReasonedWebSocket, WebSocketTransport } from '../rpc/websocket-transport.ts';
import type { ExecServer } from './exec-server.ts';

/** The cast: the library's types want the static members of its own class, which it does not use. */
const options = {
  maxPayload: limits.messageBytes,
  perMessageDeflate: false,
  handleProtocols: () => false,
  WebSocket: ReasonedWebSocket,
} as unknown as NonNullable<WebsocketPluginOptions['options']>;

export interface WebSocketListener {
  /** With the port that was really bound. */
  readonly url: string;
  /** Takes no new connections and ends the HTTP side. The executor ends its connections before. */
  close(): Promise<void>;
}

/** Listens for clients on a WebSocket at `/`, and for probes at `/livez` and `/readyz`. `host`: an IP address; `port`: 0 for any. */
export async function listenWebSocket(
  server: ExecServer,
  host: string,
  port: number,
): Promise<WebSocketListener> {
  const app = fastify({ forceCloseConnections: true });
  // What goes wrong with a socket ends that socket, with the Close frame that the library sends.
  await app.register(websocketPlugin, { options, errorHandler: () => {} });
  // Behind the plugin, which otherwise does not know of an upgrade that is refused, and leaves its socket open.
  app.addHook('onRequest', refuseBrowsers);
  app.addHook('onRequest', refuseOtherUpgrades);
  addProbes(app, server);
  app.route({
    method: 'GET',
    url: '/',
    handler: (_request, reply) =>
      reply.code(400).send('A client of the executor connects here with a WebSocket.\n'),
    wsHandler: (webSocket, request) => {
      keepAlive(webSocket);
      void server.serve(new WebSocketTransport(webSocket, request.raw.socket));
    },
  });
  app.route({
    method: ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '/',
    handler: (_request, reply) =>
      reply.code(405).header('allow', 'GET,HEAD').send('Only a WebSocket upgrade with GET is served here.\n'),
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send());
  await app.listen({ host, port });
  const { address, port: bound } = app.server.address() as AddressInfo;
  return {
    url: `ws://${address.includes(':') ? `[${address}]` : address}:${bound}`,
    close: () => app.close(),
  };
}

/** A page in a browser must not drive an executor, so that whatever names an origin is refused before anything looks at it. */
async function refuseBrowsers(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (request.headers.origin !== undefined) await reply.code(403).send();
}

async function refuseOtherUpgrades(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (request.ws && !/^\/(\?|$)/.test(request.url)) await reply.code(404).send();
}

function addProbes(app: FastifyInstance, server: ExecServer): void {
  const answers = { '/livez': () => true, '/readyz': () => !server.draining };
  for (const [url, healthy] of Object.entries(answers)) {
    app.get(url, (_request, reply) => reply.code(healthy() ? 200 : 503).send());
    app.route({
      method: ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      url,
      handler: (_request, reply) => reply.code(405).header('allow', 'GET,HEAD').send(),
    });
  }
}

/** Proxies cut what they take for idle. */
function keepAlive(webSocket: WebSocket): void {
  const timer = setInterval(() => webSocket.ping(), limits.pingIntervalMs);
  timer.unref();
  webSocket.once('close', () => clearInterval(timer));
}
