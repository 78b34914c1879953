import { Buffer } from 'node:buffer';
import { limits } from '../../protocol/limits.ts';
import { ConnectionError } from '../../rpc/connection-error.ts';
import type { Entry, Noted } from './options.ts';

/** What is in a directory, checked: every path leads down from it, through directories. */
export interface Tree {
  /** By path, the root apart. */
  readonly entries: Map<string, Entry>;
  /** Changes when there is another directory in its place. undefined: there is none. */
  readonly version: string | undefined;
  /** What could not be looked at. Whatever is below may be there or not. */
  readonly blocked: Noted[];
  /** Unfinished files of writers that were killed, or that are at work. */
  readonly leftovers: Entry[];
}

export function emptyTree(): Tree {
  return { entries: new Map(), version: undefined, blocked: [], leftovers: [] };
}

/** Takes a description of a tree, from whoever: nothing in it is believed but what it may say. */
export async function gatherTree(parts: AsyncIterable<readonly Entry[]>): Promise<Tree> {
  const tree = { ...emptyTree(), version: '' };
  let count = 0;
  for await (const part of parts) {
    for (const entry of part) {
      count += 1;
      // Each directory may come once more, with the reason why it could not be read.
      if (count > 2 * limits.treeEntries) throw wrong(entry, 'is one too many');
      if (entry.path === '') tree.version = entry.version ?? '';
      else addEntry(tree, entry);
    }
  }
  return tree;
}

function addEntry({ entries, blocked, leftovers }: Tree, entry: Entry): void {
  const { path, kind, problem } = entry;
  if (!isInside(path)) throw wrong(entry, 'is no path below the directory');
  const slash = path.lastIndexOf('/');
  const isHeld = slash < 0 || entries.get(path.slice(0, slash))?.kind === 'directory';
  if (!isHeld) throw wrong(entry, 'is in no directory that was told before');
  if (problem !== undefined) {
    blocked.push({ path, why: problem });
    return;
  }
  if (kind === 'leftover') {
    leftovers.push(entry);
    return;
  }
  const before = entries.get(path);
  // Names that are no text can look alike, and like one that is.
  if (before !== undefined && before.kind !== 'other') {
    if (kind === 'other') return;
    throw wrong(entry, 'is told twice');
  }
  if (kind === 'file' && (entry.size === undefined || entry.mode === undefined))
    throw wrong(entry, 'is a file without size and mode');
  if (kind === 'directory' && entry.mode === undefined) throw wrong(entry, 'is a directory without mode');
  if (kind === 'link' && entry.target === undefined) throw wrong(entry, 'is a link without a target');
  entries.set(path, entry);
}

function isInside(path: string): boolean {
  if (path.includes('\0') || Buffer.byteLength(path) > limits.treeNameLength) return false;
  return path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
}

function wrong({ path }: Entry, what: string): ConnectionError {
  return new ConnectionError(
    'protocol',
    `The manifest of the directory is wrong: ${JSON.stringify(path.slice(0, 200))} ${what}.`,
  );
}

/** Whether a path is one of some, or below one of them. */
export class Subtrees {
  readonly #paths: Set<string>;

  constructor(paths: Iterable<string>) {
    this.#paths = new Set(paths);
  }

  add(path: string): void {
    this.#paths.add(path);
  }

  cover(path: string): boolean {
    if (this.#paths.size === 0) return false;
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      if (this.#paths.has(path.slice(0, end))) return true;
    }
    return false;
  }
}
