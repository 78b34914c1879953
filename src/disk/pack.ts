import { type BigIntStats, type Dirent, constants } from 'node:fs';
import { type FileHandle, lstat, readdir, readlink } from 'node:fs/promises';
import { type Header, type Pack, pack } from 'tar-stream';
import { toFileUri } from '../protocol/path.ts';
import { toError } from '../support/to-error.ts';
import { joinPath } from './folder.ts';
import { openRegular } from './open-regular.ts';

/** Bytes of a file that are read at once; a smaller file is packed in one piece. */
export const blockBytes = 256 * 1024;
/** Bytes of entries without content that may wait for the reader: the library would keep them all. */
const aheadBytes = 256 * 1024;
/** Bytes of such an entry: a header, the extension with its own header, each a block of 512. */
const emptyEntryBytes = 1536;
/** Entries left out that are named; the rest is counted. */
const namedSkips = 100;

export type NamedHeader = Partial<Header> & Pick<Header, 'name'>;

/** What an archive has, and what it has not: FIFOs, sockets, devices, and names that are not UTF-8, which tar cannot carry. */
export interface PackFacts {
  entries: number;
  skipped: number;
  /** The first of them, as file: URIs. */
  readonly skippedUris: string[];
}

export interface Packing {
  readonly tar: Pack;
  /** Resolves when the reader has taken a part that was there. */
  readonly taken: () => Promise<void>;
  /** Of entries without content that it has not taken. */
  readonly ahead: { bytes: number };
}

interface TreePacking extends Packing {
  readonly facts: PackFacts;
  /** Says of an entry that it is left out without a word. */
  readonly hides: (folder: Buffer, name: Buffer) => Promise<boolean>;
}

/**
 * A directory as a tar stream: files with their mode and times, directories, links as links. The stream pauses with its reader. A file
 * that grows meanwhile is packed up to the size it had; one that shrinks fails the stream.
 */
export function packTree(
  root: Buffer,
  hides: TreePacking['hides'] = async () => false,
): {
  readonly stream: AsyncIterable<Buffer>;
  readonly facts: PackFacts;
} {
  const facts: PackFacts = { entries: 0, skipped: 0, skippedUris: [] };
  return { stream: tarParts((packing) => packFolder({ ...packing, facts, hides }, root, '')), facts };
}

/** An archive that is filled as it is read. Nothing is opened before the first part is asked for, and nothing stays open when no further one is. */
export async function* tarParts(fill: (packing: Packing) => Promise<void>): AsyncGenerator<Buffer> {
  const tar = pack();
  let onTaken = (): void => {};
  const failures: Error[] = [];
  const taken = (): Promise<void> => new Promise((resolve) => void (onTaken = resolve));
  const packing: Packing = { tar, taken, ahead: { bytes: 0 } };
  const packed = fill(packing).then(
    () => tar.finalize(),
    (error: unknown) => {
      failures.push(toError(error));
      tar.destroy(failures[0]);
    },
  );
  try {
    for await (const part of tar as AsyncIterable<Buffer>) {
      packing.ahead.bytes = Math.max(0, packing.ahead.bytes - part.length);
      onTaken();
      yield part;
    }
    const [failure] = failures;
    if (failure !== undefined) throw failure;
  } catch (error) {
    // What the library says of its end is not why it has ended.
    throw failures[0] ?? error;
  } finally {
    tar.destroy();
    packing.ahead.bytes = 0;
    onTaken();
    await packed;
  }
}

async function packFolder(packing: TreePacking, folder: Buffer, prefix: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true, encoding: 'buffer' });
  entries.sort((one, other) => Buffer.compare(one.name, other.name));
  for (const entry of entries) {
    if (await packing.hides(folder, entry.name)) continue;
    const path = joinPath(folder, entry.name);
    const name = entry.name.toString();
    if (!Buffer.from(name).equals(entry.name)) skip(packing.facts, path);
    else await packEntry(packing, path, `${prefix}${name}`, entry);
  }
}

