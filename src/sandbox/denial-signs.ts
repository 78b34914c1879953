import { limits } from '../protocol/limits.ts';

/** What programs write when the kernel has refused them something. */
const signs =
  /operation not permitted|permission denied|read-only file system|seccomp|landlock|sandbox|failed to write file|network is unreachable/i;

/** Looks in the newest output of a confined process for signs that its sandbox has stopped it: a guess, meant for people. */
export class DenialSigns {
  #tail: Buffer[] = [];
  #bytes = 0;

  add(output: Buffer): void {
    this.#tail.push(output);
    this.#bytes += output.length;
    while (this.#bytes - (this.#tail[0]?.length ?? 0) >= limits.denialTailBytes) {
      this.#bytes -= this.#tail.shift()?.length ?? 0;
    }
  }

  /** `denials`: what its launcher knows to have refused. */
  denied(exit: {
    readonly code: number;
    readonly signal: string | null;
    readonly denials?: number;
  }): boolean {
    if (exit.code === 0) return false;
    if (exit.signal === 'SIGSYS' || (exit.denials ?? 0) > 0) return true;
    return signs.test(Buffer.concat(this.#tail).toString('latin1'));
  }
}
