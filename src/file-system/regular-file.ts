import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { createDirectory } from '../disk/create-directory.ts';
import { splitLast } from '../disk/folder.ts';
import { openEmptied, openRegular } from '../disk/open-regular.ts';
import { Replacement } from '../disk/replacement.ts';
import { invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';

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

export async function truncateFile(path: Buffer, size: number, follow: boolean): Promise<void> {
  const { file } = await openRegular(path, constants.O_WRONLY, follow);
  try {
    await file.truncate(size);
  } finally {
    await file.close();
  }
}