async function packEntry(
  packing: TreePacking,
  path: Buffer,
  name: string,
  entry: Dirent<Buffer>,
): Promise<void> {
  const { tar, facts } = packing;
  if (entry.isDirectory()) {
    await packEmpty(packing, { ...(await describePath(path)), name: `${name}/`, type: 'directory' });
    facts.entries += 1;
    await packFolder(packing, path, `${name}/`);
    return;
  }
  if (entry.isSymbolicLink()) {
    const target = await readlink(path, { encoding: 'buffer' });
    const linkname = target.toString();
    if (!Buffer.from(linkname).equals(target)) return skip(facts, path);
    await packEmpty(packing, { ...(await describePath(path)), name, type: 'symlink', linkname });
  } else if (entry.isFile()) {
    const { file, stat } = await openRegular(path, constants.O_RDONLY | constants.O_NOFOLLOW, true);
    try {
      const header = { ...describe(stat), name, type: 'file' as const };
      if (stat.size === 0n) await packEmpty(packing, header);
      else {
        const size = Number(stat.size);
        await packContent(tar, blocksOf(file, size), { ...header, size });
      }
    } finally {
      await file.close();
    }
  } else {
    return skip(facts, path);
  }
  facts.entries += 1;
}

function skip(facts: PackFacts, path: Buffer): void {
  facts.skipped += 1;
  if (facts.skippedUris.length < namedSkips) facts.skippedUris.push(toFileUri(path));
}

async function describePath(path: Buffer): Promise<Omit<Partial<Header>, 'name'>> {
  return describe(await lstat(path, { bigint: true }));
}

export function describe(stat: BigIntStats): Omit<Partial<Header>, 'name'> {
  const mtime = new Date(Math.max(0, Number(stat.mtimeMs)));
  // The header of old has whole seconds from 1970 on; the exact time goes into the extension that tar has for it.
  const [sign, nanoseconds] = stat.mtimeNs < 0n ? ['-', -stat.mtimeNs] : ['', stat.mtimeNs];
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, '0');
  const exact = `${sign}${nanoseconds / 1_000_000_000n}.${fraction}`;
  // With the bits of the file's type: the library takes a mode of 0 for none.
  return { mode: Number(stat.mode), mtime, pax: { mtime: exact } };
}

/** Exactly so many bytes of a file. */
export async function* blocksOf(file: FileHandle, size: number): AsyncGenerator<Buffer> {
  for (let left = size; left > 0;) {
    const block = Buffer.allocUnsafe(Math.min(left, blockBytes));
    const { bytesRead } = await file.read(block, 0, block.length, size - left);
    if (bytesRead === 0) throw new Error('A file has become shorter while it was packed.');
    left -= bytesRead;
    yield block.subarray(0, bytesRead);
  }
}

/** `blocks`: as many bytes as the header says. */
export async function packContent(
  tar: Pack,
  blocks: AsyncIterable<Buffer> | Iterable<Buffer>,
  header: NamedHeader & { size: number },
): Promise<void> {
  const done = Promise.withResolvers<void>();
  // It is awaited below, when all is written or the reader is gone.
  done.promise.catch(() => {});
  const sink = tar.entry(header, (error) => (error ? done.reject(error) : done.resolve()));
  // The failure of the archive is its failure too, and heard of there.
  sink.on('error', () => {});
  for await (const block of blocks) {
    if (sink.write(block)) continue;
    await Promise.race([new Promise<void>((resolve) => void sink.once('drain', resolve)), done.promise]);
  }
  sink.end(null);
  await done.promise;
}

export async function packEmpty(packing: Packing, header: NamedHeader): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const sink = packing.tar.entry({ ...header, size: 0 }, (error) => (error ? reject(error) : resolve()));
    sink.on('error', () => {});
    sink.end(null);
  });
  packing.ahead.bytes += emptyEntryBytes;
  while (packing.ahead.bytes > aheadBytes) await packing.taken();
}
