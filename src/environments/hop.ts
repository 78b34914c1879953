import type { Readable, Writable } from 'node:stream';

/** What to start, without a shell. */
export interface HopCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** In addition to the variables that programs have there anyway. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Absolute. Where programs begin there if absent. */
  readonly cwd?: string | undefined;
}

/** Where a command with pipes can be started: this machine, or inside an environment. */
export interface Hop {
  /** For errors and logs: `this machine`, or `environment "id"`. */
  readonly label: string;
  /** Rejects when nothing was started. `signal` is for the start: a child that runs is ended by its disposal. */
  spawn(command: HopCommand, signal: AbortSignal): Promise<HopChild>;
}

export interface HopExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running command. Its disposal ends the command and what that has started: TERM to the group, KILL after 2 s. */
export interface HopChild extends AsyncDisposable {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly exited: Promise<HopExit>;
}
