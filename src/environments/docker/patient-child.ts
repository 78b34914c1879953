import type { Readable, Writable } from 'node:stream';
import { limits } from '../../protocol/limits.ts';
import type { HopChild, HopExit } from '../hop.ts';
import { within } from '../../support/within.ts';

/** A command line whose own end is not that of what it has started elsewhere: that gets the end of its input first, and time. */
export class PatientChild implements HopChild {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<HopExit>;
  readonly #child: HopChild;
  readonly #kill: () => Promise<void>;
  #ending: Promise<void> | undefined;

  /** `kill` ends what does not end with its input. */
  constructor(child: HopChild, kill: () => Promise<void>) {
    ({ stdin: this.stdin, stdout: this.stdout, stderr: this.stderr, exited: this.exited } = child);
    this.#child = child;
    this.#kill = kill;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.stdin.end();
    // What is not read any more must not keep the end from coming.
    this.stdout.resume();
    this.stderr.resume();
    try {
      if (!(await within(limits.commandGraceMs, this.exited))) await this.#kill();
    } finally {
      await this.#child[Symbol.asyncDispose]();
    }
  }
}
