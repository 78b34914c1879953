import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const sources = join(import.meta.dirname, '../unit/native');

/** Builds one of the C programs beside the tests, with the compiler that the addon needs, too. */
export async function program(name: string, folder: string): Promise<string> {
  const path = join(folder, name);
  await promisify(execFile)('cc', ['-O1', '-w', '-pthread', '-o', path, join(sources, `${name}.c`)]);
  await chmod(path, 0o755);
  return path;
}

/** Runs it without any sandbox. */
export async function runPlainly(path: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await promisify(execFile)(path, [...args], { cwd, maxBuffer: 64 << 20 });
  return stdout;
}
