interface Bucket {
  tokens: number;
  at: number;
}

/** How often something may be done: a burst at once, then so many times a second. */
export class Rates {
  readonly #most: number;
  readonly #buckets = new Map<string, Bucket>();

  /** `most`: keys that are remembered; beyond it the one that was used longest ago is forgotten. */
  constructor(most: number) {
    this.#most = most;
  }

  /** False where it was done too often. */
  take(key: string, burst: number, perSecond: number, now = Date.now()): boolean {
    const { tokens, at } = this.#buckets.get(key) ?? { tokens: burst, at: now };
    const left = Math.min(burst, tokens + ((now - at) / 1000) * perSecond);
    this.#buckets.delete(key);
    const isAllowed = left >= 1;
    this.#buckets.set(key, { tokens: isAllowed ? left - 1 : left, at: now });
    if (this.#buckets.size > this.#most) {
      const [oldest = ''] = this.#buckets.keys();
      this.#buckets.delete(oldest);
    }
    return isAllowed;
  }
}
