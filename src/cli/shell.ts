import { spawnSync } from 'node:child_process';
import type { ReadStream } from 'node:tty';
import { pipeline } from 'node:stream/promises';
import { ConfigError, ownVariables } from '../config.ts';
import { workingDirectory } from './run.ts';
import { type TargetFlags, openTarget } from './target.ts';

export interface ShellFlags extends TargetFlags {
  readonly cwd?: string;
}

/** An interactive program on a PTY of the executor, on this terminal. Answers its exit status. */
export async function shell(argv: readonly string[], flags: ShellFlags): Promise<number> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new ConfigError('shell needs a terminal; use `exec-server run` for pipes');
  }
  await using target = await openTarget(flags);
  const size = (): { rows: number; cols: number } => ({
    rows: stdout.rows || 24,
    cols: stdout.columns || 80,
  });
  const child = await target.start({
    argv: argv.length > 0 ? [...argv] : [target.client.environment?.shell.path ?? '/bin/sh'],
    cwd: workingDirectory(target, flags.cwd),
    env: { TERM: ownVariables()['TERM'] ?? 'xterm-256color' },
    envPolicy: { inherit: 'core', ignoreDefaultExcludes: false, exclude: [], set: {}, includeOnly: [] },
    tty: true,
    size: size(),
  });
  const resize = (): void => void child.resize(size()).catch(() => {});
  const type = (bytes: Buffer): void => void child.write(bytes).catch(() => {});
  makeRaw(stdin);
  stdin.on('data', type);
  stdout.on('resize', resize);
  try {
    await pipeline(child.pty, stdout, { end: false });
    return (await child.exited).exitCode;
  } catch (error) {
    await child.terminate().catch(() => {});
    throw error;
  } finally {
    stdout.off('resize', resize);
    stdin.off('data', type);
    stdin.setRawMode(false);
    stdin.destroy();
  }
}

/** Node's raw mode still turns a line feed into two characters, which the remote terminal has done where it should be. */
function makeRaw(terminal: ReadStream): void {
  terminal.setRawMode(true);
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
}
