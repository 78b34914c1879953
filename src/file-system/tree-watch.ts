import { stat } from 'node:fs/promises';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { EnvironmentPath } from '../protocol/path.ts';
import type { ChangeKind, EndReason } from '../protocol/watch.ts';
import { realPath, splitLast } from '../disk/folder.ts';
import { ChangeFeed, type ReportTarget } from './change-feed.ts';
import { Inotify, type InotifyUser, type Listener, bits } from './inotify.ts';
import { WatchedTree } from './watched-tree.ts';

const guardMask = bits.delete | bits.movedFrom | bits.movedTo;

export interface TreeWatchOptions extends ReportTarget {
  readonly root: EnvironmentPath;
  readonly recursive: boolean;
  /** Names of directories that are not entered. */
  readonly exclude: readonly string[];
  /** The watch has ended by itself, and told so. */
  onEnded(): void;
}

/**
 * Watches a directory with everything below it, or one file through the directory that it is in, so that a file that is replaced stays
 * watched. Ends by itself when the directory goes, or a limit is reached.
 */
export class TreeWatch implements InotifyUser {
  readonly #options: TreeWatchOptions;
  readonly #feed: ChangeFeed;
  readonly #opened = Promise.withResolvers<void>();
  /** The name of the file that is watched alone. */
  #only: string | undefined;
  #inotify: Inotify | undefined;
  #tree: WatchedTree | undefined;
  /** On the directory above: the root's own events do not come while somebody has it open. */
  #guard: { readonly wd: number; readonly listener: Listener } | undefined;
  #over = false;

  constructor(options: TreeWatchOptions) {
    this.#options = options;
    this.#feed = new ChangeFeed({
      root: options.root,
      send: (report) => options.send(report),
      canSend: () => options.canSend(),
      holdsResync: (milliseconds) => this.#holdsResync(milliseconds),
    });
    this.#opened.promise.catch(() => {});
  }

  /** Resolves when everything is watched. Rejects, and leaves nothing behind, when it cannot be, or `dispose` is called meanwhile. */
  async open(): Promise<void> {
    try {
      const isDirectory = (await stat(this.#options.root.bytes)).isDirectory();
      const real = await realPath(this.#options.root.bytes);
      if (!this.#over) this.#begin(real, isDirectory);
      await this.#opened.promise;
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** From now on the client is told. */
  start(): void {
    this.#feed.start();
  }

  dispose(): void {
    if (this.#over) return;
    this.#over = true;
    this.#opened.reject(invalidRequest('The watch was ended before it had begun.'));
    this.#feed.dispose();
    this.#inotify?.leave(this);
    this.#tree?.dispose();
    if (this.#guard !== undefined) this.#inotify?.unlisten(this.#guard.wd, this.#guard.listener);
  }

  overflowed(): void {
    this.#feed.lose('overflow');
    this.#tree?.readAll();
  }

  #begin(real: Buffer, isDirectory: boolean): void {
    const { parent, name } = splitLast(real);
    this.#only = isDirectory ? undefined : name.toString('latin1');
    this.#inotify = Inotify.join(this);
    this.#tree = new WatchedTree(this.#inotify, {
      base: isDirectory ? real : parent,
      recursive: isDirectory && this.#options.recursive,
      exclude: this.#options.exclude,
      changed: (path, kind, isDir) => this.#changed(path, kind, isDir),
      rootChanged: (mask) => this.#rootChanged(mask),
      rootLeft: (how) => this.#end(how),
      lost: (reason) => this.#feed.lose(reason),
      failed: (error) => this.#failed(error),
      settled: () => this.#opened.resolve(),
    });
    if (isDirectory && name.length > 0) this.#guardRoot(this.#inotify, parent, name.toString('latin1'));
    this.#tree.readAll();
  }

  #guardRoot(inotify: Inotify, parent: Buffer, rootName: string): void {
    // Where the directory above cannot be read, the root's own events have to do.
    const wd = inotify.add(parent, guardMask | bits.onlyDirectory);
    if (wd < 0) return;
    const heard = (mask: number, name: string): void => {
      if (name === rootName && (mask & guardMask) !== 0)
        this.#end((mask & bits.delete) === 0 ? 'moved' : 'removed');
    };
    this.#guard = { wd, listener: { heard } };
    inotify.listen(wd, this.#guard.listener);
  }

  #changed(path: string, kind: ChangeKind, isDirectory: boolean): void {
    if (this.#only === undefined) this.#feed.record(path, kind, isDirectory);
    else if (this.#only === path) this.#feed.record('', kind, isDirectory);
  }

  #rootChanged(mask: number): void {
    if ((mask & bits.unmount) !== 0) this.#end('unmounted');
    else if ((mask & (bits.deleteSelf | bits.ignored)) !== 0) this.#end('removed');
    else if ((mask & bits.moveSelf) !== 0) this.#end('moved');
    else if (this.#only === undefined) this.#feed.record('', 'modified', true);
  }

  #failed(error: unknown): void {
    this.#opened.reject(error);
    this.#end('limit', error instanceof RpcError ? error.message : undefined);
  }

  #end(reason: EndReason, message?: string): void {
    if (this.#over) return;
    this.#feed.end(reason, message);
    this.dispose();
    this.#options.onEnded();
  }

  /** What is not watched yet may change without a word; new directories that are still being read would fill the backlog again. */
  #holdsResync(milliseconds: number): boolean {
    const { quiet, telling } = this.#tree?.reading ?? { quiet: 0, telling: 0 };
    return quiet > 0 || (telling > 0 && milliseconds < limits.watchResyncHoldMs);
  }
}
