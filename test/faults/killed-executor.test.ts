import { describe, expect, test } from 'vitest';
import { RawClient } from '../support/faults-client.ts';
import { type Executor, startExecutor, startStdioExecutor } from '../support/faults-executor.ts';
import { childrenOf, isAlive, isGone, until, within } from '../support/faults-proc.ts';

const DEAD_MS = 10_000;
const STOPPED_MS = 20_000;

/** What dies of anything, what asks for KILL, and a terminal. */
const programs = [
  { processId: 'pipes', argv: ['/bin/sleep', '1000'], tty: false },
  { processId: 'terminal', argv: ['/bin/sleep', '1000'], tty: true },
  {
    processId: 'stubborn',
    argv: ['/bin/sh', '-c', 'trap "" TERM HUP; echo ready; while :; do read x; done'],
  },
  { processId: 'stubborn-terminal', argv: ['/usr/bin/env', '--ignore-signal', 'sleep', '1000'], tty: true },
];

const transports = [
  {
    name: 'WebSocket',
    open: async () => {
      const executor = await startExecutor();
      return { executor, client: await RawClient.connect(executor.url) };
    },
  },
  {
    name: 'stdio',
    open: async () => {
      const executor = startStdioExecutor();
      return { executor, client: await RawClient.overStdio(executor) };
    },
  },
];

/** Starts the programs and answers their pids. */
async function startAll(executor: Executor, client: RawClient): Promise<number[]> {
  for (const program of programs) await client.start({ pipeStdin: true, ...program });
  const { processes } = await client.request('process/list', {});
  const pids = processes.map(({ pid }) => pid ?? 0);
  const children = childrenOf(executor.pid).map(({ pid }) => pid);
  expect(new Set(children)).toEqual(new Set(pids));
  return pids;
}

/** Has output wait that nobody takes: the kernel's buffers are full, and so is what the executor keeps for sending. */
async function stall(client: RawClient): Promise<void> {
  const argv = ['/bin/sh', '-c', 'read go; exec head -c 33554432 /dev/zero'];
  await client.start({ processId: 'flood', argv, pipeStdin: true });
  const pid = await client.pidOf('flood');
  client.pause();
  client.post('process/write', { processId: 'flood', chunk: btoa('go\n') }).catch(() => {});
  await until(
    STOPPED_MS,
    () => isGone(pid),
    () => 'the flood has not ended',
  );
}

describe.each(transports)('an executor over $name', ({ open }) => {
  test('takes its children along when it is killed', async () => {
    const { executor, client } = await open();
    await using _executor = executor;
    const pids = await startAll(executor, client);
    executor.kill('SIGKILL');
    expect(await within(DEAD_MS, 'the end of the executor', executor.exited)).toMatchObject({
      signal: 'SIGKILL',
    });
    await until(
      DEAD_MS,
      () => !pids.some(isAlive),
      () => `these are alive: ${pids.filter(isAlive).join()}`,
    );
    await client[Symbol.asyncDispose]();
  });

  test('ends everything and exits with 0 at SIGTERM', async () => {
    const { executor, client } = await open();
    await using _executor = executor;
    const pids = await startAll(executor, client);
    executor.kill('SIGTERM');
    expect(await within(STOPPED_MS, 'the end of the executor', executor.exited)).toEqual({
      code: 0,
      signal: null,
    });
    expect(pids.filter(isAlive)).toEqual([]);
    await client[Symbol.asyncDispose]();
  });

  test('does so even when its client does not read', async () => {
    const { executor, client } = await open();
    await using _executor = executor;
    const pids = await startAll(executor, client);
    await stall(client);
    executor.kill('SIGTERM');
    expect(await within(STOPPED_MS, 'the end of the executor', executor.exited)).toEqual({
      code: 0,
      signal: null,
    });
    expect(pids.filter(isAlive)).toEqual([]);
    client.resume();
    await client[Symbol.asyncDispose]();
  });
});
