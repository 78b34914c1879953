import type { Principal } from '../access/authenticator.ts';
import { RpcError, draining, invalidRequest } from '../protocol/errors.ts';
import { type LimitSettings, limitReached } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import type { EndReason } from '../protocol/process.ts';
import { Session } from './session.ts';
import type { ProcessTableOptions } from '../process/process-table.ts';

export interface SessionRegistryOptions extends ProcessTableOptions {
  /** Milliseconds that a session outlives its connection. */
  readonly detachedSessionMs?: number | undefined;
  readonly limits: LimitSettings;
}

/** A connection: what has the session, and for whom. */
export interface SessionOwner {
  readonly principal: Principal;
}

/** An attached session has an owner and no timer; a detached one has a timer and no owner. */
type Entry =
  | { readonly session: Session; readonly owner: SessionOwner }
  | { readonly session: Session; readonly expiry: NodeJS.Timeout };

/** The sessions of an executor. Each belongs to one connection at a time, or waits for the next one until it expires. */
export class SessionRegistry {
  readonly #options: SessionRegistryOptions;
  readonly #entries = new Map<string, Entry>();
  #draining = false;

  constructor(options: SessionRegistryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  create(owner: SessionOwner): Session {
    if (this.#draining) throw draining();
    const most = this.#options.limits.sessions;
    if (this.#entries.size >= most) {
      const what = `The executor has ${most} sessions; try again when some have ended`;
      throw limitReached(what, 'sessions', most);
    }
    const session = new Session(this.#options, owner.principal);
    this.#entries.set(session.id, { session, owner });
    return session;
  }

  resume(id: string, owner: SessionOwner): Session {
    const entry = this.#entries.get(id);
    // Somebody else's session is answered as one that does not exist, so that nobody can look for them.
    if (entry === undefined || entry.session.principal !== owner.principal)
      throw invalidRequest(`unknown session id ${id}; it has expired, or another executor gave it out.`);
    if ('owner' in entry) {
      throw new RpcError(
        'sessionAttached',
        `session ${id} is already attached to another connection; try again shortly.`,
      );
    }
    clearTimeout(entry.expiry);
    this.#entries.set(id, { session: entry.session, owner });
    return entry.session;
  }

  /** The connection is gone. The session stays for a while, with everything that runs in it. */
  detach(session: Session, owner: SessionOwner): void {
    const entry = this.#entries.get(session.id);
    if (entry === undefined || !('owner' in entry) || entry.owner !== owner) return;
    const expiry = setTimeout(() => {
      this.#entries.delete(session.id);
      void session.processes.dispose('sessionEnded', 0);
    }, this.#options.detachedSessionMs ?? limits.detachedSessionMs);
    this.#entries.set(session.id, { session, expiry });
  }

  /** Ends every session and everything in it. Until then those that are there can be resumed, to see how their processes end. */
  async dispose(reason: EndReason, graceMs: number): Promise<void> {
    this.#draining = true;
    const entries = [...this.#entries.values()];
    await Promise.all(entries.map((entry) => entry.session.processes.dispose(reason, graceMs)));
    for (const entry of this.#entries.values()) if ('expiry' in entry) clearTimeout(entry.expiry);
    this.#entries.clear();
  }
}
