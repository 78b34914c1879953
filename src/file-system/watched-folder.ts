import type { Listener } from './inotify.ts';

/** An event that waits until its folder has been read. */
export interface HeldEvent {
  readonly mask: number;
  readonly name: string;
}

export type OnEvent = (folder: WatchedFolder, mask: number, name: string) => void;

/** A directory of a watched tree. It never changes its place: one that is renamed becomes another. Names are bytes as latin1. */
export class WatchedFolder implements Listener {
  readonly wd: number;
  readonly name: string;
  readonly parent: WatchedFolder | undefined;
  readonly children = new Map<string, WatchedFolder>();
  /** There while the folder is being read: what the events say comes after what was read. */
  held: HeldEvent[] | undefined;
  /** It has to be read once more. */
  again = false;
  /** It is no part of the tree any more. */
  gone = false;
  readonly #onEvent: OnEvent;

  constructor(wd: number, parent: WatchedFolder | undefined, name: string, onEvent: OnEvent) {
    this.wd = wd;
    this.parent = parent;
    this.name = name;
    this.#onEvent = onEvent;
  }

  heard(mask: number, name: string): void {
    this.#onEvent(this, mask, name);
  }

  /** The place of an entry below the root; without a name, its own, which is empty for the root. */
  path(entry = ''): string {
    if (this.parent === undefined) return entry;
    return this.parent.path(entry === '' ? this.name : `${this.name}/${entry}`);
  }

  /** This folder and all below it. */
  *all(): Generator<WatchedFolder> {
    const left: WatchedFolder[] = [this];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      yield at;
      for (const child of at.children.values()) left.push(child);
    }
  }
}
