import type { Principal } from '../access/authenticator.ts';
import { RpcError, draining, invalidRequest } from '../protocol/errors.ts';
import { type LimitSettings, limitReached } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import type { EndReason } from '../protocol/process.ts';
import type { ProcessTableOptions } from '../process/process-table.ts';
import { Session } from './session.ts';

export interface SessionRegistryOptions extends ProcessTableOptions {
  /** Milliseconds that a session outlives its connection. */
  readonly detachedSessionMs?: number | undefined;
  readonly limits: LimitSettings;
}

/** What the sessions hold. */
export interface SessionLoad {
  readonly sessions: number;
  /** Those that have not closed. */
  readonly processes: number;
  /** Those that have, and are still readable. */
  readonly closedProcesses: number;
}

/** What a session belongs to for a while: a connection. */
export interface SessionOwner {
  /** Whom it acts for. */
  readonly principal: Principal;
  /** Another connection has taken the session over: this one is no longer to touch it. */
  displaced(): void;
}

/** What a connection shows to get a session back. */
export interface ResumeClaim {
  readonly secret?: string | undefined;
}

/** An attached session has an owner and no timers; a detached one has timers, which are those of this detachment, and no owner. */
type Entry =
  | { readonly session: Session; readonly owner: SessionOwner }
  | { readonly session: Session; readonly timers: NodeJS.Timeout[] };

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

  get load(): SessionLoad {
    const tables = [...this.#entries.values()].map(({ session }) => session.processes);
    return {
      sessions: tables.length,
      processes: tables.reduce((sum, table) => sum + table.liveCount, 0),
      closedProcesses: tables.reduce((sum, table) => sum + table.closedCount, 0),
    };
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

  /** The session of that id, whoever it is attached to. */
  find(id: string): Session | undefined {
    return this.#entries.get(id)?.session;
  }

  /** Attaches a session to another connection. With its secret that is done even if it seems to have one, which may be half open. */
  resume(id: string, owner: SessionOwner, claim: ResumeClaim): Session {
    const entry = this.#entries.get(id);
    // Somebody else's session is answered as one that does not exist, so that nobody can look for them.
    if (entry === undefined || entry.session.principal !== owner.principal)
      throw invalidRequest(`unknown session id ${id}; it has expired, or another executor gave it out.`);
    const { session } = entry;
    const proven = claim.secret !== undefined && session.hasSecret(claim.secret);
    if ('owner' in entry && !proven) {
      throw new RpcError(
        'sessionAttached',
        `session ${id} is already attached to another connection; try again shortly.`,
      );
    }
    if (claim.secret !== undefined && !proven)
      throw invalidRequest('The secret is not the one of this session.');
    if ('timers' in entry) for (const timer of entry.timers) clearTimeout(timer);
    session.processes.kept = false;
    this.#entries.set(id, { session, owner });
    if ('owner' in entry) entry.owner.displaced();
    return session;
  }

  /** The connection is gone. The session stays for a while, and so does what runs in it, unless its start said something else. */
  detach(session: Session, owner: SessionOwner): void {
    const entry = this.#entries.get(session.id);
    if (entry === undefined || !('owner' in entry) || entry.owner !== owner) return;
    const timers: NodeJS.Timeout[] = [];
    const detached = { session, timers };
    this.#entries.set(session.id, detached);
    session.processes.kept = true;
    /** What was armed for this detachment does nothing in another one. */
    const after = (milliseconds: number, action: () => void): void => {
      timers.push(setTimeout(() => this.#entries.get(session.id) === detached && action(), milliseconds));
    };
    after(this.#options.detachedSessionMs ?? limits.detachedSessionMs, () => {
      this.#entries.delete(session.id);
      for (const timer of timers) clearTimeout(timer);
      void session.processes.dispose('sessionEnded', 0);
    });
    for (const process of session.processes.list()) {
      const { onDisconnect } = process;
      if (onDisconnect === 'keep' || process.state === 'closed') continue;
      after(onDisconnect.terminateAfterMs, () => void process.terminate('disconnected', process.stopGraceMs));
    }
  }

  /** Ends every session and everything in it. Until then those that are there can be resumed, to see how their processes end. */
  async dispose(reason: EndReason, graceMs: number): Promise<void> {
    this.#draining = true;
    const entries = [...this.#entries.values()];
    await Promise.all(entries.map((entry) => entry.session.processes.dispose(reason, graceMs)));
    for (const entry of this.#entries.values()) {
      if ('timers' in entry) for (const timer of entry.timers) clearTimeout(timer);
    }
    this.#entries.clear();
  }
}
