import type { FastifyRequest } from 'fastify';
import type { RefusalLog } from '../telemetry/refusal-log.ts';
import type { Authority } from './authority.ts';
import type { RendezvousLimits } from './limits.ts';
import { type Principal, type Role, hasRole, principalKey } from './principal.ts';
import { Problem } from './problem.ts';
import { Rates } from './rates.ts';

/** Lets in who has a token, as often as the limits allow. */
export class Door {
  readonly #authority: Authority;
  readonly #limits: RendezvousLimits;
  readonly #refusals: RefusalLog;
  readonly #rates: Rates;
  readonly #waiting = new Map<string, number>();
  #allWaiting = 0;

  constructor(authority: Authority, limits: RendezvousLimits, refusals: RefusalLog) {
    this.#authority = authority;
    this.#limits = limits;
    this.#refusals = refusals;
    this.#rates = new Rates(limits.rates);
  }

  /** Nobody is asked for a token. */
  get isOpen(): boolean {
    return this.#authority.isOpen;
  }

  /** Throws a Problem where nobody is known by the token. */
  async admit(request: FastifyRequest): Promise<Principal> {
    return this.admitToken(request.headers.authorization, request.ip);
  }

  async admitToken(authorization: string | undefined, address: string): Promise<Principal> {
    const principal = await this.#authority.admit(authorization);
    if (principal !== undefined) return principal;
    this.refused(authorization === undefined ? 'missing token' : 'invalid token', address);
    throw new Problem(
      401,
      'unauthorized',
      'A valid bearer token is needed; see --tokens and --jwt-* of the rendezvous.',
    );
  }

  /** Logs it, and slows down addresses that are refused often. Those who have a token are not held up by others. */
  refused(why: string, address: string): void {
    const { refusalBurst, refusalRate } = this.#limits;
    this.#refusals.add(why);
    if (!this.#rates.take(`address ${address}`, refusalBurst, refusalRate)) {
      throw new Problem(429, 'too_many_requests', 'Too many requests without a valid token.', 1);
    }
  }

  /** An upgrade that is refused says why anyway. */
  note(why: string, address: string): void {
    this.#refusals.add(why);
    this.#rates.take(`address ${address}`, this.#limits.refusalBurst, this.#limits.refusalRate);
  }

  /** Counts a registration or a ticket. */
  count(principal: Principal, environment: string): void {
    const { principalBurst, principalRate, environmentBurst, environmentRate } = this.#limits;
    const key = principalKey(principal);
    const isAllowed =
      this.#rates.take(`one ${key}\0${environment}`, environmentBurst, environmentRate) &&
      this.#rates.take(`all ${key}`, principalBurst, principalRate);
    if (!isAllowed) throw new Problem(429, 'too_many_requests', 'Too many requests with this token.', 1);
  }

  /** Throws a Problem where the token has no such role at all. */
  require(principal: Principal, role: Role): void {
    if (!hasRole(principal, role))
      throw new Problem(403, 'role_forbidden', `The token is not for an ${role}.`);
  }

  isKnown(tenant: string, subject: string): boolean {
    return this.#authority.isKnown(tenant, subject);
  }

  /** Does what waits for something; throws a Problem where too many do. */
  async wait<T>(key: string, work: () => Promise<T>): Promise<T> {
    const { waiting, principalWaiting } = this.#limits;
    const own = this.#waiting.get(key) ?? 0;
    if (own >= principalWaiting || this.#allWaiting >= waiting) {
      throw new Problem(
        503,
        'executor_offline',
        'The executor is not connected, and too many wait for it.',
        5,
      );
    }
    this.#waiting.set(key, own + 1);
    this.#allWaiting += 1;
    try {
      return await work();
    } finally {
      this.#allWaiting -= 1;
      const left = (this.#waiting.get(key) ?? 1) - 1;
      if (left > 0) this.#waiting.set(key, left);
      else this.#waiting.delete(key);
    }
  }
}
