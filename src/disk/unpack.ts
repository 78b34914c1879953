import { constants } from 'node:fs';
import { link, lstat, lutimes, open, symlink, unlink, utimes } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { type Extract, type Header, extract } from 'tar-stream';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { errnoOf } from '../support/os-error.ts';
import { toError } from '../support/to-error.ts';
import { fileTime } from './file-time.ts';
import { Folder } from './folder.ts';

/** Bytes of a name in an archive. */
const nameBytes = 4096;

type Content = AsyncIterable<unknown> & { resume(): unknown };

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
  /** Resolves when no further entry comes, for whatever reason. */
  readonly #closed: Promise<void>;
  readonly #directories: DirectoryTimes[] = [];
  /** The entry that is put on its place now. */
  #placing: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #entries = 0;
  #released = false;
  /** The folders of the last entry, from the root on: its neighbours are mostly in the same one. */
  #chain: { readonly name: string; readonly folder: Folder }[] = [];

  private constructor(root: Folder) {
    this.#root = root;
    this.#tar.on('entry', (header, content, next) => {
      // Its failure is that of the archive, and heard of there.
      content.on('error', () => {});
      this.#placing = this.#placeThen(header, content, next);
    });
    this.#tar.on('error', (error) => void (this.#failure ??= explain(error)));
    this.#closed = new Promise((resolve) => void this.#tar.once('close', resolve));
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
    await this.#leave(0);
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
    } else if (header.type === 'directory') {
      await this.#enter(names);
      this.#directories.push({ names, mode: modeOf(header), mtimeMs: timeOf(header) });
    } else {
      const folder = await this.#enter(names.slice(0, -1));
      await this.#placeLeaf(header, content, folder, Buffer.from(name), names.length - 1);
    }
    this.#entries += 1;
    content.resume();
  }

  async #placeLeaf(
    header: Header,
    content: Content,
    folder: Folder,
    name: Buffer,
    depth: number,
  ): Promise<void> {
    const place = folder.entry(name);
    switch (header.type) {
      case 'file':
      case 'contiguous-file':
        return this.#placeFile(header, content, place);
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

  async #placeFile(header: Header, content: Content, place: Buffer): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = await replacing(place, () => open(place, flags, 0o600));
    try {
      for await (const bytes of content) await file.writeFile(bytes as Buffer);
      this.#check();
      await file.chmod(modeOf(header));
      const time = fileTime(timeOf(header));
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

/** Milliseconds; what is finer is cut off as text, as no number could hold it exactly. */
function timeOf(header: Header): number {
  const exact = (header.pax as Record<string, string> | null | undefined)?.['mtime'] ?? '';
  const [, sign = '', seconds = '', fraction = ''] = /^(-?)(\d{1,12})(?:\.(\d+))?$/.exec(exact) ?? [];
  if (seconds === '') return Number.isFinite(header.mtime.getTime()) ? header.mtime.getTime() : 0;
  const milliseconds = Number(`${seconds}${fraction.padEnd(3, '0').slice(0, 3)}`);
  if (sign === '') return milliseconds;
  // Down, as after 1970.
  return -milliseconds - (/[1-9]/.test(fraction.slice(3)) ? 1 : 0);
}

/** What the library finds wrong is wrong with the archive. */
function explain(error: Error): Error {
  if (error instanceof RpcError || errnoOf(error) !== undefined) return error;
  return invalidRequest(`The archive is damaged: ${error.message}.`);
}

function refused(header: Header, why: string): Error {
  return invalidRequest(`The archive's entry ${JSON.stringify(header.name.slice(0, 200))} ${why}.`);
}
