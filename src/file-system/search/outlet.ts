import type { ResultBounds } from './messages.ts';

/** Results go out in parts of so many JSON bytes, and not later than so many milliseconds after the part before. */
const partBytes = 64 * 1024;
const partMs = 25;

/** Collects results up to the bounds of a search, and sends them in parts. */
export class Outlet<T> {
  readonly #bounds: ResultBounds;
  readonly #send: (results: T[]) => void;
  #part: T[] = [];
  #partBytes = 0;
  #sentAt = 0;
  #count = 0;
  #bytes = 0;
  #values = 0;
  #truncatedBy: 'matches' | 'bytes' | undefined;

  constructor(bounds: ResultBounds, send: (results: T[]) => void) {
    this.#bounds = bounds;
    this.#send = send;
  }

  /** The bound that a result has hit. */
  get truncatedBy(): 'matches' | 'bytes' | undefined {
    return this.#truncatedBy;
  }

  /** Answers false for a result beyond the bounds, which is not taken; no other is then. `values`: of its JSON. */
  add(result: T, values: number): boolean {
    if (this.#truncatedBy !== undefined) return false;
    const bytes = Buffer.byteLength(JSON.stringify(result)) + 1;
    if (this.#count + 1 > this.#bounds.count) this.#truncatedBy = 'matches';
    else if (this.#bytes + bytes > this.#bounds.bytes || this.#values + values > this.#bounds.values)
      this.#truncatedBy = 'bytes';
    if (this.#truncatedBy !== undefined) return false;
    this.#count += 1;
    this.#bytes += bytes;
    this.#values += values;
    this.#part.push(result);
    this.#partBytes += bytes;
    return true;
  }

  /** Sends what has been collected, if it is time. */
  offer(): void {
    if (this.#partBytes >= partBytes || performance.now() - this.#sentAt >= partMs) this.flush();
  }

  flush(): void {
    if (this.#part.length > 0) this.#send(this.#part);
    this.#part = [];
    this.#partBytes = 0;
    this.#sentAt = performance.now();
  }
}
