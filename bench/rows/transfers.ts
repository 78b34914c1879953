import { BrokenRow, type ProcessRun } from '../process-run.ts';
import { milliseconds, type Sample } from '../stats.ts';
import { keepInFlight, WireClient } from '../wire-client.ts';
import type { Row, Subject } from './row.ts';

/** 1 MiB of input on its way: enough to hide the round trips, less than any executor's queue of 128 writes. */
const WRITES_IN_FLIGHT = 16;

export const output: Row = {
  name: 'output',
  title: '64 MiB of output from one process',
  servedByNull: true,
  run: async ({ url, target, fixtures }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const clock = startClock();
    const { run } = client.start({ argv: ['/bin/cat', fixtures.outputFile], cwd: target.cwd });
    const samples = clock(await completed(run));
    run.expectOutput(fixtures.output);
    return samples;
  },
};

export const lines: Row = {
  name: 'lines',
  title: 'A million lines (seq)',
  servedByNull: false,
  run: async ({ url, target, fixtures }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const clock = startClock();
    const { run } = client.start({ argv: ['/usr/bin/seq', '1', `${fixtures.lineCount}`], cwd: target.cwd });
    const samples = clock(await completed(run));
    run.expectOutput(fixtures.lines);
    return samples;
  },
};

/** The reference has no way to close the standard input of a pipe: `head` ends after the agreed number of bytes. */
export const input: Row = {
  name: 'stdin',
  title: `16 MiB of standard input to sha256sum (64 KiB writes, ${WRITES_IN_FLIGHT} in flight)`,
  servedByNull: false,
  run: async ({ url, target, fixtures }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const { id, run, started } = client.start({
      argv: ['/bin/sh', '-c', `head -c ${fixtures.input.bytes} | sha256sum`],
      cwd: target.cwd,
      pipeStdin: true,
    });
    await started;
    const clock = startClock();
    const written = keepInFlight(fixtures.inputChunks.length, WRITES_IN_FLIGHT, async (index) => {
      const params = { processId: id, chunk: fixtures.inputChunks[index], writeId: `${index}` };
      const { status } = await client.call('process/write', params);
      if (status !== 'accepted') throw new BrokenRow(`write ${index} was answered ${status}`);
    });
    await Promise.all([written, run.closed]);
    const samples = clock(await completed(run));
    if (run.text() !== `${fixtures.input.sha256}  -\n`) {
      throw new BrokenRow('the process read other bytes than were written');
    }
    return samples;
  },
};

async function completed(run: ProcessRun): Promise<ProcessRun> {
  await run.closed;
  run.expectExitCode(0);
  return run;
}

/** Wall time, and how much of it this client itself computed: were both alike, the row would measure the client. */
function startClock(): (run: ProcessRun) => readonly Sample[] {
  const cpuBefore = process.cpuUsage();
  const before = performance.now();
  return (run) => {
    const { user, system } = process.cpuUsage(cpuBefore);
    return [
      milliseconds('all', (run.closedAt ?? Number.NaN) - before),
      milliseconds('of which client CPU', (user + system) / 1000),
    ];
  };
}
