import type { Dirent } from 'node:fs';
import { access, constants, lstat, opendir, stat } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { Folder, joinPath } from '../disk/folder.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf } from '../support/os-error.ts';
import type { Destination, FindDestination } from './canonical.ts';
import { type FoundRule, findNamed, foundRule } from './found-rules.ts';
import {
  type PatternPart,
  type Progress,
  advance,
  goesOn,
  isComplete,
  readPattern,
  startOf,
} from './glob-pattern.ts';
import { refusal, wrongProfile } from './refusal.ts';
import type { DeniedPattern } from './targets.ts';

const nowhere: Progress = new Set();

interface Pattern {
  readonly parts: readonly PatternPart[];
  readonly source: string;
}

/** Patterns that start from the same directory, so that it is searched once. */
interface Start {
  readonly destination: Destination;
  readonly patterns: readonly Pattern[];
}

function sourceOf({ patterns }: Start): string {
  return patterns.map(({ source }) => source).join(', ');
}

export interface ScanOptions {
  /** Levels: 1 is what is directly in the directory. */
  readonly depth: number | undefined;
  /** What relative patterns start from. */
  readonly cwd: Buffer | undefined;
}

/** Denials of the regular files that match now. What is created later is not covered: nothing but a search could find it. */
export async function findDenied(
  denied: readonly DeniedPattern[],
  options: ScanOptions,
  find: FindDestination,
): Promise<FoundRule[]> {
  const scan = new Scan(options.depth);
  for (const start of await startsOf(denied, options.cwd, find)) await scan.run(start);
  return scan.found;
}

async function startsOf(
  denied: readonly DeniedPattern[],
  cwd: Buffer | undefined,
  find: FindDestination,
): Promise<Start[]> {
  const starts = new Map<string, { destination: Destination; patterns: Pattern[] }>();
  for (const { pattern, source } of denied) {
    const read = readPattern(pattern);
    if ('problem' in read) throw wrongProfile(read.problem, source, read.fix);
    const from = pattern.startsWith('/') || cwd === undefined ? Buffer.from('/') : cwd;
    const folder = read.fixed.map((name) => Buffer.from(name)).reduce(joinPath, from);
    if (folder.length === 1) {
      const problem = 'has a pattern that starts from the root directory, which is too much to search';
      throw wrongProfile(problem, source, 'begin it with the name of a directory');
    }
    const destination = await findNamed(find, folder, source);
    if (destination.kind === 'hidden') {
      const problem = `names ${folder.toString()}, which is behind a directory that the executor may not enter`;
      throw refusal(problem, source, 'give it search permission for that directory');
    }
    const key = destination.path.toString('latin1');
    const start = starts.get(key) ?? { destination, patterns: [] };
    starts.set(key, start);
    start.patterns.push({ parts: read.parts, source });
  }
  return [...starts.values()];
}

class Scan {
  readonly found: FoundRule[] = [];
  readonly #levels: number;
  readonly #wanted: number | undefined;
  readonly #end = performance.now() + limits.sandboxGlobMs;
  #directories = 0;
  #entries = 0;

  constructor(depth: number | undefined) {
    this.#wanted = depth;
    this.#levels = Math.min(depth ?? Infinity, limits.sandboxGlobDepth);
  }

  async run(start: Start): Promise<void> {
    if (start.destination.kind !== 'directory') return;
    const progress = start.patterns.map(({ parts }) => startOf(parts));
    const folder = await unlessGone(async () => Folder.open(start.destination.path, false));
    if (folder === undefined) return;
    await using _closed = folder;
    await this.#search(start, folder, start.destination.path, progress, 1);
  }

