import { once } from 'node:events';
import { ConfigError, ownVariables } from '../config.ts';
import { type TargetFlags, openTarget } from './target.ts';

export interface ShellFlags extends TargetFlags {
  readonly cwd?: string;
}

/** An interactive program on a PTY of the executor, on this terminal. Answers its exit status. */
export async function shell(argv: readonly string[], flags: ShellFlags): Promise<number> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY)
    throw new ConfigError('shell needs a terminal; use `exec-server run` for pipes');
  await using target = await openTarget(flags);
  const size = (): { rows: number; cols: number } => ({
    rows: stdout.rows || 24,
    cols: stdout.columns || 80,
  });
  const child = await target.client.start({
    argv: argv.length > 0 ? [...argv] : [target.client.environment?.shell.path ?? '/bin/sh'],
    cwd: flags.cwd ?? target.cwd,
    env: { TERM: ownVariables()['TERM'] ?? 'xterm-256color' },
    envPolicy: { inherit: 'core', ignoreDefaultExcludes: false, exclude: [], set: {}, includeOnly: [] },
    tty: true,
    size: size(),
  });
  const resize = (): void => void child.resize(size()).catch(() => {});
  const type = (bytes: Buffer): void => void child.write(bytes).catch(() => {});
  stdin.setRawMode(true);
  stdin.on('data', type);
  stdout.on('resize', resize);
  try {
    for await (const bytes of child.pty) if (!stdout.write(bytes)) await once(stdout, 'drain');
    return (await child.exited).exitCode;
  } finally {
    stdout.off('resize', resize);
    stdin.off('data', type);
    stdin.setRawMode(false);
    stdin.destroy();
  }
}
