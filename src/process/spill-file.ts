import { randomUUID } from 'node:crypto';
import { type FileHandle, open, readdir, unlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../support/os-error.ts';

const prefix = 'exec-server-journal-';

/** A file for output that has no name any more, so that nothing of it stays when the executor is gone. */
export async function openSpillFile(folder: string): Promise<FileHandle> {
  const path = join(folder, prefix + randomUUID());
  const file = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    return file;
  } catch (error) {
    // Another executor that has just started takes every name for one that a crash has left.
    if (errnoOf(error) === os.errno.ENOENT) return file;
    await file.close();
    throw error;
  }
}

/** Removes names that an executor has left which was killed between the two calls above. What belongs to others stays. */
export async function removeStaleSpills(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const stale = names.filter((name) => /^exec-server-journal-[0-9a-f-]{36}$/.test(name));
  await Promise.all(stale.map((name) => unlink(join(folder, name)).catch(() => {})));
}
