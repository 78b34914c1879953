import { lstat, mkdir, stat } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { errnoOf } from '../support/os-error.ts';
import { onPath, splitLast } from './folder.ts';

/** `recursive`: with its parents, and satisfied with a directory that is there. */
export async function createDirectory(path: Buffer, recursive: boolean, follow: boolean): Promise<void> {
  try {
    await onPath(path, follow, (reached) => mkdir(reached));
  } catch (error) {
    const errno = errnoOf(error);
    if (!recursive) throw error;
    if (errno === os.errno.ENOENT && path.length > 1) {
      await createDirectory(splitLast(path).parent, true, follow);
      await createDirectory(path, true, follow);
    } else if (errno !== os.errno.EEXIST || !(await isDirectory(path, follow))) {
      throw error;
    }
  }
}

async function isDirectory(path: Buffer, follow: boolean): Promise<boolean> {
  const look = follow ? stat : lstat;
  return onPath(path, follow, async (reached) => (await look(reached)).isDirectory()).catch(() => false);
}
