import { readFile, readdir } from 'node:fs/promises';

/** The variable that marks executors and what they start, so that whatever is left behind can be found. */
export const markVariable = 'EXEC_SERVER_CONFORMANCE_MARK';

const deadlineMs = 15_000;
const pollMs = 25;

/** Asks again and again until the answer is not undefined. For what nobody tells: files, processes of the system. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`${deadlineMs} ms passed while waiting for ${what}`);
    await new Promise((resolve) => void setTimeout(resolve, pollMs));
  }
}

/** Fails if processes that carry the mark stay. Finds none where there is no /proc. */
export async function expectNothingLeft(mark: string): Promise<void> {
  let left: string[] = [];
  await eventually('the end of all processes', async () => {
    left = await markedProcesses(mark);
    return left.length === 0 ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(`These processes are left:\n${left.join('\n')}`, { cause });
  });
}

/** Whether a process runs: a zombie, which nobody has waited for yet, does not. */
export async function isRunning(pid: number): Promise<boolean> {
  const state = await processState(String(pid));
  return state !== undefined && state !== 'Z' && state !== 'X';
}

export async function untilGone(pid: number): Promise<void> {
  await eventually(`the end of process ${pid}`, async () => ((await isRunning(pid)) ? undefined : true));
}

async function markedProcesses(mark: string): Promise<string[]> {
  const names = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (pid) => {
      if (Number(pid) === process.pid) return undefined;
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (!environment.includes(`${markVariable}=${mark}`)) return undefined;
      const state = await processState(pid);
      if (state === undefined || state === 'Z' || state === 'X') return undefined;
      const command = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
      return `${pid} ${command.replaceAll('\0', ' ')}`;
    }),
  );
  return found.filter((line) => line !== undefined);
}

async function processState(pid: string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[0];
}
