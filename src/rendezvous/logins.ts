import { randomBytes } from 'node:crypto';
import { tokenDigest } from './token-file.ts';
import type { Principal } from './principal.ts';

interface Login {
  readonly principal: Principal;
  readonly expiresAt: number;
}

/** Who has logged in on the page. A browser keeps a random id, and never the token. */
export class Logins {
  readonly #most: number;
  readonly #lastsMs: number;
  /** By the digest of the id, the oldest first. */
  readonly #logins = new Map<string, Login>();

  constructor(most: number, lastsMs: number) {
    this.#most = most;
    this.#lastsMs = lastsMs;
  }

  /** Answers the id. */
  add(principal: Principal, now = Date.now()): string {
    const id = randomBytes(32).toString('base64url');
    const expiresAt = Math.min(now + this.#lastsMs, principal.expiresAt ?? Infinity);
    this.#logins.set(tokenDigest(id), { principal, expiresAt });
    const [oldest = ''] = this.#logins.keys();
    if (this.#logins.size > this.#most) this.#logins.delete(oldest);
    return id;
  }

  find(id: string, now = Date.now()): Principal | undefined {
    const login = this.#logins.get(tokenDigest(id));
    return login === undefined || login.expiresAt <= now ? undefined : login.principal;
  }

  remove(id: string): void {
    this.#logins.delete(tokenDigest(id));
  }
}
