import { limitReached } from '../protocol/limit-settings.ts';

/** The processes that an executor may run at a time, whoever starts them. */
export class Places {
  readonly #most: number;
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Throws when all are taken. Disposing gives the place back. */
  take(): Disposable {
    if (this.#taken >= this.#most) {
      const what = `The executor runs ${this.#most} processes; try again when some have ended`;
      throw limitReached(what, 'processes', this.#most);
    }
    this.#taken += 1;
    return { [Symbol.dispose]: () => void (this.#taken -= 1) };
  }
}
