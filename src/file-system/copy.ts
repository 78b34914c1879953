import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, readlink, symlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf } from '../support/os-error.ts';
import { createDirectory } from '../disk/create-directory.ts';
import { Folder, joinPath, realPath, splitLast } from '../disk/folder.ts';
import { openRegular } from '../disk/open-regular.ts';
import { systemError } from './file-error.ts';
import type { Unseen } from './unseen.ts';

/** Copies a file, a link as a link, or with `recursive` a directory. Answers how many special files it left out. */
export async function copy(
  source: Buffer,
  destination: Buffer,
  recursive: boolean,
  unseen: Unseen,
): Promise<number> {
  const found = await lstat(source, { bigint: true });
  if (found.isDirectory()) {
    if (!recursive) throw invalidRequest('fs/copy requires recursive: true when sourcePath is a directory');
    await refuseInsideItself(source, destination);
    await createDirectory(destination, true, true);
    await using from = await Folder.open(source, true);
    await using to = await Folder.open(destination, true);
    return await copyTree(from, to, unseen);
  }
  if (await copyLeaf(source, destination, found)) return 0;
  throw invalidRequest('fs/copy only supports regular files, directories, and symlinks');
}

/** Answers false for what is neither a file nor a link. */
async function copyLeaf(source: Buffer, destination: Buffer, found: BigIntStats): Promise<boolean> {
  if (found.isSymbolicLink()) await symlink(await readlink(source, { encoding: 'buffer' }), destination);
  else if (found.isFile()) await copyFile(source, destination);
  else return false;
  return true;
}

/** Goes down only through directories that it holds open, on both sides: a link that takes the place of one is never followed. */
async function copyTree(source: Folder, destination: Folder, unseen: Unseen): Promise<number> {
  let skipped = 0;
  for (const name of await source.names()) {
    if (await unseen.hides(source.entry(Buffer.from('.')), name)) continue;
    // What is there for nobody to see cannot be filled either, and not be said to have been.
    if (await unseen.hides(destination.entry(Buffer.from('.')), name)) throw systemError('EROFS');
    const from = source.entry(name);
    const found = await lstat(from, { bigint: true });
    if (found.isDirectory()) {
      await using below = await source.folder(name);
      await using into = await destination.makeFolder(name);
      skipped += await copyTree(below, into, unseen);
    } else if (!(await copyLeaf(from, destination.entry(name), found))) {
      skipped += 1;
    }
  }
  return skipped;
}

/** Bytes and permission bits. Two names of one file are left as they are: emptying one would empty the other. */
async function copyFile(source: Buffer, destination: Buffer): Promise<void> {
  const from = await openRegular(source, constants.O_RDONLY | constants.O_NOFOLLOW, true);
  try {
    const mode = Number(from.stat.mode) & 0o7777;
    const to = await openRegular(destination, constants.O_WRONLY | constants.O_CREAT, true, mode);
    try {
      if (from.stat.dev === to.stat.dev && from.stat.ino === to.stat.ino) return;
      await to.file.truncate(0);
      await copyBytes(from.file, to.file);
      await to.file.chmod(mode);
    } finally {
      await to.file.close();
    }
  } finally {
    await from.file.close();
  }
}

async function copyBytes(from: FileHandle, to: FileHandle): Promise<void> {
  const block = Buffer.allocUnsafeSlow(limits.fileBlockBytes);
  for (let position = 0; ;) {
    const { bytesRead } = await from.read(block, 0, block.length, position);
    if (bytesRead === 0) return;
    for (let done = 0; done < bytesRead;) {
      done += (await to.write(block, done, bytesRead - done, position + done)).bytesWritten;
    }
    position += bytesRead;
  }
}

async function refuseInsideItself(source: Buffer, destination: Buffer): Promise<void> {
  const from = await realPath(source);
  const to = await realPathOfMissing(destination);
  if (to.equals(from) || to.subarray(0, from.length + 1).equals(joinPath(from, Buffer.alloc(0)))) {
    throw invalidRequest('fs/copy cannot copy a directory to itself or one of its descendants');
  }
}

/** The deepest part that exists, resolved, and the rest as it is. */
async function realPathOfMissing(path: Buffer): Promise<Buffer> {
  try {
    return await realPath(path);
  } catch (error) {
    const { parent, name } = splitLast(path);
    if (errnoOf(error) !== os.errno.ENOENT || name.length === 0) throw error;
    return joinPath(await realPathOfMissing(parent), name);
  }
}
