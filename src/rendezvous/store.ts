import { randomBytes } from 'node:crypto';

export const transports = ['relay_v1', 'direct_jsonrpc_v1'] as const;
/** How an executor speaks: relay frames with many streams, or one plain session a socket. */
export type ExecutorTransport = (typeof transports)[number];

/** What is known of an environment, whether its executor is there or not. */
export interface Registration {
  readonly tenant: string;
  readonly environment: string;
  /** Whose it is. */
  readonly subject: string;
  readonly name: string;
  readonly version: string;
  readonly transport: ExecutorTransport;
  readonly registrationId: string;
  readonly executorId: string;
  readonly idempotencyId: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly lastSeen: number;
}

/** What outlives a process, or not. All of it is small, and is written at once. */
export interface Store extends Disposable {
  /** The key of tickets. */
  readonly key: Buffer;
  registrations(): Registration[];
  save(registration: Registration): void;
  remove(tenant: string, environment: string): void;
  /** Remembers a ticket until it expires. False where it has been used before, or where too many are remembered. */
  useTicket(nonce: string, expiresAt: number, most: number): boolean;
}

export class MemoryStore implements Store {
  readonly key: Buffer = randomBytes(32);
  readonly #used = new Map<string, number>();

  registrations(): Registration[] {
    return [];
  }

  save(): void {}

  remove(): void {}

  useTicket(nonce: string, expiresAt: number, most: number): boolean {
    if (this.#used.size >= most) this.#forgetExpired();
    if (this.#used.size >= most || this.#used.has(nonce)) return false;
    this.#used.set(nonce, expiresAt);
    return true;
  }

  [Symbol.dispose](): void {
    this.#used.clear();
  }

  #forgetExpired(): void {
    const now = Date.now();
    for (const [nonce, expiresAt] of this.#used) if (expiresAt <= now) this.#used.delete(nonce);
  }
}
