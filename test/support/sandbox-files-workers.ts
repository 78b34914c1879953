import { readFile, readdir } from 'node:fs/promises';

import { eventually } from './conformance-leftovers.ts';

/** The pids of the workers of an executor, found among all that it has started. */
export async function workersOf(executor: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => undefined);
    if (stat === undefined) continue;
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state !== 'Z' && state !== 'X') parents.set(Number(name), Number(parent));
  }
  const descends = (pid: number): boolean => {
    for (let at = parents.get(pid); at !== undefined; at = parents.get(at)) if (at === executor) return true;
    return false;
  };
  const found: number[] = [];
  for (const pid of parents.keys()) {
    if (!descends(pid)) continue;
    const words = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).split('\0');
    // Behind the runtime; a launcher in between has other words.
    if (/\/confined\/worker\.[jt]s$/.test(words[1] ?? '')) found.push(pid);
  }
  return found.sort((a, b) => a - b);
}

/** Waits until an executor has so many, and answers them. */
export async function hasWorkers(executor: number, count: number): Promise<number[]> {
  return eventually(`${count} workers of ${executor}`, async () => {
    const found = await workersOf(executor);
    return found.length === count ? found : undefined;
  });
}
