import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { RemoteProcess } from '../client/exec-client.ts';
import { ConfigError } from '../config.ts';
import { type Target, type TargetFlags, openTarget } from './target.ts';

export interface RunFlags extends Omit<TargetFlags, 'env'> {
  readonly cwd?: string;
  /** Variables, `name=value`; and at most one id of an environment, which has no equals sign. */
  readonly env?: readonly string[];
  readonly timeout?: number;
}

/** Runs a program on an executor with this process's standard streams. Answers its exit status. */
export async function run(argv: readonly string[], flags: RunFlags): Promise<number> {
  const { env = [], ...others } = flags;
  const variables = env.filter((text) => text.includes('='));
  const [id, second] = env.filter((text) => !text.includes('='));
  if (second !== undefined)
    throw new ConfigError(
      `--env ${id} and --env ${second} name two environments; a variable is given as name=value`,
    );
  await using target = await openTarget({ ...others, ...(id !== undefined && { env: id }) });
  const child = await target.start({
    argv: [...argv],
    cwd: workingDirectory(target, flags.cwd),
    env: Object.fromEntries(variables.map(splitVariable)),
    envPolicy: { inherit: 'core', ignoreDefaultExcludes: false, exclude: [], set: {}, includeOnly: [] },
    pipeStdin: true,
    ...(flags.timeout === undefined ? {} : { timeoutMs: Math.ceil(flags.timeout * 1000) }),
  });
  try {
    return await attend(child, flags);
  } catch (error) {
    // Nobody is left to read what it writes.
    await child.terminate().catch(() => {});
    throw error;
  } finally {
    // A terminal or pipe that is still open would keep this process alive.
    process.stdin.destroy();
  }
}

/** Carries bytes both ways until the program has closed. */
async function attend(child: RemoteProcess, flags: RunFlags): Promise<number> {
  using _signals = forwardSignals(child);
  void sendInput(child);
  await Promise.all([
    pipeline(child.stdout, process.stdout, { end: false }),
    pipeline(child.stderr, process.stderr, { end: false }),
  ]);
  const [exit, close] = await Promise.all([child.exited, child.closed]);
  if (!close.complete) throw new Error('Some output of the program was lost on the way.');
  if (exit.endReason === 'timeout') {
    process.stderr.write(`exec-server: the program was ended after ${flags.timeout} s\n`);
  }
  return exit.exitCode;
}

/** A relative one means this machine's, which is the executor's only when that is in this process. */
export function workingDirectory(target: Target, cwd: string | undefined): string {
  if (cwd === undefined) return target.cwd;
  return target.isLocal ? resolve(cwd) : cwd;
}

function splitVariable(text: string): [string, string] {
  const equals = text.indexOf('=');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

async function sendInput(child: RemoteProcess): Promise<void> {
  try {
    for await (const chunk of process.stdin) {
      if ((await child.write(chunk as Buffer)) !== 'accepted') return;
    }
    await child.closeStdin();
  } catch {
    // The program has ended, or the connection has: both are told by its output.
  }
}

/** INT and TERM are the program's, not this process's, which ends with it. */
function forwardSignals(child: RemoteProcess): Disposable {
  const forward = (signal: NodeJS.Signals): void => void child.signal(signal).catch(() => {});
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, forward);
  return {
    [Symbol.dispose]: () => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, forward);
    },
  };
}
