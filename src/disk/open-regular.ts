import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { invalidRequest } from '../protocol/errors.ts';
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
    const file = await open(reached, flags | careful | (follow ? 0 : constants.O_NOFOLLOW), mode);
    try {
      const stat = await file.stat({ bigint: true });
      if (!stat.isFile()) throw invalidRequest('The path is not a regular file.');
      return { file, stat };
    } catch (error) {
      await file.close();
      throw error;
    }
  });
}

/** Opens a regular file and empties it, which only happens when it is known to be one. */
export async function openEmptied(path: Buffer, follow: boolean, mode?: number): Promise<FileHandle> {
  const { file } = await openRegular(path, constants.O_WRONLY | constants.O_CREAT, follow, mode);
  try {
    await file.truncate(0);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
