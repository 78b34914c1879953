import { lstatSync } from 'node:fs';
import { constants } from 'node:os';
import { limits } from '../protocol/limits.ts';
import type { ChangeKind, ResyncReason } from '../protocol/watch.ts';
import { osErrorText } from '../support/os-error.ts';
import { joinPath } from '../disk/folder.ts';
import { type Entry, FolderReader, type Reading } from './folder-reader.ts';
import { type Inotify, bits } from './inotify.ts';
import { type HeldEvent, WatchedFolder } from './watched-folder.ts';

const gone = bits.delete | bits.movedFrom;
const there = bits.create | bits.movedTo;
const content = bits.modify | bits.attributes | bits.closeWrite;
/** Of every directory below the root; links are not followed. */
const belowMask = gone | there | content | bits.onlyDirectory | bits.excludeUnlinked | bits.noFollow;
const rootMask = belowMask | bits.deleteSelf | bits.moveSelf;

export interface WatchedTreeOptions {
  /** The directory, without links. */
  readonly base: Buffer;
  readonly recursive: boolean;
  /** Names of directories that are not entered. */
  readonly exclude: readonly string[];
  /** `path`: below the base, its bytes as latin1. */
  changed(path: string, kind: ChangeKind, isDirectory: boolean): void;
  /** inotify's bits, of an event of the base itself. */
  rootChanged(mask: number): void;
  /** The base's path does not lead to it any more: 'removed' to nothing, 'moved' to something else. */
  rootLeft(how: 'removed' | 'moved'): void;
  /** Some changes cannot be told. The tree is read again; `settled` follows. */
  lost(reason: ResyncReason): void;
  /** A limit is reached. The tree is of no use any more. */
  failed(error: unknown): void;
  /** Everything that is to be watched is. */
  settled(): void;
}

/**
 * The watched directories of one tree. Each is watched first and read then, and what the events say of it meanwhile is taken after what was
 * read: nothing is missed, and nothing that is gone comes back. A directory that is renamed is left, and watched and read at its new place.
 */
export class WatchedTree {
  readonly #inotify: Inotify;
  readonly #options: WatchedTreeOptions;
  readonly #excluded: ReadonlySet<string>;
  readonly #reader: FolderReader;
  readonly #root: WatchedFolder;
  #heldEvents = 0;
  #readAgain = false;
  #over = false;

