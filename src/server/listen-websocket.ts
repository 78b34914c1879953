import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import websocketPlugin, { type WebsocketPluginOptions } from '@fastify/websocket';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { type Authenticator, type Principal, anonymous } from '../access/authenticator.ts';
import { isLoopback } from '../access/loopback.ts';
import { limitOption } from '../protocol/limit-settings.ts';
import { ReasonedWebSocket, WebSocketTransport } from '../rpc/websocket-transport.ts';
import { descriptorsScarce } from '../support/descriptors.ts';
import { tcpProgress } from '../support/tcp-progress.ts';
import { mayBeConfined } from './confined-peer.ts';
import type { ExecServer } from './exec-server.ts';
import { RefusalLog } from '../telemetry/refusal-log.ts';

export interface ListenOptions {
  /** Asks every client who it is; nobody is asked if absent. */
  readonly authenticator?: Authenticator | undefined;
  /** Listens without authentication on an address that other machines reach. */
  readonly unauthenticated?: boolean | undefined;
}

export interface WebSocketListener {
  /** With the port that was really bound. */
  readonly url: string;
  /** Takes no new connections and ends the HTTP side. The executor ends its connections before. */
  close(): Promise<void>;
}

/** Milliseconds between two looks for connections that have not sent their request. */
const idleCheckMs = 5000;

/** Listens for clients on a WebSocket at `/`, and for probes at `/livez` and `/readyz`. `host`: an IP address; `port`: 0 for any. */
export async function listenWebSocket(
  server: ExecServer,
  host: string,
  port: number,
  options: ListenOptions = {},
): Promise<WebSocketListener> {
  const { authenticator, unauthenticated = false } = options;
  if (authenticator === undefined && !unauthenticated && !isLoopback(host)) {
    throw new Error(
      `${host} is reached from other machines, and whoever connects runs programs here. Give --ws-auth to ask for a token, ` +
        'or --unauthenticated if something else keeps strangers away.',
    );
  }
  const { handshakeMs, pingIntervalMs } = server.limits;
  const app = fastify({
    forceCloseConnections: true,
    http: { headersTimeout: handshakeMs, connectionsCheckingInterval: Math.min(handshakeMs, idleCheckMs) },
  });
  // What goes wrong with a socket ends that socket, with the Close frame that the library sends.
  await app.register(websocketPlugin, { options: webSocketOptions(server), errorHandler: () => {} });
  // Behind the plugin, which otherwise does not know of an upgrade that is refused, and leaves its socket open.
  app.addHook('onRequest', refuseBrowsers);
  app.addHook('onRequest', refuseOtherUpgrades);
  addProbes(app, server);
  const refusals = new RefusalLog(server.log);
  const principals = new WeakMap<IncomingMessage, Principal>();
  app.route({
    method: 'GET',
    url: '/',
    onRequest: async (request, reply) => {
      if (!request.ws) return;
      if (await mayBeConfined(request.raw.socket)) {
        return reply.code(403).send('A confined process of this executor is no client of it.\n');
      }
      const admission = (await authenticator?.admit(request.headers.authorization)) ?? {
        principal: anonymous,
      };
      if ('refusal' in admission) {
        refusals.add(admission.refusal);
        return reply.code(401).type('text/plain; charset=utf-8').send(admission.refusal);
      }
      const busy = noRoom(server);
      if (busy !== undefined) return reply.code(503).send(`${busy}\n`);
      principals.set(request.raw, admission.principal);
    },
    handler: (_request, reply) =>
      reply.code(400).send('A client of the executor connects here with a WebSocket.\n'),
    wsHandler: (webSocket, request) => {
      const transport = new WebSocketTransport(webSocket, request.raw.socket);
      transport.keepAlive(pingIntervalMs, tcpProgress);
      const principal = principals.get(request.raw) ?? anonymous;
      void server.serve(transport, { principal, handshakeMs });
    },
  });
  app.route({
    method: ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '/',
    handler: (_request, reply) =>
      reply.code(405).header('allow', 'GET,HEAD').send('Only a WebSocket upgrade with GET is served here.\n'),
  });
  // Probes and refusals have room beside the clients.
  app.server.maxConnections = server.limits.connections + server.limits.reservedDescriptors;
  await app.listen({ host, port });
  // Not before: the start itself is one long stall.
  server.watchEventLoop();
  const { address, port: bound } = app.server.address() as AddressInfo;
  return {
    url: `ws://${address.includes(':') ? `[${address}]` : address}:${bound}`,
    close: () => app.close(),
  };
}

/** The cast: the library's types want the static members of its own class, which it does not use. */
function webSocketOptions(server: ExecServer): NonNullable<WebsocketPluginOptions['options']> {
  return {
    maxPayload: server.limits.messageBytes,
    perMessageDeflate: false,
    handleProtocols: () => false,
    WebSocket: ReasonedWebSocket,
  } as unknown as NonNullable<WebsocketPluginOptions['options']>;
}

/** A page in a browser must not drive an executor, so that whatever names an origin is refused before anything looks at it. */
async function refuseBrowsers(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (request.headers.origin !== undefined) await reply.code(403).send();
}

async function refuseOtherUpgrades(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (request.ws && !/^\/(\?|$)/.test(request.url)) await reply.code(404).send();
}

/** Why no further client can be served now. */
function noRoom(server: ExecServer): string | undefined {
  const { connections, reservedDescriptors } = server.limits;
  if (server.connections >= connections)
    return `The executor has ${connections} connections ${limitOption('connections')}.`;
  // Half of the reserve is for connections, the other half for what each of them needs next.
  if (descriptorsScarce(Math.ceil(reservedDescriptors / 2)))
    return 'The executor has too few file descriptors left; raise its `ulimit -n` or end some processes.';
  return undefined;
}

/** `/readyz` is 503 with the reason in one word while clients should go elsewhere. */
function addProbes(app: FastifyInstance, server: ExecServer): void {
  const answers = {
    '/livez': () => undefined,
    '/readyz': () => (server.draining ? 'draining' : server.stalled ? 'stalled' : undefined),
  };
  for (const [url, problem] of Object.entries(answers)) {
    app.get(url, async (_request, reply) => {
      // The sample that a stall has delayed is taken first: with the timers that are due now, in whatever order.
      await new Promise((resolve) => void setTimeout(() => setImmediate(resolve), 0));
      const text = problem();
      return text === undefined ? reply.code(200).send() : reply.code(503).send(text);
    });
    app.route({
      method: ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      url,
      handler: (_request, reply) => reply.code(405).header('allow', 'GET,HEAD').send(),
    });
  }
}
