import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import websocketPlugin, { type WebsocketPluginOptions } from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isLoopback } from '../access/loopback.ts';
import type { CloseReason } from '../rpc/transport.ts';
import type { Logger } from '../telemetry/logger.ts';
import { RefusalLog } from '../telemetry/refusal-log.ts';
import type { Authority } from './authority.ts';
import { Directory } from './directory.ts';
import { Door } from './door.ts';
import { addEndpoints } from './endpoints.ts';
import { createApp } from './http-app.ts';
import { addPage } from './page-routes.ts';
import { type Entry, Gate, Rejected } from './gate.ts';
import { Leg } from './leg.ts';
import type { RendezvousLimits } from './limits.ts';
import { Problem } from './problem.ts';
import type { Store } from './store.ts';
import { Tickets } from './tickets.ts';

export interface RendezvousOptions {
  /** An IP address. */
  readonly host: string;
  /** 0 for any. */
  readonly port: number;
  readonly authority: Authority;
  readonly store: Store;
  readonly limits: RendezvousLimits;
  readonly log: Logger;
  /** Where peers reach it, where that is not where it listens: `wss://host/path`. */
  readonly publicUrl: string | undefined;
}

export interface Rendezvous {
  /** With the port that was really bound. */
  readonly url: string;
  /** Lets peers go elsewhere, then ends. */
  close(): Promise<void>;
}

const drainingReason: CloseReason = {
  kind: 'goingAway',
  message: 'pod_draining: this rendezvous is being stopped; connect again',
};

const probes = ['/livez', '/readyz'];

/** Starts a rendezvous: the registry of executors, and the relay between them and orchestrators. */
export async function startRendezvous(options: RendezvousOptions): Promise<Rendezvous> {
  const { authority, store, limits, log } = options;
  const directory = new Directory(store, limits);
  const tickets = new Tickets(store.key);
  const door = new Door(authority, limits, new RefusalLog(log));
  const gate = new Gate({ door, directory, tickets, store, limits });
  const state = { draining: false };
  const app = createApp(limits);
  // What goes wrong with a socket ends that socket.
  await app.register(websocketPlugin, { options: webSocketOptions(limits), errorHandler: () => {} });
  const entries = new WeakMap<IncomingMessage, Entry>();
  app.addHook('onRequest', async (request, reply) => {
    if (request.ws) return admitUpgrade(request, reply);
    refuseBrowsers(request, authority.isOpen);
    if (state.draining && !probes.includes(request.url))
      throw new Problem(503, 'pod_draining', 'This rendezvous is being stopped; try again.', 1);
  });
  addProbes(app, () => (state.draining ? 'draining' : undefined));
  addEndpoints(app, {
    door,
    directory,
    tickets,
    limits,
    socketBase: (request) => socketBase(request, options),
  });
  addPage(app, { door, directory, limits, isSecure: options.publicUrl?.startsWith('wss:') ?? false });
  app.route({
    method: 'GET',
    url: '/cloud/rendezvous/:environment',
    handler: () => {
      throw new Problem(
        426,
        'upgrade_required',
        'Executors and orchestrators connect here with a WebSocket.',
      );
    },
    wsHandler: (webSocket, request) => {
      const entry = entries.get(request.raw);
      if (entry === undefined) return webSocket.terminate();
      const { environment, ticket } = entry;
      const leg = new Leg(webSocket, request.raw.socket, limits);
      log.debug({ role: ticket.role, environment: ticket.environment }, 'a socket has connected');
      if (ticket.role === 'executor') return environment.executorArrived(leg);
      webSocket.once('close', gate.enter(ticket));
      const busy = environment.exchange.busy();
      if (busy === undefined) environment.exchange.orchestratorArrived(leg, ticket.subject);
      else leg.close({ kind: 'policyViolation', message: busy });
    },
  });

  async function admitUpgrade(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    try {
      if (state.draining) throw new Rejected('pod_draining');
      // A page in a browser is no peer.
      if (request.headers.origin !== undefined) throw new Rejected('unknown_route', { status: 403 });
      const sockets = app.websocketServer.clients.size;
      if (sockets >= limits.sockets)
        throw new Rejected('route_unavailable', { text: 'It has too many sockets.' });
      const entry = await gate.admit(request.url);
      if (state.draining) throw new Rejected('pod_draining');
      entries.set(request.raw, entry);
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      door.note(error.reason, request.ip);
      const { reason, status, message } = error;
      await reply
        .code(status)
        .header('x-codex-rendezvous-rejection-reason', reason)
        .send({ error: { code: reason, message } });
    }
  }

  app.server.maxConnections = limits.sockets + limits.httpConnections;
  await app.listen({ host: options.host, port: options.port });
  const sweeper = setInterval(() => directory.sweep(), Math.min(limits.forgetMs, 60_000));
  sweeper.unref();
  const { address, port } = app.server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    close: async () => {
      state.draining = true;
      clearInterval(sweeper);
      directory.saveAll();
      for (const environment of directory.all()) environment.finish(drainingReason, limits.drainMs);
      await Promise.all([...app.websocketServer.clients].map(async (client) => closed(client)));
      await app.close();
    },
  };
}

function webSocketOptions(limits: RendezvousLimits): NonNullable<WebsocketPluginOptions['options']> {
  return { maxPayload: limits.frameBytes, perMessageDeflate: false, handleProtocols: () => false };
}

/** The name by which the sender has reached us is right for it, and is told to nobody else. */
function socketBase(request: FastifyRequest, { publicUrl }: RendezvousOptions): string {
  if (publicUrl !== undefined) return publicUrl;
  const { host = '' } = request.headers;
  if (/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(host)) return `ws://${host}`;
  throw new Problem(400, 'invalid_host', 'The request has no usable Host header.');
}

/** `/readyz` is 503 while peers should go elsewhere. */
function addProbes(app: FastifyInstance, problem: () => string | undefined): void {
  for (const url of probes) {
    const handler = async (_request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      const text = url === '/livez' ? undefined : problem();
      await (text === undefined ? reply.code(200).send() : reply.code(503).send(text));
    };
    app.route({ method: 'GET', url, handler });
  }
}

/** Pages of other sites send requests from browsers inside the network, and know no tokens. Where nobody is asked for one, the names by which they come give them away. */
function refuseBrowsers(request: FastifyRequest, isOpen: boolean): void {
  const { origin, host = '' } = request.headers;
  const isForm = request.url === '/login' || request.url === '/logout';
  if (origin !== undefined && !isForm)
    throw new Problem(403, 'foreign_origin', 'Pages of browsers are no clients here.');
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (isOpen && name !== 'localhost' && !isLoopback(name))
    throw new Problem(
      403,
      'foreign_host',
      'Without authentication it is reached by loopback addresses only.',
    );
}

/** Legs have deadlines of their own. */
async function closed(client: {
  readonly readyState: number;
  once(event: 'close', done: () => void): unknown;
}): Promise<void> {
  const closedState = 3;
  if (client.readyState === closedState) return;
  await new Promise<void>((resolve) => void client.once('close', resolve));
}
