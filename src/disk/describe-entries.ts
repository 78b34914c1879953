import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, readlink } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { constants as os } from 'node:os';
import { errnoOf } from '../support/os-error.ts';
import {
  type DescribedEntry,
  describeDirectory,
  describeFile,
  describeProblem,
  isText,
  lookAt,
  versionOf,
} from './described-entry.ts';
import { FolderChain } from './folder-chain.ts';
import { Folder } from './folder.ts';
import { type OpenedFile, openRegular } from './open-regular.ts';
import { splitName } from './archive-entry.ts';

/** Files that are read at the same time: as many as the thread pool has threads. */
const readers = 4;
const blockBytes = 256 * 1024;
/** Readings of a file that changes meanwhile. */
const attempts = 3;

export interface NamedOptions {
  readonly follow: boolean;
  readonly hides?: (folder: Buffer, name: Buffer) => Promise<boolean>;
}

/** The entries of a tree that are named, with the digests of files. What is not there is left out. Names in one directory are best neighbours. */
export async function* describeEntries(
  root: Buffer,
  names: readonly string[],
  options: NamedOptions,
): AsyncGenerator<DescribedEntry[], void> {
  await using folder = await Folder.open(root, true);
  await using chain = new FolderChain(folder, options.follow);
  const entries = names.map((name) => splitName(name));
  for (let at = 0; at < entries.length;) {
    const parent = entries[at]?.slice(0, -1) ?? [];
    const end = endOfFolder(entries, at, parent);
    const inside = await enterSafely(chain, parent);
    if (inside !== undefined) {
      const part = entries.slice(at, end);
      const found = await Promise.all(part.map((each) => describeOne(inside, root, each, options)));
      yield found.filter((each) => each !== undefined);
    }
    at = end;
  }
}

/** So many of the next ones are in the same folder, and are read together. */
function endOfFolder(
  entries: readonly (readonly string[])[],
  start: number,
  parent: readonly string[],
): number {
  const key = parent.join('/');
  let end = start + 1;
  while (end < entries.length && end - start < readers && entries[end]?.slice(0, -1).join('/') === key)
    end += 1;
  return end;
}

/** undefined where it is gone, or no directory any more. */
export async function enterSafely(chain: FolderChain, names: readonly string[]): Promise<Folder | undefined> {
  try {
    return await chain.enter(names, false);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === os.errno.ENOENT || errno === os.errno.ENOTDIR || errno === os.errno.EACCES)
      return undefined;
    throw error;
  }
}

/** Whether a name on the way to an entry, or its own, is one that nobody is to see. */
export async function isHidden(
  root: Buffer,
  names: readonly string[],
  hides: NamedOptions['hides'],
): Promise<boolean> {
  if (hides === undefined) return false;
  let folder = root;
  for (const name of names) {
    if (await hides(folder, Buffer.from(name))) return true;
    folder = Buffer.concat([folder, Buffer.from(`/${name}`)]);
  }
  return false;
}

async function describeOne(
  folder: Folder,
  root: Buffer,
  names: readonly string[],
  { follow, hides }: NamedOptions,
): Promise<DescribedEntry | undefined> {
  const path = names.join('/');
  const place = folder.entry(Buffer.from(names.at(-1) ?? '.'));
  if (await isHidden(root, names, hides)) return undefined;
  try {
    const opened = await openRegular(
      place,
      constants.O_RDONLY | (follow ? 0 : constants.O_NOFOLLOW),
      true,
    ).catch(async (error: unknown) => describeOther(path, place, follow, error));
    if (opened === undefined || 'kind' in opened) return opened;
    try {
      return await describeContent(path, opened);
    } finally {
      await opened.file.close();
    }
  } catch (error) {
    if (errnoOf(error) === os.errno.ENOENT) return undefined;
    return describeProblem(path, 'file', error);
  }
}

/** What could not be opened as a regular file. */
async function describeOther(
  path: string,
  place: Buffer,
  follow: boolean,
  error: unknown,
): Promise<DescribedEntry | undefined> {
  const seen = await lookAt(place, follow);
  if (seen.isDirectory()) return describeDirectory(path, seen);
  if (seen.isSymbolicLink()) {
    const target = await readlink(place, { encoding: 'buffer' });
    return isText(target) ? { path, kind: 'link', target: target.toString() } : { path, kind: 'other' };
  }
  if (seen.isFile()) throw error;
  return { path, kind: 'other' };
}

/** With its digest, unless it changes all the time. */
async function describeContent(path: string, { file, stat }: OpenedFile): Promise<DescribedEntry> {
  let before = stat;
  let now = Date.now();
  for (let attempt = 1; ; attempt++) {
    const sha256 = await digestOf(file, Number(before.size));
    const after = await file.stat({ bigint: true });
    const entry = describeFile(path, before, now);
    if (sha256 !== undefined && isSame(before, after)) return { ...entry, sha256 };
    if (attempt === attempts) {
      const { version: _version, ...unsettled } = entry;
      return unsettled;
    }
    now = Date.now();
    before = await file.stat({ bigint: true });
  }
}

export function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return versionOf(one) === versionOf(other);
}

/** Of so many bytes; undefined where there are not as many. That there are no more is for the size to tell. */
async function digestOf(file: FileHandle, size: number): Promise<string | undefined> {
  const hash = createHash('sha256');
  const block = Buffer.allocUnsafe(Math.min(size, blockBytes));
  for (let offset = 0; offset < size;) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, size - offset), offset);
    if (bytesRead === 0) return undefined;
    hash.update(block.subarray(0, bytesRead));
    offset += bytesRead;
  }
  return hash.digest('hex');
}
