import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Between two looks at what the kernel tells only on request. */
const POLL_MS = 20;

/** What the promise brings. Throws, naming what was awaited, when the time passes first. */
export async function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when the condition holds, for states that no event tells. The text says what is seen instead. */
export async function until(
  milliseconds: number,
  condition: () => boolean,
  otherwise: () => string,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${milliseconds} ms: ${otherwise()}`);
    await delay(POLL_MS);
  }
}

/** Runs, or could run again. A zombie does not: its program is gone. */
export function isAlive(pid: number): boolean {
  const state = readStat(pid)?.state;
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Neither runs nor waits to be reaped. */
export function isGone(pid: number): boolean {
  return !existsSync(`/proc/${pid}`);
}

export interface ProcStat {
  readonly pid: number;
  readonly name: string;
  readonly state: string;
  readonly parent: number;
}

/** The children of a process, zombies included. */
export function childrenOf(parent: number): ProcStat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined)
    .filter((stat) => stat.parent === parent);
}

/** The programs that wait for the end of an executor. */
export function reapersOf(executor: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .filter((name) => readText(`/proc/${name}/cmdline`) === `exec-server-reaper\0${executor}\0`)
    .map(Number);
}

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Resident memory in MiB: now, and the most that it ever was. */
export function residentMiB(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'mu').exec(status)?.[1]) / 1024;
  return { now: read('VmRSS'), peak: read('VmHWM') };
}

/** undefined where the process is gone. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
}

function readStat(pid: number): ProcStat | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name is in parentheses and may hold any character: what follows the last one is regular.
  const nameEnd = stat.lastIndexOf(')');
  const [state = '', parent] = stat.slice(nameEnd + 2).split(' ');
  return { pid, name: stat.slice(stat.indexOf('(') + 1, nameEnd), state, parent: Number(parent) };
}
