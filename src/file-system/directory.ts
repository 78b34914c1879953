import type { Dirent } from 'node:fs';
import { lstat, readdir, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { joinPath, onPath } from '../disk/folder.ts';
import type { WireResult } from '../protocol/methods.ts';
import { type EnvironmentPath, toFileUri } from '../protocol/path.ts';
import { errnoOf } from '../support/os-error.ts';

export type DirectoryEntry = WireResult<'fs/readDirectory'>['entries'][number];

/** Every entry, dangling links included. */
export async function readDirectory(path: EnvironmentPath): Promise<DirectoryEntry[]> {
  const found = await readdir(path.bytes, { withFileTypes: true, encoding: 'buffer' });
  return Promise.all(found.map((entry) => describeEntry(path.bytes, entry)));
}

async function describeEntry(folder: Buffer, entry: Dirent<Buffer>): Promise<DirectoryEntry> {
  const path = joinPath(folder, entry.name);
  const isSymlink = entry.isSymbolicLink();
  const target = isSymlink ? await stat(path).catch(() => undefined) : entry;
  const fileName = entry.name.toString();
  return {
    fileName,
    isDirectory: target?.isDirectory() ?? false,
    isFile: target?.isFile() ?? false,
    isSymlink,
    ...(Buffer.from(fileName).equals(entry.name) ? {} : { uri: toFileUri(path) }),
  };
}

export interface RemoveOptions {
  readonly recursive: boolean;
  readonly force: boolean;
  readonly follow: boolean;
}

/** A link is removed itself, whatever it points to. */
export async function remove(path: Buffer, { recursive, force, follow }: RemoveOptions): Promise<void> {
  try {
    await onPath(path, follow, async (reached) => {
      const found = await lstat(reached);
      if (!found.isDirectory()) await unlink(reached);
      else if (recursive) await rm(reached, { recursive: true });
      else await rmdir(reached);
    });
  } catch (error) {
    if (!force || errnoOf(error) !== os.errno.ENOENT) throw error;
  }
}
