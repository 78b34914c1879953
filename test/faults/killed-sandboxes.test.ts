import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { WireParams } from '../../src/protocol/methods.ts';
import { RawClient } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';
import { childrenOf, isAlive, until, within } from '../support/faults-proc.ts';
import { type Enforcer, arena, requireSandbox } from '../support/sandbox-arena.ts';
import { projectRoots, restricted, root } from '../support/sandbox-profiles.ts';

const DEAD_MS = 10_000;
const READY_MS = 30_000;

type Start = Omit<WireParams<'process/start'>, 'env' | 'cwd' | 'tty'> & { readonly tty?: boolean };

/** What dies of anything, what asks for KILL, a terminal, and what has left its session. */
const programs: readonly Start[] = [
  { processId: 'pipes', argv: ['/bin/sh', '-c', 'echo ready; exec sleep 1000'] },
  { processId: 'terminal', argv: ['/bin/sh', '-c', 'echo ready; sleep 1000; :'], tty: true },
  {
    processId: 'stubborn',
    argv: ['/bin/sh', '-c', 'trap "" TERM HUP INT; echo ready; while :; do sleep 1; done'],
  },
  {
    processId: 'detached',
    argv: ['/bin/sh', '-c', 'setsid sleep 1000 & setsid -f sleep 1000; echo ready; wait'],
  },
];

/** Everything that descends from a process. */
function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => descendantsOf(child.pid).concat(child.pid));
}

interface Arena {
  readonly workspace: string;
  readonly state: string;
  readonly sandbox: NonNullable<WireParams<'process/start'>['sandbox']>;
}

async function workspaceIn(folder: string): Promise<Arena> {
  const workspace = `${folder}/w`;
  await mkdir(`${workspace}/.git`, { recursive: true });
  await writeFile(`${workspace}/f`, 'f');
  const permissions = restricted([root('read'), projectRoots('write')]);
  return {
    workspace,
    state: `${folder}/state`,
    sandbox: { permissions, cwd: workspace, workspaceRoots: [workspace] },
  };
}

/** Confined processes that run, and workers with a file open and a tree watched. Answers all that the executor has started. */
async function fill(client: RawClient, pid: number, { workspace, sandbox }: Arena): Promise<number[]> {
  let ready = 0;
  const all = Promise.withResolvers<void>();
  for (const program of programs) {
    await client.start({ ...program, cwd: workspace, sandbox }, () => {
      if (++ready === programs.length) all.resolve();
    });
  }
  await within(READY_MS, 'the output of all programs', all.promise);
  await client.request('fs/open', { handleId: 'open', path: `${workspace}/f`, sandbox });
  await client.request('fs/watch', { watchId: 'watch', path: workspace, sandbox });
  return descendantsOf(pid);
}

describe.each(['bubblewrap', 'landlock'] as const)(
  'an executor that confines by %s and is killed',
  (enforcer: Enforcer) => {
    const flags = ({ state }: Arena): string[] => [
      '--state-dir',
      state,
      ...(enforcer === 'landlock' ? ['--bubblewrap', 'off'] : []),
    ];

    test('takes all that it has confined along, and the next one clears up behind it', async (context) => {
      requireSandbox(context);
      await using folder = await arena();
      const place = await workspaceIn(folder.path);
      await using executor = await startExecutor(...flags(place));
      const client = await RawClient.connect(executor.url);
      const pids = await fill(client, executor.pid, place);
      // The programs, what they have started, their launchers, and a worker.
      expect(pids.length).toBeGreaterThan(programs.length * 2 + 2);
      const placeholders = ['.agents', '.aws', '.codex'];
      const left = enforcer === 'bubblewrap' ? placeholders : [];
      expect((await readdir(place.workspace)).toSorted()).toEqual([...left, '.git', 'f'].toSorted());

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
      expect((await readdir(place.workspace)).toSorted()).toEqual([...left, '.git', 'f'].toSorted());

      await using next = await startExecutor(...flags(place));
      await using second = await RawClient.connect(next.url);
      // A sandbox that has nothing to do with that workspace.
      const sandbox = { permissions: restricted([root('read')]) };
      const log = await second.start({ processId: 'first', argv: ['/bin/true'], sandbox });
      await log.closed();
      expect((await readdir(place.workspace)).toSorted()).toEqual(['.git', 'f']);
      expect(await readdir(place.state)).toHaveLength(1);
    });
  },
);

test('the next executor leaves what somebody has put into placeholders meanwhile', async (context) => {
  requireSandbox(context);
  await using folder = await arena();
  const place = await workspaceIn(folder.path);
  await using executor = await startExecutor('--state-dir', place.state);
  const client = await RawClient.connect(executor.url);
  await fill(client, executor.pid, place);
  executor.kill('SIGKILL');
  await within(DEAD_MS, 'the end of the executor', executor.exited);
  await client[Symbol.asyncDispose]();
  await writeFile(`${place.workspace}/.codex/config.toml`, 'kept');
  await using next = await startExecutor('--state-dir', place.state);
  await using second = await RawClient.connect(next.url);
  const sandbox = { permissions: restricted([root('read')]) };
  const log = await second.start({ processId: 'first', argv: ['/bin/true'], sandbox });
  await log.closed();
  expect((await readdir(place.workspace)).toSorted()).toEqual(['.codex', '.git', 'f']);
  expect(await readdir(`${place.workspace}/.codex`)).toEqual(['config.toml']);
});
