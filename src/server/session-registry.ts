import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { EndReason } from '../protocol/process.ts';
import { Session } from './session.ts';
import type { ProcessTableOptions } from '../process/process-table.ts';

export interface SessionRegistryOptions extends ProcessTableOptions {
  /** Milliseconds that a session outlives its connection. */
  readonly detachedSessionMs?: number | undefined;
}

/** An attached session has an owner and no timer; a detached one has a timer and no owner. */
type Entry =
  | { readonly session: Session; readonly owner: object }
  | { readonly session: Session; readonly expiry: NodeJS.Timeout };

/** The sessions of an executor. Each belongs to one connection at a time, or waits for the next one until it expires. */
export class SessionRegistry {
  readonly #options: SessionRegistryOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: SessionRegistryOptions) {
    this.#options = options;
  }

  create(owner: object): Session {
    if (this.#entries.size >= limits.sessions) {
      throw new RpcError(
        'overloaded',
        `The executor has ${limits.sessions} sessions; try again when some have ended.`,
      );
    }
    const session = new Session(this.#options);
    this.#entries.set(session.id, { session, owner });
    return session;
  }

  resume(id: string, owner: object): Session {
    const entry = this.#entries.get(id);
    if (entry === undefined)
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
  detach(session: Session, owner: object): void {
    const entry = this.#entries.get(session.id);
    if (entry === undefined || !('owner' in entry) || entry.owner !== owner) return;
    const expiry = setTimeout(() => {
      this.#entries.delete(session.id);
      void session.processes.dispose('sessionEnded', 0);
    }, this.#options.detachedSessionMs ?? limits.detachedSessionMs);
    this.#entries.set(session.id, { session, expiry });
  }

  /** Ends every session and everything in it. */
  async dispose(reason: EndReason, graceMs: number): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) if ('expiry' in entry) clearTimeout(entry.expiry);
    await Promise.all(entries.map((entry) => entry.session.processes.dispose(reason, graceMs)));
  }
}
