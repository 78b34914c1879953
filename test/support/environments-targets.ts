import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { ConnectOptions, ExecClient } from '../../src/client/exec-client.ts';
import {
  type EnvironmentEntry,
  type EnvironmentEvent,
  EnvironmentManager,
  type EnvironmentSource,
  commandSource,
  localSource,
  staticProvider,
  urlSource,
} from '../../src/environments/environments.ts';
import { ExecServer } from '../../src/server/exec-server.ts';
import { roadTo } from './chaos-mild.ts';
import { type ClientTarget, cutRelay, ownCapabilities } from './conformance-client-targets.ts';
import { expectNothingLeft } from './conformance-leftovers.ts';
import {
  type ExecutorOptions,
  type Target,
  type TargetName,
  executorVariables,
  flags,
  spawnExecutor,
} from './conformance-targets.ts';

const repository = path.resolve(import.meta.dirname, '..', '..');
export const main = path.join(repository, 'src', 'main.ts');
const startDeadlineMs = 60_000;

/** An executor that a kind of environment reaches, and what only a test does with it. */
export interface Reached extends AsyncDisposable {
  readonly source: EnvironmentSource;
  /** What it is reached through. */
  readonly others?: readonly EnvironmentEntry[];
  /** Tells the executors to end, as an operator does. */
  shutDown(): void | Promise<void>;
  /** Cuts the connections as a broken network or a dead executor does. */
  lose?(client: ExecClient): void | Promise<void>;
}

/** A kind of environment under test. */
export interface ReachedKind {
  /** The kind, for titles. */
  readonly kind: string;
  /** The transport that its cases are chosen by. */
  readonly name: TargetName;
  readonly sharesSessions: boolean;
  readonly reach: (mark: string, options: ExecutorOptions) => Promise<Reached>;
}

export const localKind: ReachedKind = {
  kind: 'local',
  name: 'memory',
  sharesSessions: true,
  reach: async (mark, options) => {
    const server = new ExecServer({ env: executorVariables(mark), ...options });
    return {
      source: localSource(server),
      shutDown: () => server.close(server.limits.drainMs),
      lose: (client) => client.close(),
      [Symbol.asyncDispose]: () => server.close(),
    };
  },
};

export const commandKind: ReachedKind = {
  kind: 'command',
  name: 'stdio',
  sharesSessions: false,
  reach: async (mark, options) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'exec-environments-'));
    const pidFile = path.join(folder, 'pids');
    // The pid of each executor that is started is noted, for who ends it.
    const script = 'echo $$ >> "$1"; shift; exec "$@"';
    const kill = async (signal: NodeJS.Signals): Promise<void> => {
      for (const pid of (await readFile(pidFile, 'utf8')).trim().split('\n')) signalTo(Number(pid), signal);
    };
    return {
      source: commandSource({
        program: '/bin/sh',
        args: [
          '-c',
          script,
          'sh',
          pidFile,
          process.execPath,
          main,
          'serve',
          '--listen',
          'stdio',
          ...flags(options),
        ],
        variables: executorVariables(mark),
      }),
      shutDown: () => kill('SIGTERM'),
      lose: () => kill('SIGKILL'),
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  },
};

export const urlKind: ReachedKind = {
  kind: 'url',
  name: 'websocket',
  sharesSessions: true,
  reach: async (mark, options) => {
    const child = spawnExecutor(['--listen', 'ws://127.0.0.1:0', ...flags(options)], mark);
    const road = await roadTo(await child.firstLine());
    const relay = await cutRelay(road.url);
    let told = false;
    const shutDown = (): void => {
      // A second time would end it at once.
      if (!told) child.process.kill('SIGTERM');
      told = true;
    };
    return {
      source: urlSource({ url: relay.url }),
      shutDown,
      lose: () => relay.cut(),
      [Symbol.asyncDispose]: async () => {
        await relay[Symbol.asyncDispose]();
        await road[Symbol.asyncDispose]();
        shutDown();
        await child.expectExit();
      },
    };
  },
};

/** A manager of one environment, `there`. Its executor may log no error. */
export interface Managed extends AsyncDisposable {
  readonly manager: EnvironmentManager;
}

export async function manage(
  source: EnvironmentSource,
  connect: ConnectOptions = {},
  others: readonly EnvironmentEntry[] = [],
): Promise<Managed> {
  const problems: string[] = [];
  const onEvent = (event: EnvironmentEvent): void => {
    // A shell says that what it had started was killed.
    const fine = /^{"level":"(?:info|warn)"|Killed$/;
    if (event.kind === 'log' && !fine.test(event.line)) problems.push(event.line);
  };
  const provider = staticProvider([...others, { id: 'there', source, connect }], {
    default: 'there',
    includeLocal: false,
  });
  const manager = await EnvironmentManager.create(provider, { onEvent });
  return {
    manager,
    [Symbol.asyncDispose]: async () => {
      await manager[Symbol.asyncDispose]();
      if (problems.length > 0) throw new Error(`The executor has logged errors: ${problems.join('\n')}`);
    },
  };
}

/** The suites of the protocol on connections of a manager. */
export function managedTarget({ kind, name, sharesSessions, reach }: ReachedKind): Target {
  const mark = randomUUID();
  return {
    name,
    road: `an environment of kind ${kind}`,
    sharesSessions,
    mark,
    start: async (options = {}) => {
      const reached = await reach(mark, options);
      const managed = await manage(reached.source, { connectTimeoutMs: startDeadlineMs }, reached.others);
      return {
        connect: async () => managed.manager.get('there').dial(AbortSignal.timeout(startDeadlineMs)),
        shutDown: () => void reached.shutDown(),
        [Symbol.asyncDispose]: async () => {
          await managed[Symbol.asyncDispose]();
          await reached[Symbol.asyncDispose]();
        },
      };
    },
  };
}

/** The suite of the client on clients of a manager. */
export function managedClientTarget({ kind, reach }: ReachedKind): ClientTarget {
  const mark = randomUUID();
  return {
    name: `an environment of kind ${kind}`,
    capabilities: ownCapabilities,
    start: async () => {
      const reached = await reach(mark, {});
      const all: Managed[] = [];
      return {
        connect: async (options) => {
          const managed = await manage(reached.source, { reconnectMs: 0, ...options });
          all.push(managed);
          const client = await managed.manager.get('there').client();
          return { client, lose: async () => reached.lose?.(client) };
        },
        [Symbol.asyncDispose]: async () => {
          for (const managed of all) await managed[Symbol.asyncDispose]();
          await reached[Symbol.asyncDispose]();
          await expectNothingLeft(mark);
        },
      };
    },
  };
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** The executors with that mark, by their titles or programs. */
export async function executors(mark: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [line, environment] = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')),
    );
    const isExecutor =
      /^exec-server-[0-9a-f]{8}-|\0--title=exec-server-|\/(?:lib\/main\.js|src\/main\.ts)\0/.test(line ?? '');
    if (isExecutor && environment?.includes(mark) === true) found.push(Number(pid));
  }
  return found;
}
