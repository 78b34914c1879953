import { type FSWatcher, watch } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { splitLast } from '../disk/folder.ts';

/** Milliseconds between looks, for file systems and hosts whose events do not come. */
const pollMs = 1000;

export interface MissingWatchOptions {
  readonly missing: readonly Buffer[];
  /** A path whose disappearance counts, too. */
  readonly present: Buffer | undefined;
  /** Called once, and never after `dispose`. */
  readonly onChange: () => void;
}

/** Waits until one of some paths appears. Watches the deepest directories that exist, and looks now and then all the same. */
export class MissingWatch {
  readonly #options: MissingWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #lookAgain = false;
  #done = false;

  constructor(options: MissingWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), pollMs);
    this.#timer.unref();
    void this.#look();
  }

  dispose(): void {
    this.#done = true;
    clearInterval(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #look(): Promise<void> {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#lookAgain && !this.#done) {
      this.#lookAgain = false;
      await this.#lookOnce();
    }
    this.#looking = false;
  }

  async #lookOnce(): Promise<void> {
    const { missing, present } = this.#options;
    // Watched before they are looked at, so that nothing appears between.
    await Promise.all(missing.map((path) => this.#watchAbove(path)));
    if (present !== undefined) this.#watchFolder(splitLast(present).parent);
    const appeared = await Promise.all(missing.map(exists));
    const changed = appeared.includes(true) || (present !== undefined && !(await exists(present)));
    if (!changed || this.#done) return;
    this.dispose();
    this.#options.onChange();
  }

  async #watchAbove(path: Buffer): Promise<void> {
    for (let folder = splitLast(path).parent; ; folder = splitLast(folder).parent) {
      if (this.#watchFolder(folder) || folder.length <= 1) return;
    }
  }

  /** Answers whether it is watched; where it cannot be, looking has to do. */
  #watchFolder(folder: Buffer): boolean {
    const key = folder.toString('latin1');
    if (this.#done || this.#watchers.has(key)) return true;
    try {
      const watcher = watch(folder, { persistent: false }, () => void this.#look());
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(key);
      });
      this.#watchers.set(key, watcher);
      return true;
    } catch {
      return false;
    }
  }
}

async function exists(path: Buffer): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
