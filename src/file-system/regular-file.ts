import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf } from '../support/os-error.ts';
import { createDirectory } from './directory.ts';
import { Folder, realPath, splitLast } from '../tree/folder.ts';
import { openRegular } from '../tree/open-regular.ts';

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

async function replaceFile(path: Buffer, bytes: Uint8Array, options: WriteOptions): Promise<void> {
  await using replacement = await Replacement.open(path, options.follow, options.mode);
  await replacement.file.writeFile(bytes);
  await replacement.commit();
}

/** A new content that gets the name of a file when it is complete and on disk; until then, and if it never is, the old one stays. */
export class Replacement implements AsyncDisposable {
  readonly file: FileHandle;
  readonly #folder: Folder;
  readonly #temporary: Buffer;
  readonly #name: Buffer;
  readonly #mode: number | undefined;
  #committed = false;

  private constructor(
    file: FileHandle,
    folder: Folder,
    temporary: Buffer,
    name: Buffer,
    mode: number | undefined,
  ) {
    this.file = file;
    this.#folder = folder;
    this.#temporary = temporary;
    this.#name = name;
    this.#mode = mode;
  }

  /** `mode`: of a new file; one that is replaced hands down its own. */
  static async open(path: Buffer, follow: boolean, mode: number | undefined): Promise<Replacement> {
    const existing = await existingFile(path, follow);
    const { parent, name } = splitLast(existing?.path ?? path);
    const folder = await Folder.open(parent, follow);
    try {
      const temporary = folder.entry(Buffer.from(`.exec-server-${randomUUID()}`));
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const file = await open(temporary, flags, existing === undefined ? (mode ?? 0o666) : 0o600);
      return new Replacement(file, folder, temporary, name, existing?.mode);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Gives it the name, and a mode: the given one, or that of the file it replaces. */
  async commit(mode: number | undefined = this.#mode): Promise<void> {
    if (mode !== undefined) await this.file.chmod(mode);
    await this.file.sync();
    await rename(this.#temporary, this.#folder.entry(this.#name));
    this.#committed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    if (!this.#committed) await unlink(this.#temporary).catch(() => {});
    await this.#folder[Symbol.asyncDispose]();
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
