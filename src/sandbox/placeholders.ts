import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rmdir, stat } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { Folder, splitLast } from '../disk/folder.ts';
import { native } from '../support/native.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';
import { isMarked, placeholderMode } from './placeholder-mark.ts';
import { refusal } from './refusal.ts';

/** Somebody else may be removing it at this moment. */
const attempts = 10;
const directory = constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_RDONLY;

export interface PlaceholderLease {
  readonly release: () => Promise<void>;
}

interface Held {
  readonly place: Place;
  readonly handle: FileHandle;
  users: number;
}

/**
 * Directories that are there only as long as something is mounted on them. Whoever uses one holds a shared lock on it, in whatever
 * process, so the last one can remove it; the kernel gives a lock up when its holder dies.
 */
export class Placeholders {
  readonly #record: (path: Buffer) => Promise<void>;
  readonly #held = new Map<string, Promise<Held | 'changed' | undefined>>();

  /** `record` is told of a path before it is made, so that it can be removed after a crash. */
  constructor(record: (path: Buffer) => Promise<void>) {
    this.#record = record;
  }

  /** 'changed': there is something else at the path. undefined: nobody can make anything there. */
  async lease(path: Buffer): Promise<PlaceholderLease | 'changed' | undefined> {
    const key = path.toString('latin1');
    let pending = this.#held.get(key);
    if (pending === undefined) {
      pending = this.#take(path);
      this.#held.set(key, pending);
    }
    const forget = (): void => {
      if (this.#held.get(key) === pending) this.#held.delete(key);
    };
    const held = await pending.catch((error: unknown) => {
      forget();
      throw error;
    });
    if (held === undefined || held === 'changed') {
      forget();
      return held;
    }
    if (this.#held.get(key) !== pending) return this.lease(path);
    held.users += 1;
    let released = false;
    return {
      release: async () => {
        if (released) return;
        released = true;
        held.users -= 1;
        if (held.users > 0) return;
        this.#held.delete(key);
        await remove(held.place, held.handle);
      },
    };
  }

  async dispose(): Promise<void> {
    for (const pending of this.#held.values()) {
      const held = await pending;
      if (typeof held === 'object') await remove(held.place, held.handle);
    }
    this.#held.clear();
  }

  async #take(path: Buffer): Promise<Held | 'changed' | undefined> {
    await this.#record(path);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const place = await Place.open(path);
      if (place === undefined) return 'changed';
      try {
        await mkdir(place.path, placeholderMode);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno !== os.errno.EEXIST) {
          await using _place = place;
          if (errno === os.errno.ENOENT) return 'changed';
          if (await place.isClosedToAll(errno)) return undefined;
          throw refusal(
            `is missing, and nothing can be put in its place (${osErrorText(errno ?? 0)})`,
            path.toString(),
            'let the executor make directories where it would be',
          );
        }
      }
      const handle = await open(place.path, directory).catch(() => undefined);
      const usable = handle !== undefined && native().lock(handle.fd, false) === 0;
      if (usable && (await isPlaceholder(place, handle))) return { place, handle, users: 0 };
      const replaced = handle === undefined || !(await isThere(place, handle));
      await handle?.close();
      await place.close();
      if (!replaced) return 'changed';
    }
    return 'changed';
  }
}

/** After a crash: removed unless somebody uses it. */
export async function removeLeftover(path: Buffer): Promise<void> {
  const place = await Place.open(path);
  if (place === undefined) return;
  const handle = await open(place.path, directory).catch(() => undefined);
  if (handle !== undefined && (await isPlaceholder(place, handle))) await remove(place, handle);
  else await Promise.all([handle?.close(), place.close()]);
}

/** Only an empty directory goes, and only if nobody else has it locked. */
async function remove(place: Place, handle: FileHandle): Promise<void> {
  try {
    if (native().lock(handle.fd, true) === 0 && (await isThere(place, handle)))
      await rmdir(place.path).catch(() => {});
  } finally {
    await Promise.all([handle.close(), place.close()]);
  }
}

async function isPlaceholder(place: Place, handle: FileHandle): Promise<boolean> {
  return (
    isMarked(await handle.stat()) &&
    (await isThere(place, handle)) &&
    (await readdir(place.path)).length === 0
  );
}

async function isThere(place: Place, handle: FileHandle): Promise<boolean> {
  const now = await open(place.path, directory).catch(() => undefined);
  if (now === undefined) return false;
  try {
    const [a, b] = await Promise.all([now.stat({ bigint: true }), handle.stat({ bigint: true })]);
    return a.dev === b.dev && a.ino === b.ino;
  } finally {
    await now.close();
  }
}

/** A name in a directory that is held open: what becomes of the names above it does not matter. */
class Place {
  readonly path: Buffer;
  readonly #folder: Folder;

  private constructor(folder: Folder, name: Buffer) {
    this.#folder = folder;
    this.path = folder.entry(name);
  }

  static async open(path: Buffer): Promise<Place | undefined> {
    const { parent, name } = splitLast(path);
    const folder = await Folder.open(parent, false).catch(() => undefined);
    return folder && new Place(folder, name);
  }

  /** Nobody of this user can make it, and nobody of this user can change that. The owner of a directory can. */
  async isClosedToAll(errno: number | undefined): Promise<boolean> {
    if (errno === os.errno.EROFS) return true;
    if (errno !== os.errno.EACCES && errno !== os.errno.EPERM) return false;
    const { uid } = await stat(this.#folder.entry(Buffer.from('.')));
    return uid !== process.getuid?.();
  }

  async close(): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
