import { constants } from 'node:fs';
import {
  type FileHandle,
  link,
  lstat,
  lutimes,
  open,
  rename,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { constants as os } from 'node:os';
import { type Extract, type Header, extract } from 'tar-stream';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { errnoOf } from '../support/os-error.ts';
import { toError } from '../support/to-error.ts';
import {
  type ArchivedEntry,
  described,
  modeOf,
  refused,
  splitName,
  staysInside,
  timeOf,
} from './archive-entry.ts';
import { fileTime } from './file-time.ts';
import { Folder } from './folder.ts';
import { FolderChain } from './folder-chain.ts';
import { leftoverName } from './leftover.ts';

type Content = AsyncIterable<unknown> & { resume(): unknown };

export interface UnpackOptions {
  /** Says whether an entry is put on its place; throws for one that must not come at all. */
  readonly takes?: (entry: ArchivedEntry) => boolean;
  /** A file or symbolic link is on its place; a file with this content. */
  readonly onPlaced?: (entry: ArchivedEntry, sha256: string | undefined) => void;
}

/** An entry that is no directory, and where it goes: `place`, in the open `folder`. */
interface Leaf {
  readonly header: Header;
  readonly content: Content;
  readonly names: readonly string[];
  readonly folder: Folder;
  readonly place: Buffer;
}

interface DirectoryTimes {
  readonly names: readonly string[];
  readonly mode: number;
  readonly mtimeMs: number;
}

/**
 * Makes a tree from a tar stream inside a directory, and touches nothing outside of it: every step goes from an open directory to an
 * entry that is no link. An archive that names an absolute path, `..`, a link that leads out, or a device is refused at that entry, with
 * its name; what came before it stays. A file gets its name when it is whole.
 */
export class TreeUnpacker {
  readonly #tar: Extract = extract();
  readonly #root: Folder;
  readonly #options: UnpackOptions;
  /** The folders of the last entry: its neighbours are mostly in the same one. */
  readonly #chain: FolderChain;
  /** Resolves when no further entry comes, for whatever reason. */
  readonly #closed: Promise<void>;
  readonly #directories: DirectoryTimes[] = [];
  /** The entry that is put on its place now. */
  #placing: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #entries = 0;
  #released = false;

  private constructor(root: Folder, options: UnpackOptions) {
    this.#root = root;
    this.#options = options;
    this.#chain = new FolderChain(root);
    this.#tar.on('entry', (header, content, next) => {
      // Its failure is that of the archive, and heard of there.
      content.on('error', () => {});
      this.#placing = this.#placeThen(header, content, next);
    });
    this.#tar.on('error', (error) => void (this.#failure ??= explain(error)));
    this.#closed = new Promise((resolve) => void this.#tar.once('close', resolve));
  }

  static async open(root: Buffer, options: UnpackOptions = {}): Promise<TreeUnpacker> {
    return new TreeUnpacker(await Folder.open(root, true), options);
  }

  get entries(): number {
    return this.#entries;
  }

  /** Resolves when there is room for more. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    if (!this.#tar.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) {
      await Promise.race([
        new Promise<void>((resolve) => void this.#tar.once('drain', resolve)),
        this.#closed,
      ]);
    }
    this.#check();
  }

  /** Resolves when everything is on its place, with modes and times. */
  async finish(): Promise<void> {
    this.#tar.end(null);
    try {
      await this.#settled();
      this.#check();
      for (const directory of this.#directories.toReversed()) await this.#finishDirectory(directory);
    } finally {
      await this.dispose();
    }
  }

  /** Gives up what is not on its place yet, and closes everything. Nothing more after `finish`. */
  async dispose(): Promise<void> {
    this.#failure ??= invalidRequest('The archive was given up.');
    this.#tar.destroy();
    await this.#settled();
    if (this.#released) return;
    this.#released = true;
    await this.#chain[Symbol.asyncDispose]();
    await this.#root[Symbol.asyncDispose]();
  }

  async #settled(): Promise<void> {
    await this.#closed;
    await this.#placing;
  }

  #check(): void {
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  async #placeThen(header: Header, content: Content, next: (error?: Error | null) => void): Promise<void> {
    let failure: Error | null = null;
    try {
      await this.#place(header, content);
    } catch (error) {
      failure = toError(error);
    }
    next(failure);
  }

  async #place(header: Header, content: Content): Promise<void> {
    // The library would wait for its end for ever.
    if (!Number.isSafeInteger(header.size) || header.size < 0)
      throw refused(header, 'has a size that is none');
    const names = splitName(header.name);
    const name = names.at(-1);
    if (name === undefined) {
      // "./", the root itself.
      if (header.type !== 'directory') throw refused(header, 'has no name');
      this.#entries += 1;
    } else if (this.#takes(names, header)) {
      if (header.type === 'directory') {
        await this.#chain.enter(names, true);
        this.#directories.push({ names, mode: modeOf(header), mtimeMs: timeOf(header) });
      } else {
        const folder = await this.#chain.enter(names.slice(0, -1), true);
        const place = folder.entry(Buffer.from(name));
        await this.#placeLeaf({ header, content, names, folder, place });
      }
      this.#entries += 1;
    }
    content.resume();
  }

  #takes(names: readonly string[], header: Header): boolean {
    return this.#options.takes?.(described(names, header)) ?? true;
  }

  async #placeLeaf(leaf: Leaf): Promise<void> {
    const { header, names, place } = leaf;
    const depth = names.length - 1;
    switch (header.type) {
      case 'file':
      case 'contiguous-file':
        return this.#placeFile(leaf);
      case 'symlink': {
        const target = header.linkname;
        if (!staysInside(target, depth)) throw refused(header, 'is a link that leads out of the tree');
        await replacing(place, () => symlink(target, place));
        await lutimes(place, fileTime(timeOf(header)), fileTime(timeOf(header)));
        this.#options.onPlaced?.(described(names, header), undefined);
        return;
      }
      case 'link': {
        const target = splitName(header.linkname);
        const original = target.pop();
        if (original === undefined) throw refused(header, 'is a hard link to nothing');
        await using from = await this.#folderOf(target);
        const source = from.entry(Buffer.from(original));
        const found = await lstat(source).catch(() => undefined);
        // A link's text means another place in another directory.
        if (!found?.isFile()) throw refused(header, 'is a hard link to what is no file of the tree');
        return await replacing(place, () => link(source, place));
      }
      default:
        throw refused(header, `is a ${header.type}, which is not unpacked`);
    }
  }

  async #placeFile({ header, content, names, folder, place }: Leaf): Promise<void> {
    const temporary = folder.entry(Buffer.from(leftoverName()));
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = await open(temporary, flags, 0o600);
    let isPlaced = false;
    try {
      const sha256 = await this.#fill(file, header, content);
      await file.close();
      await renameOver(temporary, place);
      isPlaced = true;
      this.#options.onPlaced?.(described(names, header), sha256);
    } finally {
      await file.close();
      if (!isPlaced) await unlink(temporary).catch(() => {});
    }
  }

  /** Answers the digest of the content where somebody wants to know. */
  async #fill(file: FileHandle, header: Header, content: Content): Promise<string | undefined> {
    const hash = this.#options.onPlaced && createHash('sha256');
    for await (const bytes of content) {
      hash?.update(bytes as Buffer);
      await file.writeFile(bytes as Buffer);
    }
    this.#check();
    await file.chmod(modeOf(header));
    const time = fileTime(timeOf(header));
    await file.utimes(time, time);
    return hash?.digest('hex');
  }

  /** A folder that is there already, on its own descriptors. */
  async #folderOf(names: readonly string[]): Promise<Folder> {
    let folder = await this.#root.folder(Buffer.from('.'));
    for (const name of names) {
      await using parent = folder;
      folder = await parent.folder(Buffer.from(name));
    }
    return folder;
  }

  /** When nothing is put into it any more, which would change its time. */
  async #finishDirectory({ names, mode, mtimeMs }: DirectoryTimes): Promise<void> {
    await using folder = await this.#folderOf(names);
    const self = folder.entry(Buffer.from('.'));
    const handle = await open(self, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.chmod(mode);
      await utimes(self, fileTime(mtimeMs), fileTime(mtimeMs));
    } finally {
      await handle.close();
    }
  }
}

/** A directory at the place stays: the error is the one of whoever would have made the entry there. */
async function renameOver(temporary: Buffer, place: Buffer): Promise<void> {
  try {
    await rename(temporary, place);
  } catch (error) {
    if (errnoOf(error) !== os.errno.EISDIR) throw error;
    throw Object.assign(new Error('A directory is where the file belongs.'), { errno: -os.errno.EEXIST });
  }
}

/** Makes an entry, in place of a file or link of that name: never through it. */
async function replacing<T>(place: Buffer, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (errnoOf(error) !== os.errno.EEXIST || (await lstat(place)).isDirectory()) throw error;
    await unlink(place);
    return make();
  }
}

/** What the library finds wrong is wrong with the archive. */
function explain(error: Error): Error {
  if (error instanceof RpcError || errnoOf(error) !== undefined) return error;
  return invalidRequest(`The archive is damaged: ${error.message}.`);
}