  /** Throws the error of the system call, or an RpcError where a limit is reached. */
  constructor(inotify: Inotify, options: WatchedTreeOptions) {
    this.#inotify = inotify;
    this.#options = options;
    this.#excluded = new Set(options.exclude.map((name) => Buffer.from(name).toString('latin1')));
    this.#reader = new FolderReader({
      path: (folder) => this.#real(folder, ''),
      onEntry: (reading, entry) => this.#found(reading, entry),
      onRead: (reading, names) => this.#finished(reading, names),
    });
    const wd = inotify.add(options.base, rootMask);
    if (wd < 0) throw Object.assign(new Error(osErrorText(-wd)), { errno: wd });
    this.#root = this.#watch(wd, undefined, '');
  }

  /** Directories that are being read or wait for it: by whether what is in them is told. */
  get reading(): { readonly telling: number; readonly quiet: number } {
    return this.#reader.left;
  }

  /** Reads everything, without telling it, and so finds what is not watched yet. */
  readAll(): void {
    if (!this.checkRoot()) return;
    if (!this.#options.recursive) this.#options.settled();
    else if (this.#reader.left.quiet > 0) this.#readAgain = true;
    else this.#read(this.#root, false);
  }

  /** The path may lead elsewhere without an event, when a directory far above was renamed. Answers whether it does not. */
  checkRoot(): boolean {
    const wd = this.#add(this.#options.base, rootMask);
    if (wd !== undefined && wd !== this.#root.wd) this.#options.rootLeft(wd < 0 ? 'removed' : 'moved');
    return !this.#over && wd === this.#root.wd;
  }

  dispose(): void {
    this.#over = true;
    this.#reader.dispose();
    this.#abandon(this.#root);
  }

  readonly #heard = (folder: WatchedFolder, mask: number, name: string): void => {
    if (folder.gone || this.#over) return;
    if (name !== '' && folder.held === undefined) this.#apply(folder, { mask, name });
    else if (name !== '') this.#hold(folder, { mask, name });
    else if (folder === this.#root) this.#options.rootChanged(mask);
    else if ((mask & bits.unmount) !== 0) {
      // Other directories come into sight where something was mounted. The rest is told by the directory above.
      this.#options.lost('unmounted');
      this.readAll();
    }
  };

  #hold(folder: WatchedFolder, event: HeldEvent): void {
    if (this.#heldEvents < limits.watchPendingChanges) {
      this.#heldEvents += 1;
      folder.held?.push(event);
    } else {
      folder.again = true;
      this.#options.lost('backlog');
    }
  }

  #apply(folder: WatchedFolder, { mask, name }: HeldEvent): void {
    const isDirectory = (mask & bits.isDirectory) !== 0;
    if ((mask & gone) !== 0) {
      this.#options.changed(folder.path(name), 'removed', isDirectory);
      this.#detach(folder, name);
      if ((mask & bits.movedFrom) === 0) return;
      // An exchange of two names says of one that it is gone after it has said that it is there.
      const now = lookAt(this.#real(folder, name));
      if (now !== undefined) this.#appeared(folder, name, now.isDirectory());
    } else if ((mask & there) !== 0) {
      this.#appeared(folder, name, isDirectory);
    } else {
      this.#options.changed(folder.path(name), 'modified', isDirectory);
      // It may have become readable.
      if (isDirectory && !folder.children.has(name)) this.#enter(folder, name, true);
    }
  }

  #appeared(folder: WatchedFolder, name: string, isDirectory: boolean): void {
    this.#options.changed(folder.path(name), 'created', isDirectory);
    if (isDirectory) this.#enter(folder, name, true);
    else this.#detach(folder, name);
  }

  /** Watches a directory, and reads it if it was not watched before, or if everything is read again. */
  #enter(folder: WatchedFolder, name: string, tells: boolean): void {
    if (!this.#options.recursive || this.#excluded.has(name)) return;
    const wd = this.#add(this.#real(folder, name), belowMask);
    if (wd === undefined) return;
    const known = folder.children.get(name);
    if (known !== undefined && known.wd === wd) {
      if (!tells) this.#read(known, false);
      return;
    }
    this.#detach(folder, name);
    if (wd > 0) this.#read(this.#watch(wd, folder, name), tells);
    else if (wd === -constants.errno.ENOENT) this.checkRoot();
  }

  #watch(wd: number, parent: WatchedFolder | undefined, name: string): WatchedFolder {
    const folder = new WatchedFolder(wd, parent, name, this.#heard);
    this.#inotify.listen(wd, folder);
    parent?.children.set(name, folder);
    return folder;
  }

  #read(folder: WatchedFolder, tells: boolean): void {
    if (folder.held !== undefined) {
      folder.again = true;
      return;
    }
    folder.held = [];
    this.#reader.add({ folder, tells });
  }

  #found({ folder, tells }: Reading, entry: Entry): void {
    const name = entry.name.toString('latin1');
    if (tells) this.#options.changed(folder.path(name), 'created', entry.isDirectory());
    if (entry.isDirectory()) this.#enter(folder, name, tells);
  }

  #finished({ folder, tells }: Reading, names: ReadonlySet<string> | undefined): void {
    if (!tells && names !== undefined)
      for (const name of folder.children.keys()) if (!names.has(name)) this.#detach(folder, name);
    const held = folder.held ?? [];
    folder.held = undefined;
    this.#heldEvents -= held.length;
    for (const event of held) if (!folder.gone && !this.#over) this.#apply(folder, event);
    if (folder.again && !folder.gone) {
      folder.again = false;
      this.#read(folder, false);
    }
    if (this.#reader.left.quiet > 0 || this.#over) return;
    if (!this.#readAgain) return this.#options.settled();
    this.#readAgain = false;
    this.#read(this.#root, false);
  }

  #detach(folder: WatchedFolder, name: string): void {
    const child = folder.children.get(name);
    if (child === undefined) return;
    folder.children.delete(name);
    this.#abandon(child);
  }

  #abandon(top: WatchedFolder): void {
    for (const folder of top.all()) {
      folder.gone = true;
      this.#inotify.unlisten(folder.wd, folder);
    }
  }

  /** undefined: a limit is reached. */
  #add(path: Buffer, mask: number): number | undefined {
    if (this.#over) return undefined;
    try {
      return this.#inotify.add(path, mask);
    } catch (error) {
      this.#options.failed(error);
      return undefined;
    }
  }

  #real(folder: WatchedFolder, name: string): Buffer {
    const below = folder.path(name);
    const { base } = this.#options;
    return below === '' ? base : joinPath(base, Buffer.from(below, 'latin1'));
  }
}

/** At once, so that what it says is older than every event that comes after this one. */
function lookAt(path: Buffer): ReturnType<typeof lstatSync> {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
