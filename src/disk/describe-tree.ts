import type { BigIntStats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';
import {
  type DescribedEntry,
  describeDirectory,
  describeFile,
  describeProblem,
  directoryVersion,
  isText,
  lookAt,
} from './described-entry.ts';
import { Folder } from './folder.ts';
import type { IgnoreRules } from './ignore-rules.ts';
import { isLeftover } from './leftover.ts';

/** Entries of a directory that are looked at together. */
const together = 64;

export interface DescribeOptions {
  readonly ignore: IgnoreRules;
  /** Links are described as what they lead to. */
  readonly follow: boolean;
  /** Says of an entry that it is left out without a word. */
  readonly hides?: (folder: Buffer, name: Buffer) => Promise<boolean>;
}

/**
 * Everything below a directory: the root, then the entries of each directory, sorted by bytes, before those below them. In parts, so that a
 * large tree is never whole in memory. Fails where the root cannot be read, and beyond `treeEntries`.
 */
export async function* describeTree(
  root: Buffer,
  options: DescribeOptions,
): AsyncGenerator<DescribedEntry[], void> {
  const folder = await Folder.open(root, true);
  try {
    const own = await lstat(folder.entry(Buffer.from('.')), { bigint: true });
    yield [{ ...describeDirectory('', own), version: directoryVersion(own) }];
    yield* new TreeReader(root, options).below(folder, '', [own]);
  } finally {
    await folder[Symbol.asyncDispose]();
  }
}

class TreeReader {
  readonly #root: Buffer;
  readonly #options: DescribeOptions;
  #entries = 0;

  constructor(root: Buffer, options: DescribeOptions) {
    this.#root = root;
    this.#options = options;
  }

  /** `chain`: the directories from the root to this one. */
  async *below(
    folder: Folder,
    path: string,
    chain: readonly BigIntStats[],
  ): AsyncGenerator<DescribedEntry[], void> {
    const names = (await folder.names()).sort((one, other) => Buffer.compare(one, other));
    const directories: { readonly name: Buffer; readonly path: string; readonly stat: BigIntStats }[] = [];
    for (let at = 0; at < names.length; at += together) {
      const part = names.slice(at, at + together);
      const looked = await Promise.all(part.map((name) => this.#look(folder, path, name)));
      const found = looked.filter((each) => each !== undefined);
      this.#count(found.length);
      if (found.length > 0) yield found.map(({ entry }) => entry);
      for (const { entry, name, stat: seen } of found) {
        if (entry.kind === 'directory' && seen !== undefined && entry.problem === undefined)
          directories.push({ name, path: entry.path, stat: seen });
      }
    }
    for (const { name, path: below, stat: seen } of directories) {
      if (chain.length > limits.treeDepth) {
        yield [
          { path: below, kind: 'directory', problem: `It is more than ${limits.treeDepth} levels deep.` },
        ];
      } else if (chain.some(({ dev, ino }) => dev === seen.dev && ino === seen.ino)) {
        yield [{ path: below, kind: 'directory', problem: 'It is a link to a directory that it is in.' }];
      } else {
        yield* this.#enter(folder, name, below, [...chain, seen]);
      }
    }
  }

  async *#enter(
    parent: Folder,
    name: Buffer,
    path: string,
    chain: readonly BigIntStats[],
  ): AsyncGenerator<DescribedEntry[], void> {
    let folder: Folder;
    try {
      folder = await (this.#options.follow ? Folder.open(parent.entry(name), true) : parent.folder(name));
    } catch (error) {
      yield [describeProblem(path, 'directory', error)];
      return;
    }
    try {
      yield* this.below(folder, path, chain);
    } catch (error) {
      // Only the reading of the directory itself fails with one.
      const errno = errnoOf(error);
      if (errno === undefined || errno === os.errno.EMFILE || errno === os.errno.ENFILE) throw error;
      yield [{ path, kind: 'directory', problem: osErrorText(errno) }];
    } finally {
      await folder[Symbol.asyncDispose]();
    }
  }

  async #look(
    folder: Folder,
    parent: string,
    name: Buffer,
  ): Promise<{ entry: DescribedEntry; name: Buffer; stat?: BigIntStats } | undefined> {
    const { follow, ignore, hides } = this.#options;
    const text = name.toString();
    const path = parent === '' ? text : `${parent}/${text}`;
    if (hides !== undefined && (await hides(this.#place(parent), name))) return undefined;
    try {
      const now = Date.now();
      const seen = await lookAt(folder.entry(name), follow);
      if (ignore.ignores(path, seen.isDirectory())) return undefined;
      if (!isText(name)) return { entry: { path, kind: 'other' }, name };
      if (isLeftover(text) && seen.isFile())
        return { entry: { ...describeFile(path, seen, now), kind: 'leftover' }, name };
      if (seen.isFile()) return { entry: describeFile(path, seen, now), name };
      if (seen.isDirectory()) return { entry: describeDirectory(path, seen), name, stat: seen };
      if (!seen.isSymbolicLink()) return { entry: { path, kind: 'other' }, name };
      const target = await readlink(folder.entry(name), { encoding: 'buffer' });
      if (!isText(target)) return { entry: { path, kind: 'other' }, name };
      return { entry: { path, kind: 'link', target: target.toString() }, name };
    } catch (error) {
      // Gone since the directory was read.
      if (errnoOf(error) === os.errno.ENOENT) return undefined;
      return { entry: describeProblem(path, 'other', error), name };
    }
  }

  #place(parent: string): Buffer {
    return parent === '' ? this.#root : Buffer.concat([this.#root, Buffer.from(`/${parent}`)]);
  }

  #count(entries: number): void {
    this.#entries += entries;
    if (this.#entries > limits.treeEntries)
      throw invalidRequest(
        `The tree has more than ${limits.treeEntries} entries; ignore some of its directories.`,
      );
  }
}
