import type { BigIntStats } from 'node:fs';
import { chmod, lstat, lutimes, readlink, stat, utimes } from 'node:fs/promises';
import type { WireResult } from '../protocol/methods.ts';
import { fileTime } from '../disk/file-time.ts';
import { onPath } from '../disk/folder.ts';
import { systemError } from './file-error.ts';

type Metadata = WireResult<'fs/getMetadata'>;

export interface MetadataOptions {
  readonly follow: boolean;
  readonly details: boolean;
}

/** Describes a link's target and says that it is a link; or, without following, the link. */
export async function getMetadata(path: Buffer, { follow, details }: MetadataOptions): Promise<Metadata> {
  return onPath(path, follow, async (reached) => {
    const own = await lstat(reached, { bigint: true });
    const isSymlink = own.isSymbolicLink();
    const found = isSymlink && follow ? await stat(reached, { bigint: true }) : own;
    return {
      isDirectory: found.isDirectory(),
      isFile: found.isFile(),
      isSymlink,
      size: Number(found.size),
      createdAtMs: milliseconds(found.birthtimeNs),
      modifiedAtMs: milliseconds(found.mtimeNs),
      ...(details && describeDetails(found)),
      ...(details && isSymlink && (await linkText(reached))),
    };
  });
}

function describeDetails(found: BigIntStats): Partial<Metadata> {
  return {
    accessedAtMs: milliseconds(found.atimeNs),
    mode: Number(found.mode) & 0o7777,
    uid: Number(found.uid),
    gid: Number(found.gid),
    inode: String(found.ino),
    links: Number(found.nlink),
  };
}

async function linkText(path: Buffer): Promise<Partial<Metadata>> {
  const { target, targetBase64 } = await readLink(path);
  return { linkTarget: target, ...(targetBase64 !== undefined && { linkTargetBase64: targetBase64 }) };
}

export async function readLink(path: Buffer): Promise<WireResult<'fs/readLink'>> {
  const bytes = await readlink(path, { encoding: 'buffer' });
  const target = bytes.toString();
  return Buffer.from(target).equals(bytes) ? { target } : { target, targetBase64: bytes.toString('base64') };
}

export interface MetadataChange {
  readonly mode: number | undefined;
  readonly modifiedAtMs: number | undefined;
  readonly accessedAtMs: number | undefined;
  readonly follow: boolean;
}

/** Sets what is given and leaves the rest. A link has no mode of its own. */
export async function setMetadata(path: Buffer, change: MetadataChange): Promise<void> {
  await onPath(path, change.follow, async (reached) => {
    const found = await (change.follow ? stat : lstat)(reached);
    if (change.mode !== undefined) {
      if (found.isSymbolicLink()) throw systemError('ELOOP');
      await chmod(reached, change.mode);
    }
    if (change.modifiedAtMs === undefined && change.accessedAtMs === undefined) return;
    const accessed = fileTime(change.accessedAtMs ?? found.atimeMs);
    const modified = fileTime(change.modifiedAtMs ?? found.mtimeMs);
    await (change.follow ? utimes : lutimes)(reached, accessed, modified);
  });
}

/** Whole milliseconds; 0 for what is unknown or before 1970. */
function milliseconds(nanoseconds: bigint): number {
  return Math.max(0, Number(nanoseconds / 1_000_000n));
}
