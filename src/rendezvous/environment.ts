import type { CloseReason } from '../rpc/transport.ts';
import type { Exchange, ExchangeOptions } from './exchange.ts';
import type { Leg } from './leg.ts';
import { PlainExchange } from './plain-exchange.ts';
import { RelayExchange } from './relay-exchange.ts';
import type { ExecutorTransport, Registration } from './store.ts';

export interface EnvironmentOptions extends Omit<ExchangeOptions, 'onChange'> {
  /** The executor is gone; with the time of that. */
  readonly onGone: (registration: Registration) => void;
}

/** One environment: what its executor has registered, and its sockets. */
export class Environment {
  readonly #options: ExchangeOptions;
  readonly #waiting = new Set<() => void>();
  #registration: Registration;
  #exchange: Exchange;
  readonly #onGone: (registration: Registration) => void;
  /** When its executor went, or registered without having come yet; at the start of this process, as far as that knows. */
  #absentSince = Date.now();

  constructor(registration: Registration, options: EnvironmentOptions) {
    this.#options = { ...options, onChange: () => this.#changed() };
    this.#onGone = options.onGone;
    this.#registration = registration;
    this.#exchange = this.#exchangeFor(registration.transport);
  }

  get registration(): Registration {
    return this.#registration;
  }

  get exchange(): Exchange {
    return this.#exchange;
  }

  get online(): boolean {
    return this.#exchange.online;
  }

  get lastSeen(): number {
    return this.online ? Date.now() : this.#registration.lastSeen;
  }

  /** Whether its executor has been gone for so long. */
  isAbsent(milliseconds: number, now = Date.now()): boolean {
    return !this.online && now - this.#absentSince > milliseconds;
  }

  /** Whether its executor is there, or may be on its way. */
  isHeld(now = Date.now()): boolean {
    const { executorGraceMs, ticketSeconds } = this.#options.limits;
    return !this.isAbsent(Math.max(executorGraceMs, ticketSeconds * 1000), now);
  }

  /** Its executor has registered again, or another one in its place. */
  update(registration: Registration): void {
    const former = this.#registration;
    this.#registration = registration;
    if (!this.online) this.#absentSince = Date.now();
    const isAnother = former.subject !== registration.subject || former.transport !== registration.transport;
    if (!isAnother) return;
    this.#exchange.close({ kind: 'executorGone', message: 'another executor has registered' });
    this.#exchange = this.#exchangeFor(registration.transport);
  }

  executorArrived(leg: Leg): void {
    this.#exchange.executorArrived(leg);
    for (const wake of this.#waiting) wake();
  }

  /** Whether the executor is there, at once or after some time. */
  async whenOnline(milliseconds: number): Promise<boolean> {
    if (this.online) return true;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#waiting.add(done);
    });
    return this.online;
  }

  finish(reason: CloseReason, waitMs: number): void {
    for (const wake of this.#waiting) wake();
    this.#exchange.finish(reason, waitMs);
  }

  #exchangeFor(transport: ExecutorTransport): Exchange {
    return transport === 'relay_v1' ? new RelayExchange(this.#options) : new PlainExchange(this.#options);
  }

  #changed(): void {
    if (this.online) return;
    this.#absentSince = Date.now();
    this.#registration = { ...this.#registration, lastSeen: this.#absentSince };
    this.#onGone(this.#registration);
  }
}
