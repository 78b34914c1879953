import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What compiled sources expect beside them. */
const neighbours = ['package.json', 'build', 'node_modules'];

/** The compiled sources, as they are installed: they take less memory than those that Node compiles itself. */
export interface Built extends AsyncDisposable {
  /** The executable. */
  readonly main: string;
}

/** Compiles the sources as `npm run build` does, into a folder that disposing removes. */
export async function build(): Promise<Built> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-built-')));
  const remove = async (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    for (const name of neighbours) await symlink(path.join(root, name), path.join(folder, name));
    const compiler = path.join(root, 'node_modules', '.bin', 'tsc');
    const target = path.join(folder, 'dist');
    await promisify(execFile)(compiler, ['-p', 'tsconfig.build.json', '--outDir', target], { cwd: root });
  } catch (error) {
    await remove();
    throw error;
  }
  return { main: path.join(folder, 'dist', 'main.js'), [Symbol.asyncDispose]: remove };
}
