import { createHash } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, readlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { errnoOf, osErrorText } from '../support/os-error.ts';
import { splitName } from './archive-entry.ts';
import { enterSafely, isHidden, isSame } from './describe-entries.ts';
import { type DescribedEntry, describeFile, isText, lookAt } from './described-entry.ts';
import { FolderChain } from './folder-chain.ts';
import { Folder } from './folder.ts';
import { openRegular } from './open-regular.ts';
import {
  type NamedHeader,
  type Packing,
  blockBytes,
  blocksOf,
  describe,
  packContent,
  packEmpty,
  tarParts,
} from './pack.ts';

/** Readings of a small file that changes meanwhile. */
const attempts = 3;

export interface PackEntriesOptions {
  /** Links are packed as what they lead to. */
  readonly follow: boolean;
  readonly hides?: (folder: Buffer, name: Buffer) => Promise<boolean>;
  /** A file is in the archive, with this version and content. */
  readonly onPacked?: (entry: DescribedEntry) => void;
  /** An entry is not: it is gone, or cannot be read. */
  readonly onLeftOut?: (path: string, why: string) => void;
}

/** A large file was written to while it was packed: the archive ends in the middle of it, so that no reader takes it for whole. */
export class FileChangedError extends Error {
  readonly path: string;

  constructor(path: string) {
    super(`${JSON.stringify(path)} was written to while it was read.`);
    this.path = path;
  }
}

/**
 * The entries of a tree that are named, as a tar stream; a directory without what is in it. No content is torn: a file of one block is
 * read until it keeps still, or left out; a change of a larger one is the failure of the archive.
 */
export function packEntries(
  root: Buffer,
  names: readonly string[],
  options: PackEntriesOptions,
): AsyncIterable<Buffer> {
  return tarParts(async (packing) => {
    await using folder = await Folder.open(root, true);
    await using chain = new FolderChain(folder, options.follow);
    for (const name of names) {
      const parts = splitName(name);
      const inside = await enterSafely(chain, parts.slice(0, -1));
      if (inside === undefined || (await isHidden(root, parts, options.hides))) {
        options.onLeftOut?.(name, 'It is not there any more.');
        continue;
      }
      try {
        await packNamed(packing, inside.entry(Buffer.from(parts.at(-1) ?? '.')), name, options);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === undefined || errno === os.errno.EMFILE || errno === os.errno.ENFILE) throw error;
        options.onLeftOut?.(name, osErrorText(errno));
      }
    }
  });
}

async function packNamed(
  packing: Packing,
  place: Buffer,
  name: string,
  options: PackEntriesOptions,
): Promise<void> {
  const seen = await lookAt(place, options.follow);
  if (seen.isDirectory())
    return packEmpty(packing, { ...describe(seen), name: `${name}/`, type: 'directory' });
  if (seen.isSymbolicLink()) {
    const target = await readlink(place, { encoding: 'buffer' });
    if (!isText(target)) return options.onLeftOut?.(name, 'Its text is not UTF-8.');
    const link = { ...describe(seen), name, type: 'symlink' as const, linkname: target.toString() };
    return packEmpty(packing, link);
  }
  if (!seen.isFile()) return options.onLeftOut?.(name, 'It is no regular file any more.');
  const flags = constants.O_RDONLY | (options.follow ? 0 : constants.O_NOFOLLOW);
  const { file } = await openRegular(place, flags, true);
  try {
    await packFile(packing, file, name, options);
  } finally {
    await file.close();
  }
}

async function packFile(
  packing: Packing,
  file: FileHandle,
  name: string,
  options: PackEntriesOptions,
): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const now = Date.now();
    const stat = await file.stat({ bigint: true });
    const header = { ...describe(stat), name, type: 'file' as const, size: Number(stat.size) };
    const report = (sha256: string): void => options.onPacked?.({ ...describeFile(name, stat, now), sha256 });
    if (header.size > blockBytes) return packLarge(packing, file, stat, header, report);
    const content = await contentOf(file, header.size);
    if (content === undefined || !isSame(stat, await file.stat({ bigint: true }))) continue;
    // Before the entry is complete: its reader may have it on its place at once.
    if (options.onPacked !== undefined) report(createHash('sha256').update(content).digest('hex'));
    return header.size === 0 ? packEmpty(packing, header) : packContent(packing.tar, [content], header);
  }
  options.onLeftOut?.(name, 'It changes all the time.');
}

/** undefined where it is not as long any more. */
async function contentOf(file: FileHandle, size: number): Promise<Buffer | undefined> {
  const content = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(content, length, size - length, length);
    if (bytesRead === 0) return undefined;
    length += bytesRead;
  }
  return content;
}

async function packLarge(
  { tar }: Packing,
  file: FileHandle,
  stat: BigIntStats,
  header: NamedHeader & { size: number },
  report: (sha256: string) => void,
): Promise<void> {
  const hash = createHash('sha256');
  async function* checked(): AsyncGenerator<Buffer> {
    let left = header.size;
    try {
      for await (const block of blocksOf(file, header.size)) {
        hash.update(block);
        left -= block.length;
        // The last one makes the file whole for its reader.
        if (left === 0) {
          if (!isSame(stat, await file.stat({ bigint: true }))) throw new FileChangedError(header.name);
          report(hash.digest('hex'));
        }
        yield block;
      }
    } catch (error) {
      throw left > 0 && errnoOf(error) === undefined ? new FileChangedError(header.name) : error;
    }
  }
  await packContent(tar, checked(), header);
}
