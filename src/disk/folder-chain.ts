import { Folder } from './folder.ts';

/** The folders from a root to the last one asked for, held open: the next one is mostly the same or near it. */
export class FolderChain implements AsyncDisposable {
  readonly #root: Folder;
  readonly #follow: boolean;
  #chain: { readonly name: string; readonly folder: Folder }[] = [];

  /** The root stays its owner's. `follow`: links in names are followed; otherwise they are refused with ENOTDIR. */
  constructor(root: Folder, follow = false) {
    this.#root = root;
    this.#follow = follow;
  }

  /** The folder of these names, open until the next one is asked for. `make`: what is missing is made. */
  async enter(names: readonly string[], make: boolean): Promise<Folder> {
    let same = 0;
    while (same < names.length && this.#chain[same]?.name === names[same]) same += 1;
    await this.#leave(same);
    for (const name of names.slice(same)) {
      this.#chain.push({ name, folder: await this.#step(this.#last(), Buffer.from(name), make) });
    }
    return this.#last();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave(0);
  }

  #last(): Folder {
    return this.#chain.at(-1)?.folder ?? this.#root;
  }

  async #step(parent: Folder, name: Buffer, make: boolean): Promise<Folder> {
    if (make) return parent.makeFolder(name);
    return this.#follow ? Folder.open(parent.entry(name), true) : parent.folder(name);
  }

  async #leave(depth: number): Promise<void> {
    for (const { folder } of this.#chain.splice(depth).toReversed()) await folder[Symbol.asyncDispose]();
  }
}
