import { randomUUID } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf } from '../support/os-error.ts';
import { createDirectory } from './directory.ts';
import { notRegularFile } from './file-error.ts';
import { Folder, onPath, realPath, splitLast } from './folder.ts';

/** A FIFO or a device must neither make the open wait nor become a terminal of ours. */
const careful = constants.O_NONBLOCK | constants.O_NOCTTY;

export interface OpenedFile {
  readonly file: FileHandle;
  readonly stat: BigIntStats;
}

/** Opens what is already known by its open descriptor to be a regular file: looked at first, it could be another one by then. */
export async function openRegular(
  path: Buffer,
  flags: number,
  follow: boolean,
  mode?: number,
): Promise<OpenedFile> {
  return onPath(path, follow, async (reached) => {
    const file = await open(reached, flags | careful | (follow ? 0 : constants.O_NOFOLLOW), mode);
    try {
      const stat = await file.stat({ bigint: true });
      if (!stat.isFile()) throw notRegularFile();
      return { file, stat };
    } catch (error) {
      await file.close();
      throw error;
    }
  });
}

export interface ReadOptions {
  readonly follow: boolean;
  readonly offset: number;
  /** undefined: to the end. */
  readonly length: number | undefined;
}

export async function readFile(path: Buffer, { follow, offset, length }: ReadOptions): Promise<Buffer> {
  const { file, stat } = await openRegular(path, constants.O_RDONLY, follow);
  try {
    const size = Number(stat.size);
    const expected = Math.min(Math.max(0, size - offset), length ?? Infinity);
    if (expected > limits.readFileBytes) throw tooLarge();
    return await readUpTo(file, offset, Math.min(length ?? Infinity, limits.readFileBytes + 1), expected);
  } finally {
    await file.close();
  }
}

/** The size says how much to expect, and not how much there is: files of /proc have none. */
async function readUpTo(file: FileHandle, offset: number, most: number, expected: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let total = 0;
  for (
    let room = Math.min(most, expected + 1);
    room > 0;
    room = Math.min(most - total, limits.fileBlockBytes)
  ) {
    const part = Buffer.allocUnsafeSlow(room);
    const { bytesRead } = await file.read(part, 0, room, offset + total);
    if (bytesRead === 0) break;
    parts.push(part.subarray(0, bytesRead));
    total += bytesRead;
    if (total > limits.readFileBytes) throw tooLarge();
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

function tooLarge(): Error {
  return invalidRequest(
    `file is too large to read: limit is ${limits.readFileBytes} bytes; read ranges with offset and length, or blocks with fs/open`,
  );
}

export interface WriteOptions {
  readonly follow: boolean;
  readonly atomic: boolean;
  readonly createParents: boolean;
  /** Of a new file. */
  readonly mode: number | undefined;
}

export async function writeFile(path: Buffer, bytes: Uint8Array, options: WriteOptions): Promise<void> {
  if (options.createParents) await createDirectory(splitLast(path).parent, true, options.follow);
  await (options.atomic ? replaceFile(path, bytes, options) : overwriteFile(path, bytes, options));
}

/** Opens a regular file and empties it, which only happens when it is known to be one. */
export async function openEmptied(path: Buffer, follow: boolean, mode?: number): Promise<FileHandle> {
  const { file } = await openRegular(path, constants.O_WRONLY | constants.O_CREAT, follow, mode);
  try {
    await file.truncate(0);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function overwriteFile(path: Buffer, bytes: Uint8Array, options: WriteOptions): Promise<void> {
  const file = await openEmptied(path, options.follow, options.mode);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}

/** The new content is complete and on disk before it gets the name. */
async function replaceFile(path: Buffer, bytes: Uint8Array, options: WriteOptions): Promise<void> {
  const existing = await existingFile(path, options.follow);
  const { parent, name } = splitLast(existing?.path ?? path);
  await using folder = await Folder.open(parent, options.follow);
  const temporary = folder.entry(Buffer.from(`.exec-server-${randomUUID()}`));
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(temporary, flags, existing === undefined ? (options.mode ?? 0o666) : 0o600);
  try {
    try {
      await file.writeFile(bytes);
      if (existing !== undefined) await file.chmod(existing.mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, folder.entry(name));
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

/** What is replaced: a link's target, not the link. undefined where nothing is there. */
async function existingFile(
  path: Buffer,
  follow: boolean,
): Promise<{ path: Buffer; mode: number } | undefined> {
  try {
    const { file, stat } = await openRegular(path, constants.O_WRONLY, follow);
    await file.close();
    return { path: follow ? await realPath(path) : path, mode: Number(stat.mode) & 0o7777 };
  } catch (error) {
    if (errnoOf(error) === os.errno.ENOENT) return undefined;
    throw error;
  }
}

export async function truncateFile(path: Buffer, size: number, follow: boolean): Promise<void> {
  const { file } = await openRegular(path, constants.O_WRONLY, follow);
  try {
    await file.truncate(size);
  } finally {
    await file.close();
  }
}
