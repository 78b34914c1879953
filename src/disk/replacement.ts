import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { errnoOf } from '../support/os-error.ts';
import { Folder, followLinks, realPath, splitLast } from './folder.ts';
import { leftoverName } from './leftover.ts';
import { openRegular } from './open-regular.ts';

/** A new content that gets the name of a file when it is complete and on disk; until then, and if it never is, the old one stays. */
export class Replacement implements AsyncDisposable {
  readonly file: FileHandle;
  readonly #folder: Folder;
  readonly #temporary: Buffer;
  readonly #name: Buffer;
  readonly #mode: number | undefined;
  #committed = false;

  private constructor(
    file: FileHandle,
    folder: Folder,
    temporary: Buffer,
    name: Buffer,
    mode: number | undefined,
  ) {
    this.file = file;
    this.#folder = folder;
    this.#temporary = temporary;
    this.#name = name;
    this.#mode = mode;
  }

  /** `mode`: exactly that of a new file, 0666 less the umask if undefined; one that is replaced hands down its own. */
  static async open(path: Buffer, follow: boolean, mode: number | undefined): Promise<Replacement> {
    const existing = await existingFile(path, follow);
    const { parent, name } = splitLast(existing?.path ?? (follow ? await followLinks(path) : path));
    const folder = await Folder.open(parent, follow);
    try {
      const temporary = folder.entry(Buffer.from(leftoverName()));
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const file = await open(temporary, flags, existing === undefined ? (mode ?? 0o666) : 0o600);
      return new Replacement(file, folder, temporary, name, existing?.mode ?? mode);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Gives it the name, and a mode: the given one, or that of the file it replaces. */
  async commit(mode: number | undefined = this.#mode): Promise<void> {
    if (mode !== undefined) await this.file.chmod(mode);
    await this.file.sync();
    await rename(this.#temporary, this.#folder.entry(this.#name));
    this.#committed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    if (!this.#committed) await unlink(this.#temporary).catch(() => {});
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** What is replaced: a link's target, not the link. undefined where nothing is there. */
async function existingFile(
  path: Buffer,
  follow: boolean,
): Promise<{ path: Buffer; mode: number } | undefined> {
  try {
    const { file, stat } = await openRegular(path, constants.O_WRONLY, follow);
    await file.close();
    return { path: follow ? await realPath(path) : path, mode: Number(stat.mode) & 0o7777 };
  } catch (error) {
    if (errnoOf(error) === os.errno.ENOENT) return undefined;
    throw error;
  }
}
