import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { homedir } from 'node:os';
import path from 'node:path';

import { dialWebSocket } from '../../src/client/dial.ts';
import type { LimitSettings } from '../../src/protocol/limit-settings.ts';
import { LineTransport } from '../../src/rpc/line-transport.ts';
import { memoryTransportPair } from '../../src/rpc/memory-transport.ts';
import type { Transport } from '../../src/rpc/transport.ts';
import { ExecServer } from '../../src/server/exec-server.ts';
import { roadTo } from './chaos-mild.ts';
import { expectNothingLeft, markVariable } from './conformance-leftovers.ts';

const repository = path.resolve(import.meta.dirname, '..', '..');
const main = path.join(repository, 'src', 'main.ts');
const startDeadlineMs = 30_000;
const exitDeadlineMs = 20_000;

export type TargetName = 'memory' | 'stdio' | 'websocket' | 'rendezvous';

export interface ExecutorOptions {
  readonly journalDiskBytes?: number;
  readonly limits?: Partial<LimitSettings>;
  /** Only in memory: nobody has a reason to set them on the command line. */
  readonly detachedSessionMs?: number;
  readonly closedRetentionMs?: number;
}

export interface TestExecutor extends AsyncDisposable {
  /** A new connection on which nothing was said. Over stdio each one starts an executor of its own. */
  connect(): Promise<Transport>;
  /** Tells it to end, as an operator does. It has ended when it is disposed. */
  shutDown(): void;
}

/** One way to reach our executor. */
export interface Target {
  readonly name: TargetName;
  /** In titles, where it is reached in another way than its name says. */
  readonly road?: string;
  /** Several connections meet the same executor, and so the same sessions. */
  readonly sharesSessions: boolean;
  /** In the environment of the executors and of what tests start. */
  readonly mark: string;
  start(options?: ExecutorOptions): Promise<TestExecutor>;
}

/** All variables of the executors under test: the policy cases count on exactly these. */
export function executorVariables(mark: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: homedir(),
    LANG: 'C.UTF-8',
    PLAIN: 'plain',
    plain_lower: 'lower',
    PASSWORD: 'stays',
    KEYBOARD: 'has KEY in it',
    API_KEY: 'key',
    session_token: 'token',
    SECRETARY: 'secret',
    CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN: 'never shown',
    CODEX_EXEC_SERVER_EXIT_ON_STDIN_CLOSE: 'never shown',
    [markVariable]: mark,
  };
}

export function memoryTarget(): Target {
  const mark = randomUUID();
  return {
    name: 'memory',
    sharesSessions: true,
    mark,
    start: async (options = {}) => {
      const failures: string[] = [];
      const quiet = (): void => {};
      const log = {
        debug: quiet,
        info: quiet,
        warn: quiet,
        error: (fields: object, message: string) => void failures.push(`${message} ${describe(fields)}`),
      };
      const server = new ExecServer({ env: executorVariables(mark), log, ...options });
      return {
        connect: async () => {
          const [near, far] = memoryTransportPair();
          void server.serve(far);
          return near;
        },
        shutDown: () => void server.close(server.limits.drainMs),
        [Symbol.asyncDispose]: async () => {
          await server.close();
          if (failures.length > 0) throw new Error(`The executor has logged errors: ${failures.join('; ')}`);
        },
      };
    },
  };
}

export function stdioTarget(): Target {
  const mark = randomUUID();
  return {
    name: 'stdio',
    sharesSessions: false,
    mark,
    start: async (options = {}) => {
      const children: ExecutorChild[] = [];
      return {
        connect: async () => {
          const child = spawnExecutor(['--listen', 'stdio', ...flags(options)], mark);
          children.push(child);
          return new LineTransport(child.stdout, child.stdin);
        },
        shutDown: () => {
          for (const child of children) child.process.kill('SIGTERM');
        },
        [Symbol.asyncDispose]: async () => {
          for (const child of children) child.stdin.end();
          await Promise.all(children.map(async (child) => child.expectExit()));
        },
      };
    },
  };
}

