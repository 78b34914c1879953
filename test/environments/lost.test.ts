import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import {
  type Environment,
  EnvironmentManager,
  failedEnvironment,
  staticProvider,
  urlSource,
} from '../../src/environments/environments.ts';
import { cutRelay } from '../support/conformance-client-targets.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { type ExecutorChild, executorVariables, spawnExecutor } from '../support/conformance-targets.ts';

let folder = '';
const mark = randomUUID();

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'exec-lost-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await expectNothingLeft(mark);
});

async function listen(address = 'ws://127.0.0.1:0'): Promise<{ child: ExecutorChild; url: string }> {
  const child = spawnExecutor(['--listen', address], mark);
  return { child, url: await child.firstLine() };
}

/** A manager with a remote default; and `local`, whose processes would say that they ran here. */
async function managerOf(url: string, reconnectMs: number): Promise<EnvironmentManager> {
  const provider = staticProvider([{ id: 'away', source: urlSource({ url }), connect: { reconnectMs } }], {
    default: 'away',
  });
  return EnvironmentManager.create(provider, {
    local: { env: { ...executorVariables(mark), WHERE: 'here' } },
  });
}

const all = { inherit: 'all' as const, ignoreDefaultExcludes: true, exclude: [], set: {}, includeOnly: [] };

test('a connection that is cut comes back with its session, and nobody notices', async () => {
  const { child, url } = await listen();
  await using relay = await cutRelay(url);
  await using manager = await managerOf(relay.url, 30_000);
  const environment = manager.get();
  const running = await environment.processes.start({ argv: ['/bin/cat'], pipeStdin: true });
  for (const word of ['one ', 'two ', 'three ']) {
    relay.cut();
    expect(await running.write(word)).toBe('accepted');
  }
  await running.closeStdin();
  expect((await running.stdout.collect()).toString()).toBe('one two three ');
  expect(await environment.health()).toMatchObject({ status: 'ready', sessions: 1 });
  await manager[Symbol.asyncDispose]();
  child.process.kill('SIGTERM');
  await child.expectExit();
});

test('a session that is lost for good is told by name, and the next operation has a new one', async () => {
  const first = await listen();
  await using manager = await managerOf(first.url, 30_000);
  const environment = manager.get();
  const running = await environment.processes.start({ argv: ['/bin/cat'], pipeStdin: true });
  first.child.process.kill('SIGKILL');
  await first.child.expectExit().catch(() => {});
  const second = await listen(first.url);
  // The same address, but another executor: it does not have the session.
  const exited = running.exited;
  await expect(exited).rejects.toMatchObject({
    name: 'ConnectionError',
    reason: 'expired',
    environmentId: 'away',
  });
  await expect(running.write('x')).rejects.toMatchObject({ environmentId: 'away' });
  expect(await environment.files.list(folder)).toEqual([]);
  expect(await environment.health()).toMatchObject({ status: 'ready', sessions: 2 });
  await manager[Symbol.asyncDispose]();
  second.child.process.kill('SIGTERM');
  await second.child.expectExit();
});

test('a remote that goes away under load fails by name, and nothing runs here instead', async () => {
  const { child, url } = await listen();
  await using manager = await managerOf(url, 500);
  const canary = path.join(folder, 'canary');
  const script = `echo "\${WHERE:-away}" >> '${canary}'`;
  const outcomes: { ok: boolean; error?: unknown }[] = [];
  const over = new AbortController();
  const operation = async (environment: Environment, turn: number): Promise<void> => {
    if (turn % 3 === 0) await environment.files.list(folder);
    const running = await environment.processes.start({ argv: ['/bin/sh', '-c', script], envPolicy: all });
    await running.exited;
  };
  const worker = async (): Promise<void> => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      try {
        await operation(manager.get(), turn);
        outcomes.push({ ok: true });
      } catch (error) {
        outcomes.push({ ok: false, error });
        // The pace of callers that try again; without it failures would leave no turn for what is under way.
        await delay(20);
      }
    }
  };
  const workers = Promise.all(Array.from({ length: 12 }, worker));
  const count = (ok: boolean): number => outcomes.filter((one) => one.ok === ok).length;
  const untilCount = async (ok: boolean, wanted: number): Promise<void> =>
    expect.poll(() => count(ok), { timeout: 30_000, interval: 10 }).toBeGreaterThanOrEqual(wanted);
  await untilCount(true, 100);
  child.process.kill('SIGKILL');
  const succeeded = outcomes.length;
  // Those under way, and many that come later.
  await untilCount(false, 100);
  over.abort();
  await workers;
  const failures = outcomes.filter(({ ok }) => !ok);
  for (const { error } of failures) {
    expect(failedEnvironment(error)).toBe('away');
    expect(String(error)).toContain('Environment "away"');
  }
  expect(count(true)).toBeGreaterThanOrEqual(100);
  const lines = (await readFile(canary, 'utf8')).trim().split('\n');
  expect(new Set(lines)).toEqual(new Set(['away']));
  // What was answered was done once. What was under way was done once or not at all.
  expect(lines.length).toBeGreaterThanOrEqual(count(true));
  expect(lines.length).toBeLessThanOrEqual(Math.max(succeeded, count(true)) + 12);
  expect(manager.list().map((one) => one.processes.running().length)).toEqual([0, 0]);
  expect(await manager.get('local').health()).toMatchObject({ status: 'idle' });
  await child.expectExit().catch(() => {});
});
