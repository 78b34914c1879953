import { FileHandles } from '../file-system/file-handles.ts';
import { MissingWatch, type MissingWatchOptions } from '../file-system/missing-watch.ts';
import { Searches } from '../file-system/search/searches.ts';
import { TreeWatches } from '../file-system/tree-watches.ts';
import { type Unseen, nothingUnseen } from '../file-system/unseen.ts';

/** What of the file system belongs to one connection and ends with it. */
export class ConnectionFiles {
  readonly handles = new FileHandles();
  readonly searches = new Searches();
  readonly watches = new TreeWatches();
  readonly unseen: Unseen;
  #watch: MissingWatch | undefined;
  #lastWatchId = -1;
  #disposed = false;

  constructor(unseen: Unseen = nothingUnseen) {
    this.unseen = unseen;
  }

  /**
   * Replaces the watch before. Answers whether there is something to wait for. Ids go up: a request that was overtaken by a later one has
   * nothing to say any more.
   */
  async watchMissing(id: number, options: MissingWatchOptions): Promise<boolean> {
    if (!this.claimMissing(id)) return false;
    const started = await MissingWatch.start(options);
    if (this.#disposed || id !== this.#lastWatchId) {
      started?.dispose();
      return false;
    }
    this.#watch = started;
    return started !== undefined;
  }

  /** Ends the watch before. Answers whether nobody has come with a later id. */
  claimMissing(id: number): boolean {
    if (id <= this.#lastWatchId || this.#disposed) return false;
    this.#lastWatchId = id;
    this.#watch?.dispose();
    this.#watch = undefined;
    return true;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#watch?.dispose();
    this.watches.dispose();
    this.searches.dispose();
    await this.handles.dispose();
  }
}
