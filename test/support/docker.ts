import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a machine needs for these tests, as the user installs it. */
export const installHint =
  'These tests need Docker: apt-get install -y docker.io iptables debootstrap, and a running dockerd.';

/** Runs the Docker command line. Answers what it prints; rejects with all that it printed. */
export async function docker(...args: readonly string[]): Promise<string> {
  return command('docker', ...args);
}

export async function command(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, args, { maxBuffer: 64 * 1024 * 1024 }).catch((error: unknown) => {
    const { stdout: out = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')} failed:\n${out}${stderr}`, { cause: error });
  });
  return stdout.trim();
}

export async function succeeds(program: string, ...args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}
