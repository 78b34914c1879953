import { readdir } from 'node:fs/promises';
import { joinPath, realPath, splitLast } from '../disk/folder.ts';
import { errnoOf } from '../support/os-error.ts';
import { constants } from 'node:os';

/**
 * Directories that are there only for a sandbox to mount something on, so that nobody can create what they stand for. Nobody is to see
 * them. One in which somebody outside has put something is what it seems to be from then on.
 */
export class Unseen {
  readonly #paths: readonly Buffer[];
  readonly #keys: ReadonlySet<string>;
  readonly #names: ReadonlySet<string>;

  /** Paths without links. */
  constructor(paths: readonly Buffer[]) {
    this.#paths = paths;
    this.#keys = new Set(paths.map(keyOf));
    this.#names = new Set(paths.map((path) => keyOf(splitLast(path).name)));
  }

  get isEmpty(): boolean {
    return this.#paths.length === 0;
  }

  /** Whether a path is one of them, or would be in one. */
  async covers(path: Buffer, follow: boolean): Promise<boolean> {
    if (this.isEmpty) return false;
    const { parent, name } = splitLast(path);
    const real = follow ? await realPlace(path) : joinPath(await realPlace(parent), name);
    for (const place of this.#paths) {
      const inside = real.length > place.length && real[place.length] === 0x2f;
      if (!real.subarray(0, place.length).equals(place) || (real.length > place.length && !inside)) continue;
      return isVacant(place);
    }
    return false;
  }

  /** Whether an entry of a directory is one of them. */
  async hides(folder: Buffer, name: Buffer): Promise<boolean> {
    if (!this.#names.has(keyOf(name))) return false;
    return this.covers(joinPath(folder, name), false);
  }

  /** The same for a path that is known to have no links. */
  isPlace(path: Buffer): boolean {
    return this.#keys.has(keyOf(path));
  }
}

export const nothingUnseen = new Unseen([]);

async function isVacant(place: Buffer): Promise<boolean> {
  try {
    return (await readdir(place)).length === 0;
  } catch (error) {
    return errnoOf(error) === constants.errno.EACCES;
  }
}

/** The deepest part that there is, resolved, and the rest as it is. */
async function realPlace(path: Buffer): Promise<Buffer> {
  const { parent, name } = splitLast(path);
  if (name.length === 0) return path;
  return realPath(path).catch(async () => joinPath(await realPlace(parent), name));
}

function keyOf(path: Buffer): string {
  return path.toString('latin1');
}
