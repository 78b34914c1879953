import type { Directory } from './directory.ts';
import type { Door } from './door.ts';
import type { Environment } from './environment.ts';
import type { RendezvousLimits } from './limits.ts';
import { type Role, principalKey } from './principal.ts';
import type { Store } from './store.ts';
import type { Ticket, Tickets } from './tickets.ts';

/** In the words that clients of the protocol log; each has one meaning here. */
export type Rejection =
  | 'missing_role'
  | 'invalid_role'
  | 'pod_draining'
  | 'missing_expiry'
  | 'invalid_expiry'
  | 'invalid_secret'
  | 'missing_signature'
  | 'invalid_signature'
  | 'extra_query_param'
  | 'route_unavailable'
  | 'malformed_query'
  | 'unexpected_executor_registration_id'
  | 'unknown_route';

const rejections: Readonly<Record<Rejection, readonly [status: number, text: string]>> = {
  missing_role: [400, 'The URL names no role.'],
  invalid_role: [403, 'The ticket is for another role.'],
  pod_draining: [503, 'This rendezvous is being stopped; try again.'],
  missing_expiry: [403, 'The ticket has no end.'],
  invalid_expiry: [403, 'The ticket has expired; ask for a new one.'],
  invalid_secret: [403, 'The ticket has been used, or its token is no longer known; ask for a new one.'],
  missing_signature: [401, 'The URL has no ticket; register or connect to get one.'],
  invalid_signature: [403, 'The ticket is not one of this rendezvous for this environment.'],
  extra_query_param: [400, 'The URL has a parameter that a ticket has not; use it as it was given.'],
  route_unavailable: [503, 'The environment cannot be reached now; try again.'],
  malformed_query: [400, 'The query of the URL is malformed; use it as it was given.'],
  unexpected_executor_registration_id: [409, 'The executor has registered again since; use its newest URL.'],
  unknown_route: [404, 'There is nothing here for a WebSocket.'],
};

/** An upgrade that is not carried out. */
export class Rejected extends Error {
  override readonly name = 'Rejected';
  readonly reason: Rejection;
  readonly status: number;

  constructor(reason: Rejection, detail?: { readonly status?: number; readonly text?: string }) {
    const [status, text] = rejections[reason];
    super(detail?.text ?? text);
    this.reason = reason;
    this.status = detail?.status ?? status;
  }
}

export interface Entry {
  readonly environment: Environment;
  readonly ticket: Ticket;
}

interface GateParts {
  readonly door: Door;
  readonly directory: Directory;
  readonly tickets: Tickets;
  readonly store: Store;
  readonly limits: RendezvousLimits;
}

/** Decides about upgrades: by the ticket in the URL alone. */
export class Gate {
  readonly #parts: GateParts;
  /** Sockets of each orchestrator. */
  readonly #sockets = new Map<string, number>();

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** `url`: path and query as they came. Throws a Rejected. Nothing is done until the ticket is known to be good; then it is used up. */
  async admit(url: string): Promise<Entry> {
    const { directory, door, store, limits } = this.#parts;
    const { environment: id, role, ticket: text } = readUrl(url);
    const ticket = this.#parts.tickets.check(text);
    if (typeof ticket === 'string') throw new Rejected(ticket);
    if (ticket.role !== role) throw new Rejected('invalid_role');
    if (ticket.environment !== id) throw new Rejected('invalid_signature');
    if (!door.isKnown(ticket.tenant, ticket.subject)) throw new Rejected('invalid_secret');
    const environment = directory.find(ticket.tenant, id);
    if (environment === undefined)
      throw new Rejected('unknown_route', { text: 'The environment is not registered.' });
    if (role === 'executor') {
      if (environment.registration.registrationId !== ticket.registration)
        throw new Rejected('unexpected_executor_registration_id');
    } else await this.#findExecutor(environment, ticket);
    const isFresh = ticket.reusable || store.useTicket(ticket.nonce, ticket.expiresAt, limits.usedTickets);
    if (!isFresh) throw new Rejected('invalid_secret');
    return { environment, ticket };
  }

  /** Counts the socket of an orchestrator. Answers what is called at its end. */
  enter(ticket: Ticket): () => void {
    const key = principalKey(ticket);
    this.#sockets.set(key, (this.#sockets.get(key) ?? 0) + 1);
    return () => {
      const left = (this.#sockets.get(key) ?? 1) - 1;
      if (left > 0) this.#sockets.set(key, left);
      else this.#sockets.delete(key);
    };
  }

  async #findExecutor(environment: Environment, ticket: Ticket): Promise<void> {
    const { door, limits } = this.#parts;
    const key = principalKey(ticket);
    const unavailable = (status: number, text: string): Rejected =>
      new Rejected('route_unavailable', { status, text });
    if ((this.#sockets.get(key) ?? 0) >= limits.principalOrchestrators)
      throw unavailable(503, `The token has ${limits.principalOrchestrators} sockets already.`);
    if (!environment.online) {
      const isThere = await door.wait(key, () => environment.whenOnline(limits.returnMs)).catch(() => false);
      if (!isThere) throw unavailable(503, 'The executor of the environment is not connected.');
    }
    const busy = environment.exchange.busy();
    if (busy !== undefined) throw unavailable(409, busy);
  }
}

/** The path and query of a ticket's URL. */
function readUrl(url: string): { environment: string; role: Role; ticket: string } {
  const [, path = '', query = ''] = /^\/cloud\/rendezvous\/([^/?#]+)(?:\?([^#]*))?$/.exec(url) ?? [];
  if (path === '') throw new Rejected('unknown_route');
  if (/%(?![0-9a-f]{2})/i.test(path + query)) throw new Rejected('malformed_query');
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (name !== 'role' && name !== 'ticket') throw new Rejected('extra_query_param');
    if (given.has(name)) throw new Rejected('malformed_query');
    given.set(name, value);
  }
  const role = given.get('role');
  if (role === undefined || role === '') throw new Rejected('missing_role');
  if (role !== 'executor' && role !== 'harness') throw new Rejected('invalid_role', { status: 400 });
  return {
    environment: decode(path),
    role: role === 'harness' ? 'orchestrator' : 'executor',
    ticket: given.get('ticket') ?? '',
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Rejected('malformed_query');
  }
}
