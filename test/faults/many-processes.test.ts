import { expect, test } from 'vitest';
import { RawClient } from '../support/faults-client.ts';
import { type ListeningExecutor, startExecutor } from '../support/faults-executor.ts';
import { childrenOf, openDescriptors, until } from '../support/faults-proc.ts';

const CONNECTIONS = 20;
const PROCESSES = 50;
/** Processes of one connection that run at the same time. */
const BATCH = 10;
/** The event loop and the libraries open some at their own time. */
const STRAY_DESCRIPTORS = 3;
const SETTLED_MS = 10_000;

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Every fifth on a PTY, every third with an open input; each with an exit status and an output of its own. */
async function runOne(client: RawClient, name: string, number: number): Promise<void> {
  const tty = number % 5 === 0;
  const exitCode = number % 256;
  const script = 'printf %s "$1"; printf %s "$1" >&2; exit "$2"';
  const argv = ['/bin/sh', '-c', script, 'sh', name, String(exitCode)];
  const log = await client.start({ processId: name, argv, tty, pipeStdin: number % 3 === 0 });
  const closed = await log.closed();
  const bytes = tty ? { pty: 2 * name.length } : { stdout: name.length, stderr: name.length };
  expect(closed, name).toMatchObject({ bytes, droppedBytes: 0, streamsEnded: true });
  expect(log.exit, name).toMatchObject({ exitCode, signal: null, endReason: 'exited' });
  expect(log.content().toString(), name).toBe(name + name);
}

async function runBatches(client: RawClient, connection: number): Promise<void> {
  for (let first = 0; first < PROCESSES; first += BATCH) {
    const batch = numbers(BATCH).map((offset) => first + offset);
    await Promise.all(batch.map((number) => runOne(client, `c${connection}-p${number}`, number)));
  }
}

async function connectAll(executor: ListeningExecutor): Promise<RawClient[]> {
  return Promise.all(numbers(CONNECTIONS).map(() => RawClient.connect(executor.url)));
}

test('1,000 processes over 20 connections leave no zombie, no descriptor and no process behind', async () => {
  await using executor = await startExecutor();
  await using first = await RawClient.connect(executor.url);
  // What is opened once and kept.
  await runOne(first, 'pipes', 1);
  await runOne(first, 'terminal', 0);
  await until(
    SETTLED_MS,
    () => childrenOf(executor.pid).length === 0,
    () => 'the first processes are not reaped',
  );
  const before = openDescriptors(executor.pid);

  await using connections = new AsyncDisposableStack();
  const clients = (await connectAll(executor)).map((client) => connections.use(client));
  await Promise.all(clients.map(runBatches));

  for (const client of clients) {
    const open = await client.request('process/list', {});
    expect(open.processes).toEqual([]);
    const all = await client.request('process/list', { includeClosed: true });
    expect(all.processes).toHaveLength(PROCESSES);
    expect(new Set(all.processes.map(({ state }) => state))).toEqual(new Set(['closed']));
  }
  await until(
    SETTLED_MS,
    () => childrenOf(executor.pid).length === 0,
    () => `children are left: ${JSON.stringify(childrenOf(executor.pid))}`,
  );
  await connections.disposeAsync();
  await until(
    SETTLED_MS,
    () => openDescriptors(executor.pid) <= before + STRAY_DESCRIPTORS,
    () => `${before} descriptors were open before, ${openDescriptors(executor.pid)} are now`,
  );
  expect(executor.stderr).toBe('');
});

test('descriptors and children of starts that fail are given back', async () => {
  await using executor = await startExecutor();
  await using client = await RawClient.connect(executor.url);
  await runOne(client, 'pipes', 1);
  const before = openDescriptors(executor.pid);
  const failures = [
    { argv: ['/no/such/program'], message: 'os error 2' },
    { argv: ['/bin/true'], cwd: '/no/such/folder', message: 'os error 2' },
    { argv: ['/etc'], message: 'os error 13' },
    { argv: ['/bin/true', 'x'.repeat(200_000)], message: 'os error 7' },
  ];
  const starts = numbers(200).map(async (number) => {
    const { message, ...params } = failures[number % failures.length] ?? { argv: [], message: '' };
    const start = client.start({ ...params, processId: `failed-${number}`, tty: number % 2 === 0 });
    await expect(start).rejects.toThrow(message);
  });
  await Promise.all(starts);
  expect((await client.request('process/list', { includeClosed: true })).processes).toHaveLength(1);
  await until(
    SETTLED_MS,
    () =>
      childrenOf(executor.pid).length === 0 && openDescriptors(executor.pid) <= before + STRAY_DESCRIPTORS,
    () => `${openDescriptors(executor.pid)} descriptors are open, ${before} were before`,
  );
});
