import { lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';

import type { WatchedChange } from '../../src/client/remote-watch.ts';

/** A directory tree as a client knows it from changes: a path below the root, and whether it is a directory. */
export class TreeModel {
  readonly root: string;
  #entries = new Map<string, boolean>();

  constructor(root: string) {
    this.root = root;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(entry: string): boolean {
    return this.#entries.has(entry);
  }

  /** Takes a list of everything for what there is. Paths are absolute. */
  reset(entries: readonly { readonly path: string; readonly kind: 'file' | 'directory' }[]): void {
    this.#entries = new Map(
      entries.map(({ path: entry, kind }) => [this.#below(entry), kind === 'directory']),
    );
  }

  apply(change: WatchedChange): void {
    const entry = this.#below(change.path);
    if (change.kind === 'created') this.#entries.set(entry, change.isDirectory === true);
    if (change.kind !== 'removed') return;
    this.#entries.delete(entry);
    // Only what was a directory has something below it, and only a walk finds it: the map has no order.
    for (const name of change.isDirectory ? this.#entries.keys() : [])
      if (name.startsWith(`${entry}/`)) this.#entries.delete(name);
  }

  /** What is here and not on the disk, or the other way round. */
  differences(): string[] {
    const disk = new Map<string, boolean>();
    const left = [''];
    for (let folder = left.pop(); folder !== undefined; folder = left.pop()) {
      for (const name of readdirSync(path.join(this.root, folder))) {
        const entry = path.join(folder, name);
        const isDirectory = lstatSync(path.join(this.root, entry)).isDirectory();
        disk.set(entry, isDirectory);
        if (isDirectory) left.push(entry);
      }
    }
    const extra = [...this.#entries]
      .filter(([name, kind]) => disk.get(name) !== kind)
      .map(([name]) => `+${name}`);
    const missing = [...disk]
      .filter(([name, kind]) => this.#entries.get(name) !== kind)
      .map(([name]) => `-${name}`);
    return [...extra, ...missing];
  }

  #below(entry: string): string {
    if (!entry.startsWith(`${this.root}/`)) throw new Error(`${entry} is not below ${this.root}.`);
    return entry.slice(this.root.length + 1);
  }
}
