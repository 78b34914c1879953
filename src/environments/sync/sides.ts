import { mkdir, realpath } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { describeEntries } from '../../disk/describe-entries.ts';
import { describeTree } from '../../disk/describe-tree.ts';
import { IgnoreRules } from '../../disk/ignore-rules.ts';
import { removeNamed, setModeNamed } from '../../disk/tree-changes.ts';
import { RpcError, errorCodes } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { errnoOf } from '../../support/os-error.ts';
import type { Entry, SyncOptions, SyncPeer } from './options.ts';
import { type Tree, emptyTree, gatherTree } from './tree.ts';

/** One of the two directories. */
export interface Side {
  /** Everything in it; nothing where there is no such directory. */
  list(ignore: readonly string[], follow: boolean): Promise<Tree>;
  /** Some entries as they are now, files with their digests. What is gone is left out. */
  describe(names: readonly string[], follow: boolean): Promise<Map<string, Entry>>;
  make(): Promise<void>;
  /** A directory only if it is empty; undefined where it could not be done, as for one that is not. */
  remove(name: string, isDirectory: boolean): Promise<void>;
  setMode(name: string, mode: number): Promise<void>;
}

export class LocalSide implements Side {
  readonly path: string;
  readonly #signal: AbortSignal | undefined;

  /** `path`: absolute, without links. */
  constructor(path: string, signal: AbortSignal | undefined) {
    this.path = path;
    this.#signal = signal;
  }

  async list(ignore: readonly string[], follow: boolean): Promise<Tree> {
    const root = Buffer.from(this.path);
    try {
      const parts = describeTree(root, { ignore: new IgnoreRules(ignore), follow });
      return await gatherTree(whileWanted(parts, this.#signal));
    } catch (error) {
      if (errnoOf(error) === os.errno.ENOENT) return emptyTree();
      throw error;
    }
  }

  async describe(names: readonly string[], follow: boolean): Promise<Map<string, Entry>> {
    const found = new Map<string, Entry>();
    const parts = describeEntries(Buffer.from(this.path), names, { follow });
    for await (const part of whileWanted(parts, this.#signal))
      for (const entry of part) found.set(entry.path, entry);
    return found;
  }

  async make(): Promise<void> {
    await mkdir(this.path, { recursive: true });
  }

  async remove(name: string, isDirectory: boolean): Promise<void> {
    await removeNamed(Buffer.from(this.path), name, isDirectory);
  }

  async setMode(name: string, mode: number): Promise<void> {
    await setModeNamed(Buffer.from(this.path), name, mode);
  }
}

export class RemoteSide implements Side {
  readonly path: string;
  readonly #trees: SyncPeer['files']['trees'];
  readonly #options: Pick<SyncOptions, 'signal' | 'sandbox'>;

  /** `path`: absolute, without links. */
  constructor(peer: SyncPeer, path: string, options: Pick<SyncOptions, 'signal' | 'sandbox'>) {
    this.path = path;
    this.#trees = peer.files.trees;
    this.#options = options;
  }

  async list(ignore: readonly string[], follow: boolean): Promise<Tree> {
    const { sandbox, signal } = this.#options;
    try {
      const how = { ignore: [...ignore], followSymlinks: follow, ...(sandbox && { sandbox }) };
      return await gatherTree(this.#trees.describe(this.path, how, signal));
    } catch (error) {
      if (isOsError(error, os.errno.ENOENT)) return emptyTree();
      if (!(error instanceof RpcError) || error.code !== errorCodes.methodNotFound) throw error;
      const text =
        'Its executor does not know fs/manifest, which a sync needs; run a newer exec-server there.';
      throw new Error(text, { cause: error });
    }
  }

  async describe(names: readonly string[], follow: boolean): Promise<Map<string, Entry>> {
    const { sandbox, signal } = this.#options;
    const asked = new Set(names);
    const found = new Map<string, Entry>();
    for (let at = 0; at < names.length; at += limits.treeNames) {
      const entries = names.slice(at, at + limits.treeNames);
      const how = { entries, followSymlinks: follow, ...(sandbox && { sandbox }) };
      for await (const part of this.#trees.describe(this.path, how, signal)) {
        for (const entry of part) if (asked.has(entry.path)) found.set(entry.path, entry);
      }
    }
    return found;
  }

  async make(): Promise<void> {
    await this.#trees.makeDirectory(this.path, this.#options.sandbox);
  }

  async remove(name: string, isDirectory: boolean): Promise<void> {
    this.#options.signal?.throwIfAborted();
    await this.#trees.remove(this.#place(name), isDirectory, this.#options.sandbox);
  }

  async setMode(name: string, mode: number): Promise<void> {
    await this.#trees.setMode(this.#place(name), mode, this.#options.sandbox);
  }

  #place(name: string): string {
    return this.path === '/' ? `/${name}` : `${this.path}/${name}`;
  }
}

/** The two directories of a run, links in their own paths followed; one that is not there keeps its path. */
export async function openSides(
  peer: SyncPeer,
  local: string,
  remote: string,
  options: SyncOptions,
): Promise<{ local: LocalSide; remote: RemoteSide }> {
  const [near, far] = await Promise.all([
    realpath(local).catch((error: unknown) => {
      if (errnoOf(error) === os.errno.ENOENT) return local;
      throw error;
    }),
    peer.files.trees.locate(remote, options.sandbox),
  ]);
  return {
    local: new LocalSide(near, options.signal),
    remote: new RemoteSide(peer, far ?? remote, options),
  };
}

/** Whether the system has refused it with this number, here or there. */
export function isOsError(error: unknown, errno: number): boolean {
  if (error instanceof RpcError) return error.message.endsWith(`(os error ${errno})`);
  return errnoOf(error) === errno;
}

async function* whileWanted<T>(
  parts: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  for await (const part of parts) {
    signal?.throwIfAborted();
    yield part;
  }
}
