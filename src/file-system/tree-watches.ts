import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { TreeWatch, type TreeWatchOptions } from './tree-watch.ts';

/** The watches of one connection, by the id that the client chose. */
export class TreeWatches {
  readonly #watches = new Map<string, TreeWatch>();
  #disposed = false;

  has(id: string): boolean {
    return this.#watches.has(id);
  }

  get size(): number {
    return this.#watches.size;
  }

  /** Answers a watch that is complete, and tells nothing yet. */
  async open(id: string, options: Omit<TreeWatchOptions, 'onEnded'>): Promise<TreeWatch> {
    if (this.#disposed) throw invalidRequest('The connection has ended.');
    if (this.#watches.has(id)) throw invalidRequest(`watch \`${id}\` already exists`);
    if (this.#watches.size >= limits.watches) {
      throw new RpcError(
        'overloaded',
        `At most ${limits.watches} watches may be open on a connection (watches). End one with fs/unwatch, or watch a directory above.`,
      );
    }
    const watch = new TreeWatch({ ...options, onEnded: () => this.#forget(id, watch) });
    this.#watches.set(id, watch);
    try {
      await watch.open();
      return watch;
    } catch (error) {
      this.#forget(id, watch);
      throw error;
    }
  }

  /** One that is not there is no error. */
  close(id: string): void {
    this.#watches.get(id)?.dispose();
    this.#watches.delete(id);
  }

  dispose(): void {
    this.#disposed = true;
    for (const id of this.#watches.keys()) this.close(id);
  }

  /** Its id may be another one's by now. */
  #forget(id: string, watch: TreeWatch): void {
    if (this.#watches.get(id) === watch) this.#watches.delete(id);
  }
}