export function webSocketTarget(): Target {
  const mark = randomUUID();
  return {
    name: 'websocket',
    sharesSessions: true,
    mark,
    start: async (options = {}) => {
      const child = spawnExecutor(['--listen', 'ws://127.0.0.1:0', ...flags(options)], mark);
      const road = await roadTo(await child.firstLine());
      let told = false;
      const tell = (): void => {
        // A second time would end it at once.
        if (!told) child.process.kill('SIGTERM');
        told = true;
      };
      return {
        shutDown: tell,
        connect: async () => dialWebSocket(road.url, {}, AbortSignal.timeout(startDeadlineMs)),
        [Symbol.asyncDispose]: async () => {
          await road[Symbol.asyncDispose]();
          tell();
          await child.expectExit();
        },
      };
    },
  };
}

/** An executor as a child of the test. */
export interface ExecutorChild {
  readonly process: ChildProcess;
  readonly stdin: NonNullable<ChildProcess['stdin']>;
  readonly stdout: NonNullable<ChildProcess['stdout']>;
  /** Takes standard output, whose first line is the URL of a listener. */
  firstLine(): Promise<string>;
  /** Everything that came on standard output so far, if `firstLine` was called. */
  output(): string;
  /** Waits for its end, which is to be with status 0 and without an error in its log. */
  expectExit(): Promise<void>;
}

export function spawnExecutor(args: readonly string[], mark: string): ExecutorChild {
  const child = spawn(process.execPath, [main, 'serve', ...args], {
    cwd: repository,
    env: executorVariables(mark),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  const exited = once(child, 'exit');
  exited.catch(() => {});
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text));
  let output = '';
  return {
    process: child,
    stdin: child.stdin,
    stdout: child.stdout,
    output: () => output,
    firstLine: async () => {
      const line = new Promise<string>((resolve) => {
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          output += text;
          const end = output.indexOf('\n');
          if (end >= 0) resolve(output.slice(0, end));
        });
      });
      const ended = exited.then(() => {
        throw new Error(`The executor ended before it said its URL: ${errors}`);
      });
      return Promise.race([line, ended, late(startDeadlineMs, () => 'The executor says no URL.')]);
    },
    expectExit: async () => {
      try {
        await Promise.race([exited, late(exitDeadlineMs, () => `The executor does not end. ${errors}`)]);
      } finally {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      }
      const status = child.exitCode ?? child.signalCode;
      if (status !== 0) throw new Error(`The executor ended with ${status}: ${errors}`);
      const wrong = errors
        .split('\n')
        .filter((line) => line !== '' && !/^{"level":"(?:info|warn)"/.test(line));
      if (wrong.length > 0) throw new Error(`The executor has logged errors: ${wrong.join('\n')}`);
    },
  };
}

/** Ends what a test file has started, and fails if something of it stays. */
export async function finish(
  target: Pick<Target, 'mark'>,
  executor: AsyncDisposable | undefined,
): Promise<void> {
  await executor?.[Symbol.asyncDispose]();
  await expectNothingLeft(target.mark);
}

/** The same for an executor that is started by command. */
export function flags(options: ExecutorOptions): string[] {
  const { journalDiskBytes, limits = {}, ...others } = options;
  if (Object.keys(others).length > 0) throw new Error('These options can be set in memory only.');
  const limitFlags = Object.entries(limits).flatMap(([name, value]) => ['--limit', `${name}=${value}`]);
  if (journalDiskBytes === undefined) return limitFlags;
  return ['--journal-disk-bytes', String(journalDiskBytes), ...limitFlags];
}

async function late(milliseconds: number, message: () => string): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(message())), milliseconds).unref();
  });
}

function describe(fields: object): string {
  const { err } = fields as { err?: unknown };
  return err instanceof Error ? (err.stack ?? err.message) : JSON.stringify(fields);
}
