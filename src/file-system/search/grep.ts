import { splitLast } from '../../disk/folder.ts';
import { showPath } from '../../protocol/path.ts';
import { FileTexts } from './file-text.ts';
import { nameMatcher } from './globs.ts';
import { type GrepMatch, type LineMatch, type LineOptions, matchingLines } from './line-matches.ts';
import type { Counts, FromThread, GrepJob } from './messages.ts';
import { Outlet } from './outlet.ts';
import { pathWriter } from './shown-path.ts';
import { joinPrefix, walkTree } from './tree.ts';

/** Bytes of the names of one batch: all of them are arguments of one program, for which Linux has 128 KiB in the worst case. */
const batchNameBytes = 64 * 1024;
/** Files of the first batch, which is small so that first results come early; each one after it has twice as many. */
const firstBatchFiles = 64;

type Skip = 'binary' | 'large' | 'unreadable';

/** A file of a batch, by the bytes of its relative path, and why it is not searched, where that is known already. */
interface Item {
  readonly name: string;
  readonly skip?: Skip;
}

/** Which of these files can have a match: their indexes, or undefined for all of them. */
export type Filter = (names: readonly string[]) => Promise<readonly number[] | undefined>;

/** Runs an fs/grep on a search thread. */
export async function grep(
  job: GrepJob,
  send: (message: FromThread) => void,
  filter: Filter,
): Promise<FromThread> {
  return new Grep(job, send).run(job.filtered ? filter : undefined);
}

class Grep {
  readonly #job: GrepJob;
  readonly #directory: Buffer;
  readonly #write: (name: string) => string;
  readonly #texts: FileTexts;
  readonly #lines: LineOptions;
  readonly #outlet: Outlet<GrepMatch>;
  readonly #counts = { files: 0, errors: 0, skippedBinary: 0, skippedLarge: 0 };

  constructor(job: GrepJob, send: (message: FromThread) => void) {
    this.#job = job;
    const root = Buffer.from(job.root);
    this.#directory = job.isFile ? splitLast(root).parent : root;
    this.#write = job.isFile ? () => showPath(root, job.form) : pathWriter(root, job.form);
    this.#texts = new FileTexts({ maxBytes: job.maxFileBytes, followLink: job.isFile });
    this.#lines = { expression: new RegExp(job.source, 'g'), before: job.before, after: job.after };
    this.#outlet = new Outlet(job.bounds, (matches) =>
      send({ kind: 'results', results: { matches }, counts: this.#snapshot() }),
    );
  }

  async run(filter: Filter | undefined): Promise<FromThread> {
    if (filter === undefined) {
      for (const name of this.#names()) if (!this.#search(name)) break;
    } else {
      await this.#runFiltered(filter);
    }
    this.#outlet.flush();
    return { kind: 'done', counts: this.#snapshot(), truncatedBy: this.#outlet.truncatedBy };
  }

  /** While one batch is with the filter, the next one is made. What is skipped counts in its place, so that a cut search counts the same. */
  async #runFiltered(filter: Filter): Promise<void> {
    let waiting: { items: Item[]; hits: Promise<Set<string>> } | undefined;
    for (const items of this.#batches()) {
      const earlier = waiting;
      if (earlier !== undefined && !this.#take(earlier.items, await earlier.hits)) return;
      waiting = { items, hits: hitsOf(items, filter) };
    }
    if (waiting !== undefined) this.#take(waiting.items, await waiting.hits);
  }

  #take(items: readonly Item[], hits: ReadonlySet<string>): boolean {
    return items.every(({ name, skip }) => {
      if (skip !== undefined) this.#skip(skip);
      return !hits.has(name) || this.#search(name);
    });
  }

  *#batches(): Generator<Item[], void> {
    let items: Item[] = [];
    let bytes = 0;
    let files = firstBatchFiles;
    for (const name of this.#names()) {
      const found = this.#texts.probe(this.#path(name));
      if (found === 'empty' || found === 'gone') continue;
      items.push(typeof found === 'string' ? { name, skip: found } : { name });
      bytes += name.length;
      if (items.length < files && bytes < batchNameBytes) continue;
      yield items;
      items = [];
      bytes = 0;
      files *= 2;
    }
    if (items.length > 0) yield items;
  }

  /** The files to search, in order. A file that the request names itself is searched whatever the other parameters say. */
  *#names(): Generator<string, void> {
    const { isFile, include, exclude, includeHidden } = this.#job;
    if (isFile) {
      yield splitLast(Buffer.from(this.#job.root)).name.toString('latin1');
      return;
    }
    const excluded = nameMatcher(exclude);
    const included = nameMatcher(include);
    const entries = walkTree(this.#directory, {
      skips: (entry) => (!includeHidden && entry.name.startsWith('.')) || excluded(entry),
      enters: () => true,
      onError: () => void (this.#counts.errors += 1),
    });
    for (const entry of entries)
      if (entry.kind === 'file' && (include.length === 0 || included(entry))) yield entry.bytes;
  }

  /** Answers false where a bound of the results was reached. */
  #search(name: string): boolean {
    const bytes = this.#texts.read(this.#path(name));
    if (typeof bytes === 'string') {
      if (bytes !== 'empty' && bytes !== 'gone') this.#skip(bytes);
      return true;
    }
    let counted = false;
    const path = this.#write(name);
    try {
      for (const line of matchingLines(bytes, this.#lines)) {
        if (!this.#outlet.add({ path, ...line }, valuesOf(line))) break;
        if (!counted) this.#counts.files += 1;
        counted = true;
        this.#outlet.offer();
      }
    } catch (error) {
      // The engine's own stack is used up by a long line; the file counts like one that cannot be read.
      if (!(error instanceof RangeError)) throw error;
      this.#counts.errors += 1;
    }
    return this.#outlet.truncatedBy === undefined;
  }

  #path(name: string): Buffer {
    if (this.#job.isFile) return Buffer.from(this.#job.root);
    return Buffer.from(joinPrefix(this.#directory.toString('latin1')) + name, 'latin1');
  }

  #skip(why: Skip): void {
    if (why === 'binary') this.#counts.skippedBinary += 1;
    else if (why === 'large') this.#counts.skippedLarge += 1;
    else this.#counts.errors += 1;
  }

  #snapshot(): Counts {
    return { ...this.#counts };
  }
}

async function hitsOf(items: readonly Item[], filter: Filter): Promise<Set<string>> {
  const names = items.filter((item) => item.skip === undefined).map((item) => item.name);
  const hits = names.length === 0 ? [] : await filter(names);
  return new Set(hits === undefined ? names : hits.flatMap((index) => names[index] ?? []));
}

/** JSON values of a match: itself, its members, and what is in its lists. */
function valuesOf({ submatches, before, after }: LineMatch): number {
  return 9 + 3 * submatches.length + (before?.length ?? 0) + (after?.length ?? 0);
}