  async #search(
    start: Start,
    folder: Folder,
    path: Buffer,
    progress: readonly Progress[],
    level: number,
  ): Promise<void> {
    this.#directories += 1;
    if (this.#directories > limits.sandboxGlobDirectories)
      throw this.#tooMuch(start, 'has too many directories to search');
    // Itself, and not its entry `.`, for which it has to be entered.
    const place = folder.entry(Buffer.alloc(0));
    try {
      for await (const entry of await openListing(place)) {
        this.#count(start);
        await this.#visit(start, folder, path, progress, level, entry);
      }
    } catch (error) {
      if (errnoOf(error) !== os.errno.EACCES) throw error;
      // Whoever can enter a directory can open what he knows the name of, and its owner can let himself in.
      if (await isClosed(place)) return;
      const problem = `cannot be searched for: the executor may not list or enter ${path.toString()}`;
      throw refusal(problem, sourceOf(start), 'give it read and search permission for that directory');
    }
  }

  async #visit(
    start: Start,
    folder: Folder,
    path: Buffer,
    progress: readonly Progress[],
    level: number,
    entry: Dirent<Buffer>,
  ): Promise<void> {
    const text = Array.from(entry.name.toString());
    const next = start.patterns.map(({ parts }, index) => advance(parts, progress[index] ?? nowhere, text));
    if (entry.isFile()) await this.#deny(start, folder, path, entry.name, next);
    if (!entry.isDirectory()) return;
    if (!start.patterns.some(({ parts }, index) => goesOn(parts, next[index] ?? nowhere))) return;
    if (level >= this.#levels) {
      if (level === this.#wanted) return;
      throw this.#tooMuch(start, 'has too many levels of directories to search');
    }
    const inner = await unlessGone(async () => folder.folder(entry.name));
    if (inner === undefined) return;
    await using _closed = inner;
    await this.#search(start, inner, joinPath(path, entry.name), next, level + 1);
  }

  #count(start: Start): void {
    this.#entries += 1;
    if (this.#entries > limits.sandboxGlobEntries) throw this.#tooMuch(start, 'has too many files to search');
    if (performance.now() > this.#end) throw this.#tooMuch(start, 'takes too long to search');
  }

  async #deny(
    start: Start,
    folder: Folder,
    path: Buffer,
    name: Buffer,
    progress: readonly Progress[],
  ): Promise<void> {
    const pattern = start.patterns.find(({ parts }, index) => isComplete(parts, progress[index] ?? nowhere));
    if (pattern === undefined) return;
    if (this.found.length >= limits.sandboxGlobMatches) throw this.#tooMuch(start, 'matches too many files');
    const stats = await unlessGone(async () => lstat(folder.entry(name), { bigint: true }));
    if (stats === undefined || !stats.isFile()) return;
    const file = joinPath(path, name);
    const destination: Destination = {
      ...start.destination,
      path: file,
      kind: 'file',
      identity: `${stats.dev}:${stats.ino}`,
    };
    this.found.push(foundRule(destination, { access: 'none', source: pattern.source, path: file }));
  }

  #tooMuch(start: Start, problem: string): Error {
    const fix = 'begin the pattern with a narrower directory, or set glob_scan_max_depth';
    return refusal(problem, sourceOf(start), fix);
  }
}

async function openListing(path: Buffer): Promise<AsyncIterable<Dirent<Buffer>>> {
  // The declared types know names as text only.
  const options = { encoding: 'buffer', bufferSize: 256 } as unknown as { encoding: 'utf8' };
  return (await opendir(path, options)) as unknown as AsyncIterable<Dirent<Buffer>>;
}

/** undefined: somebody removed or replaced it in the meantime. */
async function unlessGone<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    const { ENOENT, ENOTDIR, ELOOP } = os.errno;
    const errno = errnoOf(error);
    if (errno === ENOENT || errno === ENOTDIR || errno === ELOOP) return undefined;
    throw error;
  }
}

async function isClosed(place: Buffer): Promise<boolean> {
  const { uid } = await stat(place);
  if (uid === process.geteuid?.()) return false;
  return access(place, constants.X_OK).then(
    () => false,
    () => true,
  );
}
