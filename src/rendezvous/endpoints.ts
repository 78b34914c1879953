import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ConnectBody, RegisterBody, environmentId, headerText, readBody } from './bodies.ts';
import type { Directory } from './directory.ts';
import type { Door } from './door.ts';
import { viewsFor } from './environment-view.ts';
import type { Environment } from './environment.ts';
import type { RendezvousLimits } from './limits.ts';
import { type Principal, mayBe, principalKey } from './principal.ts';
import { Problem } from './problem.ts';
import { type ExecutorTransport, transports } from './store.ts';
import type { Tickets } from './tickets.ts';

export interface EndpointParts {
  readonly door: Door;
  readonly directory: Directory;
  readonly tickets: Tickets;
  readonly limits: RendezvousLimits;
  /** Where WebSockets of this request's sender connect: `ws://host:port`, with a path before it or not. */
  readonly socketBase: (request: FastifyRequest) => string;
}

type Handler = (request: FastifyRequest) => Promise<object>;

/** Registration and connect, of all generations. */
export function addEndpoints(app: FastifyInstance, parts: EndpointParts): void {
  const route = (method: 'GET' | 'POST', url: string, handler: Handler): void =>
    void app.route({ method, url, handler });
  const post = (url: string, handler: Handler): void => route('POST', url, handler);

  post('/api/cloud/executor', async (request) => {
    const body = readBody(RegisterBody, request) ?? {};
    const { environment, url, choice } = await register(
      request,
      body,
      body.environment_id,
      'direct_jsonrpc_v1',
    );
    const { executorId, environment: environment_id } = environment.registration;
    return { id: executorId, environment_id, url, ...choice };
  });

  post('/cloud/executor/:id/register', async (request) => {
    const id = environmentId(request);
    const body = readBody(RegisterBody, request);
    // Those that send a body speak plain messages, and the later ones frames.
    const framing = body === undefined ? 'relay_v1' : 'direct_jsonrpc_v1';
    const { environment, url, choice } = await register(request, body ?? {}, id, framing);
    const { registrationId } = environment.registration;
    // The member that tells an executor the framing where `transport` does not.
    const named = environment.registration.transport === 'relay_v1' ? {} : { id: registrationId };
    return { ...named, executor_id: id, environment_id: id, url, ...choice };
  });

  post('/cloud/environment/:id/register', async (request) => {
    const id = environmentId(request);
    const body = readBody(RegisterBody, request) ?? {};
    const { environment, url, choice } = await register(request, body, id, 'relay_v1');
    const { registrationId } = environment.registration;
    return { environment_id: id, executor_registration_id: registrationId, url, ...choice };
  });

  post('/cloud/environment/:id/direct/register', async (request) => {
    const id = environmentId(request);
    const body = readBody(RegisterBody, request) ?? {};
    const transport = 'direct_jsonrpc_v1';
    if (body.transport !== transport) {
      throw new Problem(
        400,
        'unsupported_transport',
        `Direct registration is for the transport ${transport}.`,
      );
    }
    const { environment, url } = await register(request, body, id, transport, false);
    return { transport, environment_id: id, registration_id: environment.registration.registrationId, url };
  });

  post('/cloud/environment/:id/connect', async (request) => {
    const principal = await parts.door.admit(request);
    const id = environmentId(request);
    const body = readBody(ConnectBody, request) ?? {};
    if (body.harness_public_key !== undefined) throw unsupportedProfile();
    const environment = await reach(principal, id);
    const busy = environment.exchange.busy();
    if (busy !== undefined) throw new Problem(409, 'environment_busy', busy, 5);
    const { limits } = parts;
    const seconds = Math.min(body.ttl_seconds ?? limits.ticketSeconds, limits.ticketMostSeconds);
    const reusable = body.reusable ?? false;
    const { ticket, expiresAt } = issue(principal, id, 'orchestrator', {
      seconds,
      reusable,
      registration: '',
    });
    const { transport, name } = environment.registration;
    return {
      environment_id: id,
      url: socketUrl(request, id, 'harness', ticket),
      transport,
      executor_name: name,
      expires_at: new Date(expiresAt).toISOString(),
    };
  });

  route('GET', '/v1/environments', async (request) => {
    const principal = await parts.door.admit(request);
    parts.door.require(principal, 'orchestrator');
    return { environments: viewsFor(parts.directory, principal) };
  });

  /** `offers`: whether the executor may have named what it speaks. */
  async function register(
    request: FastifyRequest,
    body: {
      idempotency_id?: string | undefined;
      name?: string | undefined;
      security_profile?: string | undefined;
    },
    id: string | undefined,
    framing: ExecutorTransport,
    offers = true,
  ): Promise<{ environment: Environment; url: string; choice: { transport?: ExecutorTransport } }> {
    const principal = await parts.door.admit(request);
    parts.door.require(principal, 'executor');
    if (body.security_profile !== undefined) throw unsupportedProfile();
    parts.door.count(principal, id ?? '');
    const offered = offers ? offeredTransports(request) : [];
    const transport = offered[0] ?? framing;
    const environment = parts.directory.register(principal, {
      environment: id,
      executorId: undefined,
      idempotencyId: body.idempotency_id ?? headerText(request, 'x-exec-server-idempotency-id'),
      name: headerText(request, 'x-exec-server-name') ?? body.name ?? '',
      version: versionOf(request),
      transport,
    });
    const { registrationId, environment: environmentName } = environment.registration;
    const seconds = parts.limits.ticketSeconds;
    const options = { seconds, reusable: false, registration: registrationId };
    const { ticket } = issue(principal, environmentName, 'executor', options);
    const url = socketUrl(request, environmentName, 'executor', ticket);
    return { environment, url, choice: offered.length > 0 ? { transport } : {} };
  }

  /** The environment with its executor. One that this principal may not reach is not told from one that is not there. */
  async function reach(principal: Principal, id: string): Promise<Environment> {
    parts.door.require(principal, 'orchestrator');
    parts.door.count(principal, id);
    if (!mayBe(principal, 'orchestrator', id)) {
      throw new Problem(
        403,
        'environment_forbidden',
        'The token is not for an orchestrator of this environment.',
      );
    }
    const environment = parts.directory.find(principal.tenant, id);
    if (environment === undefined) {
      throw new Problem(
        404,
        'environment_not_found',
        'No executor has registered an environment of this id.',
      );
    }
    const isThere =
      environment.online ||
      (await parts.door.wait(principalKey(principal), () => environment.whenOnline(parts.limits.returnMs)));
    if (!isThere)
      throw new Problem(503, 'executor_offline', 'The executor of the environment is not connected.', 1);
    return environment;
  }

  function issue(
    principal: Principal,
    environment: string,
    role: 'executor' | 'orchestrator',
    options: { readonly seconds: number; readonly reusable: boolean; readonly registration: string },
  ): { ticket: string; expiresAt: number } {
    const { tenant, subject } = principal;
    // A ticket is never good for longer than the token it was given for.
    const expiresAt = Math.min(Date.now() + options.seconds * 1000, principal.expiresAt ?? Infinity);
    const { reusable, registration } = options;
    const claims = { tenant, subject, environment, role, reusable, registration, expiresAt };
    return { ticket: parts.tickets.issue(claims), expiresAt };
  }

  function socketUrl(
    request: FastifyRequest,
    id: string,
    role: 'executor' | 'harness',
    ticket: string,
  ): string {
    return `${parts.socketBase(request)}/cloud/rendezvous/${encodeURIComponent(id)}?role=${role}&ticket=${ticket}`;
  }
}

/** Those that both sides know, the one to use first. */
function offeredTransports(request: FastifyRequest): ExecutorTransport[] {
  const header = request.headers['x-exec-server-transports'];
  const names = typeof header === 'string' ? header.split(',').map((name) => name.trim()) : [];
  return transports.filter((transport) => names.includes(transport));
}

function versionOf(request: FastifyRequest): string {
  const agent = /^[A-Za-z_-]+\/([0-9A-Za-z.+-]{1,64})/.exec(request.headers['user-agent'] ?? '')?.[1];
  return headerText(request, 'x-exec-server-version') ?? agent ?? '';
}

function unsupportedProfile(): Problem {
  return new Problem(
    400,
    'unsupported_security_profile',
    'Encrypted relay frames are not served here: use exec-server, or codex up to 0.140 for this registration.',
  );
}
