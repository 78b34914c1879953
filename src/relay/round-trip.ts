/** Weights of a new measurement, and how many mean deviations a wait has room for (RFC 6298). */
const [smoothing, deviating, deviations] = [1 / 8, 1 / 4, 4];

export interface ResendTimes {
  readonly firstMs: number;
  readonly leastMs: number;
  readonly mostMs: number;
}

/** How long an acknowledgement takes, and how long it is to be waited for. */
export class RoundTrip {
  readonly #times: ResendTimes;
  #mean: number | undefined;
  #deviation = 0;
  #doublings = 0;

  constructor(times: ResendTimes) {
    this.#times = times;
  }

  /** Milliseconds until a frame that has not been acknowledged is sent again. */
  get waitMs(): number {
    const { firstMs, leastMs, mostMs } = this.#times;
    const wait = this.#mean === undefined ? firstMs : this.#mean + deviations * this.#deviation;
    return Math.min(mostMs, Math.max(leastMs, wait) * 2 ** this.#doublings);
  }

  get meanMs(): number {
    return this.#mean ?? this.#times.leastMs;
  }

  /** One that was sent once: of others nobody knows which sending was acknowledged. */
  measured(milliseconds: number): void {
    if (this.#mean === undefined) {
      this.#mean = milliseconds;
      this.#deviation = milliseconds / 2;
    } else {
      this.#deviation += deviating * (Math.abs(this.#mean - milliseconds) - this.#deviation);
      this.#mean += smoothing * (milliseconds - this.#mean);
    }
    this.#doublings = 0;
  }

  /** Something was acknowledged: the way is open again. */
  opened(): void {
    this.#doublings = 0;
  }

  waitedInVain(): void {
    if (this.waitMs < this.#times.mostMs) this.#doublings += 1;
  }
}
