import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { WatchedFolder } from './watched-folder.ts';

/** Folders of one tree that are read at a time: half of Node's pool, which others need, too. */
const readers = 2;
/** Entries looked at in one turn of the event loop, each with a system call if it is a directory: a few milliseconds. */
const entriesPerTurn = 500;

export type Entry = Dirent<Buffer>;

export interface Reading {
  readonly folder: WatchedFolder;
  /** Each entry is told as created. */
  readonly tells: boolean;
}

export interface FolderReaderOptions {
  path(folder: WatchedFolder): Buffer;
  /** Called for each entry of a folder that is still there. */
  onEntry(reading: Reading, entry: Entry): void;
  /** The names are bytes as latin1; undefined where the folder could not be read. */
  onRead(reading: Reading, names: ReadonlySet<string> | undefined): void;
}

/** Reads folders in the order of their coming, without holding up the event loop for long. */
export class FolderReader {
  readonly #options: FolderReaderOptions;
  #queue: Reading[] = [];
  #next = 0;
  #running = 0;
  #disposed = false;
  /** Folders that are being read or wait for it: by whether their entries are told. */
  readonly left = { telling: 0, quiet: 0 };

  constructor(options: FolderReaderOptions) {
    this.#options = options;
  }

  add(reading: Reading): void {
    if (this.#disposed) return;
    this.left[reading.tells ? 'telling' : 'quiet'] += 1;
    this.#queue.push(reading);
    if (this.#running < readers) void this.#run();
  }

  dispose(): void {
    this.#disposed = true;
    this.#queue = [];
  }

  async #run(): Promise<void> {
    this.#running += 1;
    // Not within the event that has brought the folder.
    await nextTurn();
    for (let reading = this.#shift(); reading !== undefined; reading = this.#shift()) {
      const names = await this.#read(reading);
      if (this.#disposed) break;
      this.left[reading.tells ? 'telling' : 'quiet'] -= 1;
      this.#options.onRead(reading, names);
    }
    this.#running -= 1;
  }

  #shift(): Reading | undefined {
    const reading = this.#queue[this.#next++];
    if (this.#next > 1024 || reading === undefined) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    return reading;
  }

  async #read(reading: Reading): Promise<Set<string> | undefined> {
    const { folder } = reading;
    const stopped = (): boolean => this.#disposed || folder.gone;
    if (stopped()) return undefined;
    const entries = await readdir(this.#options.path(folder), {
      withFileTypes: true,
      encoding: 'buffer',
      // Gone again, or not for this executor: it is not watched either.
    }).catch(() => undefined);
    if (entries === undefined) return undefined;
    const names = new Set<string>();
    for (const [index, entry] of entries.entries()) {
      if (index % entriesPerTurn === entriesPerTurn - 1) await nextTurn();
      if (stopped()) return undefined;
      names.add(entry.name.toString('latin1'));
      this.#options.onEntry(reading, entry);
    }
    return names;
  }
}
