import type { BigIntStats, Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';

/**
 * How a placeholder is known from a directory of somebody else: nobody gives an empty one the sticky bit, but to share it, and then others
 * may write to it.
 */
export const placeholderMark = 0o1000;
export const placeholderMode = placeholderMark | 0o755;
const writableByOthers = 0o022;

/** Whether a directory is there only for some sandbox to mount something on. */
export async function standsForMissing(path: Buffer): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  return stats !== undefined && isMarked(stats) && (await isEmpty(path));
}

/** Whether nobody has put anything into it. */
export async function isEmpty(path: Buffer): Promise<boolean> {
  return (await readdir(path).catch(() => ['unknown'])).length === 0;
}

/** The same but for what may be in it. */
export function isMarked(stats: Stats | BigIntStats): boolean {
  const marks = Number(stats.mode) & (placeholderMark | writableByOthers);
  return stats.isDirectory() && Number(stats.uid) === process.getuid?.() && marks === placeholderMark;
}
