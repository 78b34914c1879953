import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { mebibytes, milliseconds, type Sample } from '../stats.ts';
import { WireClient } from '../wire-client.ts';
import { NotApplicable, type Row, type Subject } from './row.ts';
import { lines, output } from './transfers.ts';

/** Long enough for what a start or a row leaves to do, short enough not to wait for a timer that frees memory. */
const SETTLE_MS = 500;

export const startUp: Row = {
  name: 'startup',
  title: 'Start-up of a new executor process',
  servedByNull: false,
  run: async ({ target }: Subject): Promise<readonly Sample[]> => {
    await using executor = await target.launch();
    using _client = await WireClient.open(executor.url);
    const initializedAt = performance.now();
    return [
      milliseconds('address on stdout', executor.listeningAt - executor.spawnedAt),
      milliseconds('first initialize', initializedAt - executor.spawnedAt),
    ];
  },
};

export const memory: Row = {
  name: 'memory',
  title: 'Memory of a new executor process',
  servedByNull: false,
  run: async (subject: Subject): Promise<readonly Sample[]> => {
    await using executor = await subject.target.launch();
    {
      using _client = await WireClient.open(executor.url);
    }
    await sleep(SETTLE_MS);
    const idle = await readStatus(executor.pid);
    for (const row of [output, lines]) await row.run({ ...subject, url: executor.url });
    await sleep(SETTLE_MS);
    const after = await readStatus(executor.pid);
    return [
      mebibytes('resident when idle', idle.resident),
      mebibytes('resident after 64 MiB + a million lines', after.resident),
      mebibytes('peak', after.peak),
    ];
  },
};

async function readStatus(pid: number): Promise<{ resident: number; peak: number }> {
  if (process.platform !== 'linux') throw new NotApplicable('only Linux has /proc/PID/status');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'mu').exec(status)?.[1]) * 1024;
  return { resident: bytes('VmRSS'), peak: bytes('VmHWM') };
}
