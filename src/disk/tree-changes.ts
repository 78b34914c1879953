import { constants } from 'node:fs';
import { open, rmdir, unlink } from 'node:fs/promises';
import { Folder } from './folder.ts';
import { splitName } from './archive-entry.ts';

/** Removes one entry of a tree, a directory only if it is empty. No link in the way is followed. */
export async function removeNamed(root: Buffer, name: string, isDirectory: boolean): Promise<void> {
  await within(root, name, (place) => (isDirectory ? rmdir(place) : unlink(place)));
}

/** Sets the permission bits of one entry of a tree that is no link. */
export async function setModeNamed(root: Buffer, name: string, mode: number): Promise<void> {
  await within(root, name, async (place) => {
    const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      await file.chmod(mode);
    } finally {
      await file.close();
    }
  });
}

async function within(root: Buffer, name: string, work: (place: Buffer) => Promise<void>): Promise<void> {
  const parts = splitName(name);
  let folder = await Folder.open(root, true);
  for (const part of parts.slice(0, -1)) {
    await using parent = folder;
    folder = await parent.folder(Buffer.from(part));
  }
  await using last = folder;
  await work(last.entry(Buffer.from(parts.at(-1) ?? '.')));
}
