import type { Confined } from '../sandbox/launch.ts';
import { native } from '../support/native.ts';
import { type ChildExit, watchExit } from './exit-watch.ts';

/** A program that was started, by whatever means: where signals go, how it ended, and its pid until that is given back. */
export interface Program {
  /** Also the id of its group and its session. Nobody else's until `release`. */
  readonly pid: number;
  /** undefined: nothing confines it. */
  readonly confined?: Confined;
  /** Calls back once. null: how it ended is not known. */
  onExit(callback: (exit: ChildExit | null) => void): void;
  /** Gives the pid back. Only after the exit. Resolves when nothing of it is left; undefined: at once. */
  release(): Promise<void> | undefined;
}

/** A child of this process: it stays a zombie until it is released. */
export class DirectProgram implements Program {
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  onExit(callback: (exit: ChildExit | null) => void): void {
    watchExit(this.pid, callback);
  }

  release(): undefined {
    native().reap(this.pid);
  }
}
