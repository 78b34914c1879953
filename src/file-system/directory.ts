import type { Dirent } from 'node:fs';
import { lstat, readdir, rmdir, stat, unlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { Folder, joinPath, splitLast } from '../disk/folder.ts';
import type { WireResult } from '../protocol/methods.ts';
import { type EnvironmentPath, toFileUri } from '../protocol/path.ts';
import { errnoOf } from '../support/os-error.ts';
import { systemError } from './file-error.ts';
import type { Unseen } from './unseen.ts';

export type DirectoryEntry = WireResult<'fs/readDirectory'>['entries'][number];

/** Every entry, dangling links included. */
export async function readDirectory(path: EnvironmentPath, unseen: Unseen): Promise<DirectoryEntry[]> {
  const found = await readdir(path.bytes, { withFileTypes: true, encoding: 'buffer' });
  if (unseen.isEmpty) return Promise.all(found.map((entry) => describeEntry(path.bytes, entry)));
  const hidden = await Promise.all(found.map(({ name }) => unseen.hides(path.bytes, name)));
  const seen = found.filter((_, index) => hidden[index] !== true);
  return Promise.all(seen.map((entry) => describeEntry(path.bytes, entry)));
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
  const { parent, name } = splitLast(path);
  try {
    if (name.length === 0) throw systemError('EBUSY');
    await using folder = await Folder.open(parent, follow);
    await removeEntry(folder, name, recursive);
  } catch (error) {
    if (!force || errnoOf(error) !== os.errno.ENOENT) throw error;
  }
}

/** Goes down only through directories that it holds open: a link that takes the place of one meanwhile is removed, not followed. */
async function removeEntry(folder: Folder, name: Buffer, recursive: boolean): Promise<void> {
  const place = folder.entry(name);
  const found = await lstat(place);
  if (!found.isDirectory()) return unlink(place);
  if (recursive) await removeContent(folder, name);
  return rmdir(place);
}

async function removeContent(parent: Folder, name: Buffer): Promise<void> {
  await using folder = await parent.folder(name);
  for (const child of await folder.names()) {
    await removeEntry(folder, child, true).catch((error: unknown) => {
      // Somebody else has removed it.
      if (errnoOf(error) !== os.errno.ENOENT) throw error;
    });
  }
}
