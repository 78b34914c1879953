import type { RelayTiming } from './timing.ts';

export interface ClockEvents {
  onResend(): void;
  onAck(): void;
  onHeartbeat(): void;
  onSilence(milliseconds: number): void;
}

/** The timers of one stream. None keeps a process alive but the one of a stream that is closing. */
export class StreamClocks {
  readonly #timing: RelayTiming;
  readonly #events: ClockEvents;
  #resend: NodeJS.Timeout | undefined;
  #ack: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #close: NodeJS.Timeout | undefined;
  #hasHeard = true;
  #hasSent = true;
  #silent = 0;
  #stopped = false;

  constructor(timing: RelayTiming, events: ClockEvents) {
    this.#timing = timing;
    this.#events = events;
  }

  heard(): void {
    this.#hasHeard = true;
  }

  /** Every frame carries an acknowledgement. */
  sent(): void {
    this.#hasSent = true;
    clearTimeout(this.#ack);
    this.#ack = undefined;
  }

  ackSoon(): void {
    if (this.#stopped) return;
    this.#ack ??= setTimeout(() => this.#events.onAck(), this.#timing.ackDelayMs).unref();
  }

  resendIn(milliseconds: number, anew: boolean): void {
    if (this.#stopped || (this.#resend !== undefined && !anew)) return;
    clearTimeout(this.#resend);
    this.#resend = setTimeout(() => {
      this.#resend = undefined;
      this.#events.onResend();
    }, milliseconds).unref();
  }

  stopResending(): void {
    clearTimeout(this.#resend);
    this.#resend = undefined;
  }

  startHeartbeats(): void {
    if (this.#stopped) return;
    this.#heartbeat ??= setInterval(() => this.#beat(), this.#timing.heartbeatMs).unref();
  }

  closeIn(onTimeout: () => void): void {
    this.#close ??= setTimeout(onTimeout, this.#timing.closeMs);
  }

  stop(): void {
    this.#stopped = true;
    this.stopResending();
    clearTimeout(this.#ack);
    clearInterval(this.#heartbeat);
    clearTimeout(this.#close);
  }

  #beat(): void {
    const { silentHeartbeats, heartbeatMs } = this.#timing;
    this.#silent = this.#hasHeard ? 0 : this.#silent + 1;
    this.#hasHeard = false;
    if (this.#silent >= silentHeartbeats) return this.#events.onSilence(this.#silent * heartbeatMs);
    if (!this.#hasSent) this.#events.onHeartbeat();
    this.#hasSent = false;
  }
}
