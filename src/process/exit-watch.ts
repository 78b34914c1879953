import { constants } from 'node:os';
import { native } from '../support/native.ts';

export interface ChildExit {
  /** 128+n when signal n ended it. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly usage: { readonly userCpuMs: number; readonly systemCpuMs: number };
  /** Operations that its sandbox is known to have refused. */
  readonly denials?: number;
}

const watched = new Map<number, (exit: ChildExit | null) => void>();
/** Keeps this process alive while a child runs whose streams have ended, and asks again should a signal have been missed. */
let watchTimer: NodeJS.Timeout | undefined;
/** Milliseconds. */
const askAgainMs = 1000;

/** Calls back when a child of this process has ended, which is not reaped by that. null: its status could not be read. */
export function watchExit(pid: number, onExit: (exit: ChildExit | null) => void): void {
  if (watched.size === 0) {
    process.on('SIGCHLD', askAll);
    watchTimer = setInterval(askAll, askAgainMs);
  }
  watched.set(pid, onExit);
  // It may have ended before it was watched.
  setImmediate(() => ask(pid));
}

/** One SIGCHLD can stand for several children, so each one is asked. */
function askAll(): void {
  for (const pid of watched.keys()) ask(pid);
}

function ask(pid: number): void {
  const onExit = watched.get(pid);
  const status = onExit && native().exitStatus(pid);
  if (onExit === undefined || status === null || status === undefined) return;
  watched.delete(pid);
  if (watched.size === 0) {
    process.off('SIGCHLD', askAll);
    clearInterval(watchTimer);
  }
  onExit(typeof status === 'number' ? null : readExit(status));
}

function readExit([code, signal, userUs, systemUs]: readonly [number, number, number, number]): ChildExit {
  return {
    ...endedBy(code, signal),
    usage: { userCpuMs: userUs / 1000, systemCpuMs: systemUs / 1000 },
  };
}

/** `signal` 0: it ended by itself, with `code`. */
export function endedBy(code: number, signal: number): Pick<ChildExit, 'code' | 'signal'> {
  if (signal === 0) return { code, signal: null };
  const names = Object.entries(constants.signals) as [NodeJS.Signals, number][];
  const name = names.find(([, number]) => number === signal)?.[0];
  return { code: 128 + signal, signal: name ?? (`SIG${signal}` as NodeJS.Signals) };
}
