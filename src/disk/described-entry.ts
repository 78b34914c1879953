import type { BigIntStats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { osErrorText, errnoOf } from '../support/os-error.ts';

/** What is at a path of a tree. Where it may change while it is looked at, `version` is absent. */
export interface DescribedEntry {
  /** Relative to the root; empty for the root itself. With U+FFFD where it is not UTF-8. */
  readonly path: string;
  /** `other`: FIFOs, sockets, devices, and what has a name or a link's text that is not UTF-8. `leftover`: an unfinished file of a writer that was killed, or that is at work. */
  readonly kind: 'file' | 'directory' | 'link' | 'other' | 'leftover';
  readonly size?: number;
  /** Permission bits. */
  readonly mode?: number;
  readonly modifiedAtMs?: number;
  /** The same text as before means the same content as before. Of the root: the same directory as before. */
  readonly version?: string;
  readonly target?: string;
  readonly sha256?: string;
  /** Why it could not be looked at, or looked into. */
  readonly problem?: string;
}

/** Milliseconds within which a file could be changed once more without another time: a tick of the kernel's clock with room to spare. */
const tickMs = 100;
/** The same on a file system that has whole seconds, or two of them. */
const coarseTickMs = 2_000;

/** A name that is another text as bytes has no text that finds it again. */
export function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes);
}

/** What is at a place. With `follow`, what a link leads to; one that leads nowhere stays a link. */
export async function lookAt(place: Buffer, follow: boolean): Promise<BigIntStats> {
  if (!follow) return lstat(place, { bigint: true });
  try {
    return await stat(place, { bigint: true });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== os.errno.ENOENT && errno !== os.errno.ELOOP) throw error;
    return lstat(place, { bigint: true });
  }
}

/** `now`: of this machine, before the file was looked at. */
export function describeFile(path: string, stat: BigIntStats, now: number): DescribedEntry {
  const changedMs = Number(stat.ctimeNs / 1_000_000n);
  const isCoarse = stat.mtimeNs % 1_000_000_000n === 0n && stat.ctimeNs % 1_000_000_000n === 0n;
  const settled = changedMs + (isCoarse ? coarseTickMs : tickMs) < now;
  return {
    path,
    kind: 'file',
    size: Number(stat.size),
    mode: Number(stat.mode) & 0o777,
    modifiedAtMs: Math.floor(Number(stat.mtimeNs / 1_000_000n)),
    ...(settled && { version: versionOf(stat) }),
  };
}

export function describeDirectory(path: string, stat: BigIntStats): DescribedEntry {
  return { path, kind: 'directory', mode: Number(stat.mode) & 0o777 };
}

/** Of a directory that is made anew under the same name, this is another one. */
export function directoryVersion(stat: BigIntStats): string {
  return `${stat.ino.toString(36)}.${stat.birthtimeNs.toString(36)}`;
}

export function describeProblem(path: string, kind: DescribedEntry['kind'], error: unknown): DescribedEntry {
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  return { path, kind, problem: osErrorText(errno) };
}

/** Changing the size, the content or the mode, or another file in its place, changes it. */
export function versionOf(stat: BigIntStats): string {
  return [stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino].map((part) => part.toString(36)).join('.');
}
