import { constants } from 'node:fs';
import { link, lstat, lutimes, open, symlink, unlink, utimes } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { type Extract, type Header, extract } from 'tar-stream';
import { invalidRequest } from '../protocol/errors.ts';
import { errnoOf } from '../support/os-error.ts';
import { toError } from '../support/to-error.ts';
import { fileTime } from './file-time.ts';
import { Folder } from './folder.ts';

/** Bytes of a name in an archive. */
const nameBytes = 4096;

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

interface DirectoryTimes {
  readonly names: readonly string[];
  readonly mode: number;
  readonly mtimeMs: number;
}

/**
 * Makes a tree from a tar stream inside a directory, and touches nothing outside of it: every step goes from an open directory to an
 * entry that is no link. An archive that names an absolute path, `..`, a link that leads out, or a device is refused at that entry, with
 * its name; what came before it stays.
 */
export class TreeUnpacker {
  readonly #tar: Extract = extract();
  readonly #root: Folder;
  readonly #done: Promise<void>;
  readonly #directories: DirectoryTimes[] = [];
  #failure: Error | undefined;
  #entries = 0;
  /** The folders of the last entry, from the root on: its neighbours are mostly in the same one. */
  #chain: { readonly name: string; readonly folder: Folder }[] = [];

  private constructor(root: Folder) {
    this.#root = root;
    this.#done = this.#unpack();
    // It is looked at when the stream is finished.
    this.#done.catch(() => {});
  }

  static async open(root: Buffer): Promise<TreeUnpacker> {
    return new TreeUnpacker(await Folder.open(root, true));
  }

  get entries(): number {
    return this.#entries;
  }

  /** Resolves when there is room for more. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    if (!this.#tar.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) {
      await Promise.race([new Promise<void>((resolve) => void this.#tar.once('drain', resolve)), this.#done]);
    }
    this.#check();
  }

  /** Resolves when everything is on its place, with modes and times. */
  async finish(): Promise<void> {
    this.#tar.end(null);
    await this.#done;
  }

  async abort(): Promise<void> {
    this.#tar.destroy();
    await this.#done.catch(() => {});
  }

  #check(): void {
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  async #unpack(): Promise<void> {
    try {
      for await (const entry of this.#tar) {
        await this.#place(entry);
        this.#entries += 1;
      }
      for (const directory of this.#directories.toReversed()) await this.#finishDirectory(directory);
    } catch (error) {
      this.#failure = toError(error);
      this.#tar.destroy();
      throw error;
    } finally {
      await this.#leave(0);
      await this.#root[Symbol.asyncDispose]();
    }
  }

  async #place(entry: Entry): Promise<void> {
    const { header } = entry;
    const names = splitName(header.name);
    const name = names.at(-1);
    if (name === undefined) {
      // "./", the root itself.
      if (header.type !== 'directory') throw refused(header, 'has no name');
    } else if (header.type === 'directory') {
      await this.#enter(names);
      this.#directories.push({ names, mode: modeOf(header), mtimeMs: timeOf(header) });
    } else {
      const folder = await this.#enter(names.slice(0, -1));
      await this.#placeLeaf(entry, folder, Buffer.from(name), names.length - 1);
    }
    entry.resume();
  }

  async #placeLeaf(entry: Entry, folder: Folder, name: Buffer, depth: number): Promise<void> {
    const { header } = entry;
    const place = folder.entry(name);
    switch (header.type) {
      case 'file':
      case 'contiguous-file':
        return this.#placeFile(entry, place);
      case 'symlink': {
        const target = header.linkname;
        if (!staysInside(target, depth)) throw refused(header, 'is a link that leads out of the tree');
        await replacing(place, () => symlink(target, place));
        return lutimes(place, fileTime(timeOf(header)), fileTime(timeOf(header)));
      }
      case 'link': {
        const target = splitName(header.linkname);
        const original = target.pop();
        if (original === undefined) throw refused(header, 'is a hard link to nothing');
        await using from = await this.#folderOf(target);
        return await replacing(place, () => link(from.entry(Buffer.from(original)), place));
      }
      default:
        throw refused(header, `is a ${header.type}, which is not unpacked`);
    }
  }

  async #placeFile(entry: Entry, place: Buffer): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = await replacing(place, () => open(place, flags, 0o600));
    try {
      for await (const bytes of entry as AsyncIterable<Buffer>) await file.writeFile(bytes);
      await file.chmod(modeOf(entry.header));
      const time = fileTime(timeOf(entry.header));
      await file.utimes(time, time);
    } finally {
      await file.close();
    }
  }

  /** The folder of these names, made where it is missing, kept open for the next entry. */
  async #enter(names: readonly string[]): Promise<Folder> {
    let same = 0;
    while (same < names.length && this.#chain[same]?.name === names[same]) same += 1;
    await this.#leave(same);
    for (const name of names.slice(same)) {
      const parent = this.#chain.at(-1)?.folder ?? this.#root;
      this.#chain.push({ name, folder: await parent.makeFolder(Buffer.from(name)) });
    }
    return this.#chain.at(-1)?.folder ?? this.#root;
  }

  async #leave(depth: number): Promise<void> {
    for (const { folder } of this.#chain.splice(depth).toReversed()) await folder[Symbol.asyncDispose]();
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

/** The parts of a name in an archive. Throws for one that is not below the root by its text alone. */
function splitName(name: string): string[] {
  const shown = JSON.stringify(name.slice(0, 200));
  if (name.startsWith('/')) throw invalidRequest(`The archive names ${shown}, an absolute path.`);
  if (name.includes('\0'))
    throw invalidRequest(`The archive names ${shown}, which contains a NUL character.`);
  if (Buffer.byteLength(name) > nameBytes)
    throw invalidRequest(`The archive has a name of more than ${nameBytes} bytes.`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw invalidRequest(`The archive names ${shown}, which leads out of the tree.`);
  return parts;
}

/**
 * Whether a link at this depth stays in the tree wherever else links lead: it goes up no further than the root, and down from there. A `..`
 * behind a name could go up from wherever that name, a link itself, leads.
 */
function staysInside(target: string, depth: number): boolean {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const up = parts.findIndex((part) => part !== '..');
  const climbs = up < 0 ? parts.length : up;
  return climbs <= depth && !parts.slice(climbs).includes('..');
}

/** Permission bits; set-uid, set-gid and sticky do not come out of an archive. */
function modeOf(header: Header): number {
  return header.mode & 0o777;
}

function timeOf(header: Header): number {
  const exact = Number((header.pax as Record<string, string> | null | undefined)?.['mtime']) * 1000;
  const time = Number.isFinite(exact) ? exact : header.mtime.getTime();
  return Number.isFinite(time) ? time : 0;
}

function refused(header: Header, why: string): Error {
  return invalidRequest(`The archive's entry ${JSON.stringify(header.name.slice(0, 200))} ${why}.`);
}
