import { RpcError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Child } from './child.ts';

export type WriteOutcome = 'written' | 'discarded' | 'duplicate' | 'noInput';

/** The standard input of one process: writes in order, each write id once, and never more queued than the limits say. */
export class Input {
  readonly #child: Child;
  readonly #writeIds = new Set<string>();
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #waitingBytes = 0;
  #ended = false;

  constructor(child: Child) {
    this.#child = child;
  }

  async write(bytes: Uint8Array, writeId: string | undefined): Promise<WriteOutcome> {
    // Before the end of input is looked at: what was accepted then is not refused now.
    if (writeId !== undefined && this.#writeIds.has(writeId)) return 'duplicate';
    if (!this.#child.hasInput || this.#ended) return 'noInput';
    if (this.#waitingBytes + bytes.length > limits.stdinWaitingBytes) {
      throw new RpcError(
        'overloaded',
        'The process does not read its input, and too many writes wait for it; this one was not queued.',
      );
    }
    if (writeId !== undefined) this.#remember(writeId);
    this.#waitingBytes += bytes.length;
    const outcome = await this.#inTurn((): WriteOutcome => {
      if (this.#child.inputBroken) return 'discarded';
      this.#child.write(bytes);
      return 'written';
    });
    this.#waitingBytes -= bytes.length;
    return outcome;
  }

  /** End of file after everything written before. */
  async end(writeId: string | undefined): Promise<WriteOutcome> {
    if (writeId !== undefined && this.#writeIds.has(writeId)) return 'duplicate';
    if (!this.#child.hasInput || this.#ended) return 'noInput';
    if (writeId !== undefined) this.#remember(writeId);
    // A terminal takes further input after an end of file; a pipe does not.
    this.#ended = !this.#child.tty;
    await this.#inTurn(() => this.#child.closeInput());
    return 'written';
  }

  /** Runs when everything before has run and the queue towards the child has room. */
  async #inTurn<T>(action: () => T): Promise<T> {
    const before = this.#turn;
    let done: () => void = () => {};
    this.#turn = new Promise((resolve) => void (done = resolve));
    this.#waiting += 1;
    try {
      if (this.#waiting > 1) await before;
      await this.#child.inputRoom(limits.stdinQueueBytes);
      return action();
    } finally {
      this.#waiting -= 1;
      done();
    }
  }

  #remember(writeId: string): void {
    this.#writeIds.add(writeId);
    if (this.#writeIds.size <= limits.writeIds) return;
    const [oldest] = this.#writeIds;
    if (oldest !== undefined) this.#writeIds.delete(oldest);
  }
}
