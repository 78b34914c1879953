import { native, reaperPath } from '../support/native.ts';

let outcome: number | undefined;

/**
 * Starts, once, the small program that kills what this process has started when this process is killed. Answers false where it cannot
 * run: the programs themselves still die with this process on Linux, but not what they started in turn.
 */
export function openGuard(): boolean {
  outcome ??= native().guardOpen(Buffer.from(`${reaperPath}\0`));
  return outcome === 0;
}
