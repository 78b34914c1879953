import { existsSync } from 'node:fs';
import { BrokenRow } from '../process-run.ts';
import { latencies, milliseconds, type Sample } from '../stats.ts';
import { WireClient } from '../wire-client.ts';
import type { Row, Subject } from './row.ts';

/** By absolute path: a search in PATH is not what these rows compare. macOS keeps it elsewhere. */
const TRUE = existsSync('/bin/true') ? '/bin/true' : '/usr/bin/true';

const SPAWNS = 20;
const PARALLEL_SPAWNS = 16;
const PTY_SPAWNS = 10;
/** Below 4096, the longest line that a terminal in its usual mode takes. */
const KEYSTROKES = 50;

export const spawn: Row = {
  name: 'spawn',
  title: `Spawn of ${TRUE} until closed (${SPAWNS} in turn)`,
  servedByNull: false,
  run: async ({ url, target }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const times: number[] = [];
    let answered = 0;
    for (let process = 0; process < SPAWNS; process += 1) {
      const before = performance.now();
      const { run, started } = client.start({ argv: [TRUE], cwd: target.cwd });
      const reply = started.then(() => performance.now());
      await run.closed;
      answered += (await reply) - before;
      times.push(performance.now() - before);
      run.expectExitCode(0);
    }
    return [milliseconds('reply to process/start', answered / SPAWNS), ...latencies(times)];
  },
};

export const parallelSpawns: Row = {
  name: 'parallel',
  title: `${PARALLEL_SPAWNS} parallel spawns of ${TRUE} until all closed`,
  servedByNull: false,
  run: async ({ url, target }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const before = performance.now();
    const processes = Array.from({ length: PARALLEL_SPAWNS }, () =>
      client.start({ argv: [TRUE], cwd: target.cwd }),
    );
    await Promise.all(processes.flatMap(({ run, started }) => [started, run.closed]));
    const time = performance.now() - before;
    for (const { run } of processes) run.expectExitCode(0);
    return [milliseconds('all', time)];
  },
};

export const ptySpawn: Row = {
  name: 'pty-spawn',
  title: `PTY spawn of /bin/echo (${PTY_SPAWNS} in turn, mean)`,
  servedByNull: false,
  run: async ({ url, target }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    let firstOutput = 0;
    let closed = 0;
    for (let process = 0; process < PTY_SPAWNS; process += 1) {
      const before = performance.now();
      const { run, started } = client.start({ argv: ['/bin/echo', 'ready'], cwd: target.cwd, tty: true });
      await Promise.all([started, run.closed]);
      run.expectExitCode(0);
      if (run.text() !== 'ready\r\n')
        throw new BrokenRow(`the terminal showed ${JSON.stringify(run.text())}`);
      firstOutput += (run.firstOutputAt ?? Number.NaN) - before;
      closed += (run.closedAt ?? Number.NaN) - before;
    }
    return [
      milliseconds('first output', firstOutput / PTY_SPAWNS),
      milliseconds('closed', closed / PTY_SPAWNS),
    ];
  },
};

export const ptyEcho: Row = {
  name: 'pty-echo',
  title: `PTY echo (${KEYSTROKES} keystrokes to /bin/cat in turn)`,
  servedByNull: false,
  run: async ({ url, target }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const { id, run, started } = client.start({ argv: ['/bin/cat'], cwd: target.cwd, tty: true });
    await started;
    const times: number[] = [];
    for (let stroke = 0; stroke < KEYSTROKES; stroke += 1) {
      const key = String.fromCodePoint(97 + (stroke % 26));
      const echo = Promise.withResolvers<Buffer>();
      run.onOutput = echo.resolve;
      const before = performance.now();
      const accepted = client.call('process/write', {
        processId: id,
        chunk: Buffer.from(key).toString('base64'),
        writeId: `${stroke}`,
      });
      // The run ends early only when something broke; its reason is then the row's.
      const shown = await Promise.race([echo.promise, run.closed]);
      times.push(performance.now() - before);
      await accepted;
      const text = shown?.toString();
      if (text !== key) throw new BrokenRow(`${JSON.stringify(text)} was echoed for ${key}`);
    }
    await client.call('process/terminate', { processId: id });
    await run.closed;
    return latencies(times);
  },
};
