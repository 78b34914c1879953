import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { invalidRequest } from '../protocol/errors.ts';
import { errnoOf } from '../support/os-error.ts';
import { onPath } from './folder.ts';

/** A FIFO or a device must neither make the open wait nor become a terminal of ours. */
const careful = constants.O_NONBLOCK | constants.O_NOCTTY;

export interface OpenedFile {
  readonly file: FileHandle;
  readonly stat: BigIntStats;
}

/** Opens what is already known by its open descriptor to be a regular file: looked at first, it could be another one by then. */
export async function openRegular(
  path: Buffer,
  flags: number,
  follow: boolean,
  mode?: number,
): Promise<OpenedFile> {
  return onPath(path, follow, async (reached) => {
    const file = await openCarefully(reached, flags | (follow ? 0 : constants.O_NOFOLLOW), mode);
    try {
      const stat = await file.stat({ bigint: true });
      if (!stat.isFile()) throw notRegularFile();
      return { file, stat };
    } catch (error) {
      await file.close();
      throw error;
    }
  });
}

async function openCarefully(path: Buffer, flags: number, mode: number | undefined): Promise<FileHandle> {
  try {
    return await open(path, flags | careful, mode);
  } catch (error) {
    // What the kernel says of a socket, and of a FIFO that nobody reads.
    throw errnoOf(error) === os.errno.ENXIO ? notRegularFile() : error;
  }
}

const notRegularFile = (): Error => invalidRequest('The path is not a regular file.');

/**
 * Opens a regular file, new or not, and empties it, which only happens when it is known to be one. `mode`: exactly that of a new file; 0666
 * less the umask if undefined.
 */
export async function openEmptied(path: Buffer, follow: boolean, mode?: number): Promise<FileHandle> {
  const { file, created } = await openOrCreate(path, follow, mode);
  try {
    if (created && mode !== undefined) await file.chmod(mode);
    await file.truncate(0);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openOrCreate(
  path: Buffer,
  follow: boolean,
  mode: number | undefined,
): Promise<{ file: FileHandle; created: boolean }> {
  const flags = constants.O_WRONLY | constants.O_CREAT;
  try {
    return { file: (await openRegular(path, flags | constants.O_EXCL, follow, mode)).file, created: true };
  } catch (error) {
    if (errnoOf(error) !== os.errno.EEXIST) throw error;
    return { file: (await openRegular(path, flags, follow, mode)).file, created: false };
  }
}
