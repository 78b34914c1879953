import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readlink, realpath } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { errnoOf } from '../support/os-error.ts';

/** O_PATH of Linux, which Node does not name: a descriptor that only stands for its place in the tree. */
const O_PATH = process.platform === 'linux' ? 0o10000000 : constants.O_RDONLY;

const slash = 0x2f;

/**
 * A directory that is held open, so that operations on its entries stay in it whatever happens to the names that led there. On Linux an
 * entry is reached through the descriptor; elsewhere by its path.
 */
export class Folder implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #path: Buffer;

  private constructor(handle: FileHandle, path: Buffer) {
    this.#handle = handle;
    this.#path = path;
  }

  /** `follow` false: fails with ENOTDIR where a part of the path is a link. */
  static async open(path: Buffer, follow: boolean): Promise<Folder> {
    if (follow) return Folder.#openOne(path, path, 0);
    let folder = await Folder.#openOne(Buffer.from('/'), Buffer.from('/'), 0);
    for (const name of splitPath(path)) {
      await using parent = folder;
      folder = await parent.folder(name);
    }
    return folder;
  }

  /** The folder of an entry that is no link. */
  async folder(name: Buffer): Promise<Folder> {
    return Folder.#openOne(this.entry(name), joinPath(this.#path, name), constants.O_NOFOLLOW);
  }

  /** The same, which is made if it is missing. */
  async makeFolder(name: Buffer): Promise<Folder> {
    try {
      await mkdir(this.entry(name));
    } catch (error) {
      if (errnoOf(error) !== os.errno.EEXIST) throw error;
    }
    return this.folder(name);
  }

  /** The names in it. */
  async names(): Promise<Buffer[]> {
    return readdir(this.entry(Buffer.from('.')), { encoding: 'buffer' });
  }

  /** A path for one operation on an entry, as long as this folder is open. */
  entry(name: Buffer): Buffer {
    if (process.platform !== 'linux') return joinPath(this.#path, name);
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.#handle.fd}/`), name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  static async #openOne(path: Buffer, shown: Buffer, flags: number): Promise<Folder> {
    return new Folder(await open(path, O_PATH | constants.O_DIRECTORY | flags), shown);
  }
}

/**
 * Runs an operation on a path. `follow` false: with a path on which no link can be stepped through but the last part, which the
 * operation must refuse itself.
 */
export async function onPath<T>(
  path: Buffer,
  follow: boolean,
  operation: (path: Buffer) => Promise<T>,
): Promise<T> {
  const { parent, name } = splitLast(path);
  if (follow || name.length === 0) return operation(path);
  await using folder = await Folder.open(parent, false);
  return await operation(folder.entry(name));
}

export function joinPath(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat(folder.at(-1) === slash ? [folder, name] : [folder, Buffer.from('/'), name]);
}

/** The name is empty for the root. A trailing slash does not count. */
export function splitLast(path: Buffer): { parent: Buffer; name: Buffer } {
  let end = path.length;
  while (end > 1 && path[end - 1] === slash) end -= 1;
  const start = path.subarray(0, end).lastIndexOf(slash);
  if (start < 0) return { parent: Buffer.from('.'), name: path.subarray(0, end) };
  return { parent: path.subarray(0, Math.max(1, start)), name: path.subarray(start + 1, end) };
}

function splitPath(path: Buffer): Buffer[] {
  const names: Buffer[] = [];
  let start = 0;
  for (let end = 0; end <= path.length; end++) {
    if (end !== path.length && path[end] !== slash) continue;
    if (end > start) names.push(path.subarray(start, end));
    start = end + 1;
  }
  return names;
}

/** `realpath` that keeps bytes that are no UTF-8. */
export async function realPath(path: Buffer): Promise<Buffer> {
  return realpath(path, { encoding: 'buffer' });
}

/** Links that are followed in a row before it is called a loop, as by the kernel. */
const linksInARow = 40;

/** Where a link leads, and a link there, until something is no link; also when that does not exist. */
export async function followLinks(path: Buffer): Promise<Buffer> {
  let place = path;
  for (let i = 0; i < linksInARow; i++) {
    const target = await readlink(place, { encoding: 'buffer' }).catch(() => undefined);
    if (target === undefined) break;
    place = target[0] === slash ? target : joinPath(splitLast(place).parent, target);
  }
  return place;
}
