import { FileHandles } from '../file-system/file-handles.ts';
import { MissingWatch, type MissingWatchOptions } from '../file-system/missing-watch.ts';
import { TreeWatches } from '../file-system/tree-watches.ts';

/** What of the file system belongs to one connection and ends with it. */
export class ConnectionFiles {
  readonly handles = new FileHandles();
  readonly watches = new TreeWatches();
  #watch: MissingWatch | undefined;

  /** Replaces the watch before. */
  watchMissing(options: MissingWatchOptions): void {
    this.#watch?.dispose();
    this.#watch = new MissingWatch(options);
  }

  stopWatching(): void {
    this.#watch?.dispose();
    this.#watch = undefined;
  }

  async dispose(): Promise<void> {
    this.stopWatching();
    this.watches.dispose();
    await this.handles.dispose();
  }
}
