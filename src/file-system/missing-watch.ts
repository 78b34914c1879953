import { type FSWatcher, watch } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { realPath, splitLast } from '../disk/folder.ts';
import type { Unseen } from './unseen.ts';

/** Milliseconds between looks, for file systems and hosts whose events do not come. */
const pollMs = 1000;

export interface MissingWatchOptions {
  readonly missing: readonly Buffer[];
  /** A path that is there; that it goes, or becomes another or other content, counts too. */
  readonly present: Buffer | undefined;
  /** What is not seen is missing. */
  readonly unseen: Unseen;
  /** Called once, and never after `dispose`. */
  readonly onChange: () => void;
}

/**
 * Waits until one of some paths appears. Watches the deepest directories that exist, and looks now and then all the same. Paths that lead
 * through links are not waited for: what is watched could be another directory than what the path means by then.
 */
export class MissingWatch {
  readonly #options: MissingWatchOptions;
  /** What there was at the start: of the present path, and of the way to each missing one. */
  readonly #picture: string;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #lookAgain = false;
  #done = false;

  private constructor(options: MissingWatchOptions, picture: string) {
    this.#options = options;
    this.#picture = picture;
    this.#timer = setInterval(() => void this.#look(), pollMs);
    this.#timer.unref();
  }

  /** undefined: there is nothing to wait for, as something has appeared already, or cannot be told. */
  static async start(options: MissingWatchOptions): Promise<MissingWatch | undefined> {
    const { missing, present } = options;
    if (missing.length === 0 || (present !== undefined && !(await isDirect(present)))) return undefined;
    const picture = await takePicture(options);
    const folders = await Promise.all(missing.map((path) => deepestFolder(path, options.unseen)));
    if (
      !(await Promise.all(folders.map(async (folder) => folder !== undefined && isDirect(folder)))).every(
        Boolean,
      )
    ) {
      return undefined;
    }
    const started = new MissingWatch(options, picture);
    await started.#look();
    return started.#done ? undefined : started;
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
    for (const path of missing) this.#watchAbove(path);
    if (present !== undefined) this.#watchFolder(splitLast(present).parent);
    if ((await takePicture(this.#options)) === this.#picture || this.#done) return;
    this.dispose();
    this.#options.onChange();
  }

  #watchAbove(path: Buffer): void {
    for (let folder = splitLast(path).parent; ; folder = splitLast(folder).parent) {
      if (this.#watchFolder(folder) || folder.length <= 1) return;
    }
  }

  /** Answers whether it is watched; where it cannot be, looking has to do. */
  #watchFolder(folder: Buffer): boolean {
    const key = folder.toString('latin1');
    if (this.#done || this.#watchers.has(key)) return true;
    const forget = (): void => {
      watcher.close();
      this.#watchers.delete(key);
    };
    let watcher: FSWatcher;
    try {
      watcher = watch(folder, { persistent: false }, (event) => {
        // It may be the directory itself that has gone: the next look watches what is there then.
        if (event === 'rename') forget();
        void this.#look();
      });
    } catch {
      return false;
    }
    watcher.on('error', forget);
    this.#watchers.set(key, watcher);
    return true;
  }
}

/** Tells one state of a path from the next; undefined where nothing is there. */
async function fingerprintOf(path: Buffer): Promise<string | undefined> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  return found && [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':');
}

/** No link is on the way, and none at its end. */
async function isDirect(path: Buffer): Promise<boolean> {
  return realPath(path).then(
    (real) => real.equals(path),
    () => false,
  );
}

async function takePicture({ missing, present, unseen }: MissingWatchOptions): Promise<string> {
  const folders = await Promise.all(missing.map((path) => deepestFolder(path, unseen)));
  return JSON.stringify([
    present && (await fingerprintOf(present)),
    folders.map((folder) => folder?.toString('latin1')),
  ]);
}

/** The deepest directory on the way to a path; undefined where something that is no directory is there instead, or the path itself is. */
async function deepestFolder(path: Buffer, unseen: Unseen): Promise<Buffer | undefined> {
  const isUnseen = await unseen.covers(path, true);
  if (!isUnseen && (await fingerprintOf(path)) !== undefined) return undefined;
  for (let folder = splitLast(path).parent; ; folder = splitLast(folder).parent) {
    const found = await lstat(folder).catch(() => undefined);
    if (found !== undefined) return found.isDirectory() ? folder : undefined;
    if (folder.length <= 1) return undefined;
  }
}
