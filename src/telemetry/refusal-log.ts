import { limits } from '../protocol/limits.ts';
import type { Logger } from './logger.ts';

/** Logs clients that were refused: at most one line in `refusalLogMs`, so that nobody who has no token fills the log. */
export class RefusalLog {
  readonly #log: Logger;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(refusal: string): void {
    this.#count += 1;
    if (this.#timer !== undefined) return;
    this.#write(refusal);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#count > 0) this.#write('several');
    }, limits.refusalLogMs);
    this.#timer.unref();
  }

  #write(refusal: string): void {
    this.#log.warn({ refusal, count: this.#count }, 'a client was refused');
    this.#count = 0;
  }
}
