import type { BigIntStats } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { constants } from 'node:os';
import { joinPath, splitLast } from '../disk/folder.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';
import { isEmpty, isMarked, standsForMissing } from './placeholder-mark.ts';
import type { RuleKind } from './rules.ts';

/** Where a path leads: to something, or to the place where it would be. */
export interface Destination {
  /** Without links and dots. What is missing at its end is as the request or a link writes it. */
  readonly path: Buffer;
  readonly kind: RuleKind;
  /** `DEVICE:INODE` of what is there. */
  readonly identity: string | undefined;
  /** The shortest part that does not exist. */
  readonly firstMissing: Buffer | undefined;
  /** A file that the path goes on behind, as if it were a directory. */
  readonly fileInTheWay: Buffer | undefined;
  /** The links on the way, where they really are. */
  readonly links: readonly Buffer[];
}

/** A path that leads nowhere, however long one waits. The message says why. */
export class UnusablePathError extends Error {
  override readonly name = 'UnusablePathError';
}

export type FindDestination = (path: Buffer) => Promise<Destination>;

/** Looks each path up once. */
export function destinationFinder(): FindDestination {
  const found = new Map<string, Promise<Destination>>();
  return (path) => {
    const key = path.toString('latin1');
    const known = found.get(key) ?? findDestination(path);
    found.set(key, known);
    return known;
  };
}

/**
 * Follows all links, the last included. The path is absolute. What another run has put in place of something that is missing is still
 * missing: it goes when that run ends.
 */
export async function findDestination(path: Buffer): Promise<Destination> {
  // No link is on the way nearly always, and then one look at everything at once is enough.
  const [real, stats] = await Promise.all([realOrNone(path), look(path)]);
  if (typeof stats === 'number') return (await missingIn(path, stats)) ?? walk(path);
  if (real?.equals(path) === true && !stats.isSymbolicLink()) return there(path, stats, []);
  return walk(path);
}

/** For the other ordinary case, that only the last part is missing, in a directory that is reached without links. */
async function missingIn(path: Buffer, errno: number): Promise<Destination | undefined> {
  if (errno !== constants.errno.ENOENT) return undefined;
  const { parent } = splitLast(path);
  const [real, around] = await Promise.all([realOrNone(parent), look(parent)]);
  // In a directory that is itself only there for something to be mounted on, more than the last part is missing.
  if (real?.equals(parent) !== true || typeof around === 'number' || isMarked(around)) return undefined;
  return notThere(errno, parent, path, [], []);
}

async function realOrNone(path: Buffer): Promise<Buffer | undefined> {
  return realpath(path, { encoding: 'buffer' }).catch(() => undefined);
}

/** The same for an entry of a directory whose path is canonical; undefined if it is a link. */
export async function findEntry(path: Buffer): Promise<Destination | undefined> {
  const stats = await look(path);
  if (typeof stats === 'number') return notThere(stats, splitLast(path).parent, path, [], []);
  return stats.isSymbolicLink() ? undefined : there(path, stats, []);
}

async function walk(path: Buffer): Promise<Destination> {
  const links: Buffer[] = [];
  const left = partsOf(path).toReversed();
  let place: Buffer = Buffer.from('/');
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (isDots(name, 1)) continue;
    if (isDots(name, 2)) {
      place = splitLast(place).parent;
      continue;
    }
    const next = joinPath(place, name);
    const stats = await look(next);
    if (typeof stats === 'number') {
      const rest = left.toReversed();
      if (stats === constants.errno.ENOENT && (await standsForMissing(place)))
        return notThere(stats, splitLast(place).parent, place, [name, ...rest], links);
      return notThere(stats, place, next, rest, links);
    }
    if (!stats.isSymbolicLink()) {
      place = next;
      continue;
    }
    links.push(next);
    if (links.length > limits.sandboxLinks) throw new UnusablePathError('it goes through too many links');
    const target = await readLink(next);
    if (target[0] === 0x2f) place = Buffer.from('/');
    left.push(...partsOf(target).toReversed());
  }
  const stats = await look(place);
  if (typeof stats === 'number') return notThere(stats, splitLast(place).parent, place, [], links);
  return there(place, stats, links);
}

async function readLink(path: Buffer): Promise<Buffer> {
  try {
    return await readlink(path, { encoding: 'buffer' });
  } catch (error) {
    throw new UnusablePathError('it changed while it was followed', { cause: error });
  }
}

async function look(path: Buffer): Promise<BigIntStats | number> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

async function there(path: Buffer, stats: BigIntStats, links: readonly Buffer[]): Promise<Destination> {
  if (isMarked(stats) && (await isEmpty(path)))
    return notThere(constants.errno.ENOENT, splitLast(path).parent, path, [], links);
  const kind = stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'other';
  const identity = `${stats.dev}:${stats.ino}`;
  return { path, kind, identity, firstMissing: undefined, fileInTheWay: undefined, links };
}

function notThere(
  errno: number,
  parent: Buffer,
  missing: Buffer,
  rest: readonly Buffer[],
  links: readonly Buffer[],
): Destination {
  const { ENOENT, ENOTDIR, EACCES } = constants.errno;
  if (errno !== ENOENT && errno !== ENOTDIR && errno !== EACCES)
    throw new UnusablePathError(osErrorText(errno));
  let path = missing;
  for (const name of rest) {
    // Dots of a link behind something that is not there lead nowhere.
    if (isDots(name, 2)) break;
    if (!isDots(name, 1)) path = joinPath(path, name);
  }
  return {
    path,
    kind: errno === EACCES ? 'hidden' : 'missing',
    identity: undefined,
    firstMissing: errno === EACCES ? undefined : missing,
    fileInTheWay: errno === ENOTDIR ? parent : undefined,
    links,
  };
}

export function partsOf(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(0x2f, start);
    const end = slash < 0 ? path.length : slash;
    if (end > start) parts.push(path.subarray(start, end));
    start = end + 1;
  }
  return parts;
}

function isDots(name: Buffer, count: 1 | 2): boolean {
  return name.length === count && name.every((byte) => byte === 0x2e);
}
