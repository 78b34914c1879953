import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, readFile, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const repository = path.resolve(import.meta.dirname, '..', '..');
const folder = path.join(repository, 'build', 'test-bundles');
/** What a bundle is made of. */
const ingredients = ['src', 'scripts', 'package-lock.json', 'build/Release/exec_server_native.node'];

let made: Promise<string> | undefined;

/** A portable bundle of the sources as they are. It is kept in `build` until they change. */
export async function testBundle(): Promise<string> {
  made ??= make();
  return made;
}

async function make(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await Promise.all(ingredients.map(filesIn))).flat().sort())
    hash.update(`${name}\0`).update(await readFile(path.join(repository, name)));
  const name = hash.digest('hex').slice(0, 16);
  const place = path.join(folder, name);
  const file = path.join(place, `exec-server-linux-${process.arch}.tar.gz`);
  if (await exists(file)) return file;
  // Other workers may be making the same one.
  const old = (await readdir(folder).catch(() => [])).filter((other) => !other.startsWith(name));
  for (const other of old) await rm(path.join(folder, other), { recursive: true, force: true });
  const scratch = `${place}.${process.pid}`;
  const script = path.join(repository, 'scripts', 'bundle.ts');
  await promisify(execFile)(process.execPath, [script, scratch]);
  await rename(scratch, place).catch(async (error: unknown) => {
    await rm(scratch, { recursive: true, force: true });
    if (!(await exists(file))) throw error;
  });
  return file;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function filesIn(name: string): Promise<string[]> {
  const entries = await readdir(path.join(repository, name), { recursive: true, withFileTypes: true }).catch(
    () => undefined,
  );
  if (entries === undefined) return [name];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(repository, path.join(entry.parentPath, entry.name)));
}
