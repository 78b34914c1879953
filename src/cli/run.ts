import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { OutputView, RemoteProcess } from '../client/exec-client.ts';
import { type TargetFlags, openTarget } from './target.ts';

export interface RunFlags extends TargetFlags {
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly timeout?: number;
}

/** Runs a program on an executor with this process's standard streams. Answers its exit status. */
export async function run(argv: readonly string[], flags: RunFlags): Promise<number> {
  await using target = await openTarget(flags);
  const child = await target.client.start({
    argv: [...argv],
    cwd: flags.cwd ?? target.cwd,
    env: Object.fromEntries((flags.env ?? []).map(splitVariable)),
    envPolicy: { inherit: 'core', ignoreDefaultExcludes: false, exclude: [], set: {}, includeOnly: [] },
    pipeStdin: true,
    ...(flags.timeout === undefined ? {} : { timeoutMs: Math.ceil(flags.timeout * 1000) }),
  });
  using _signals = forwardSignals(child);
  const input = sendInput(child);
  await Promise.all([copy(child.stdout, process.stdout), copy(child.stderr, process.stderr)]);
  const [exit, close] = await Promise.all([child.exited, child.closed]);
  process.stdin.destroy();
  await input;
  if (!close.complete) throw new Error('Some output of the program was lost on the way.');
  if (exit.endReason === 'timeout')
    process.stderr.write(`exec-server: the program was ended after ${flags.timeout} s\n`);
  return exit.exitCode;
}

function splitVariable(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

async function copy(view: OutputView, target: Writable): Promise<void> {
  for await (const bytes of view) if (!target.write(bytes)) await once(target, 'drain');
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
