import { type Dirent, readdirSync } from 'node:fs';
import { errnoOf } from '../../support/os-error.ts';
import type { Named } from './globs.ts';

/** Something below the directory of a search. */
export interface TreeEntry extends Named {
  /** The bytes of its relative path, one character each (Latin-1): such texts compare as their bytes do. */
  readonly bytes: string;
  readonly kind: 'file' | 'directory' | 'link' | 'other';
}

export interface TreeOptions {
  /** Left out, with everything below it. */
  readonly skips: (entry: TreeEntry) => boolean;
  /** A directory that is listed is also read. */
  readonly enters: (directory: TreeEntry) => boolean;
  /** A directory could not be read. */
  readonly onError: () => void;
}

interface Step {
  /** By which the steps of a directory are sorted. */
  readonly key: string;
  readonly entry: TreeEntry;
  readonly descend: boolean;
}

/**
 * Everything below a directory, in the order of the bytes of the paths. Follows no link. For a thread of its own: it waits for the disk.
 * Throws where the directory itself cannot be read.
 */
export function* walkTree(root: Buffer, options: TreeOptions): Generator<TreeEntry, void> {
  const prefix = joinPrefix(root.toString('latin1'));
  const stack = [stepsOf(readdirSync(root, listing), undefined, options).values()];
  for (;;) {
    const top = stack.at(-1);
    if (top === undefined) return;
    const step = top.next();
    if (step.done === true) stack.pop();
    else if (!step.value.descend) yield step.value.entry;
    else if (options.enters(step.value.entry)) stack.push(below(prefix, step.value.entry, options));
  }
}

const listing = { withFileTypes: true, encoding: 'buffer' } as const;

function below(prefix: string, directory: TreeEntry, options: TreeOptions): ArrayIterator<Step> {
  try {
    const found = readdirSync(Buffer.from(prefix + directory.bytes, 'latin1'), listing);
    return stepsOf(found, directory, options).values();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    options.onError();
    return ([] as Step[]).values();
  }
}

/** A directory comes first as an entry, and later, in the place of its name with a slash, with what is below it: `a`, `a.ts`, `a/b`. */
function stepsOf(
  found: readonly Dirent<Buffer>[],
  parent: TreeEntry | undefined,
  options: TreeOptions,
): Step[] {
  const steps: Step[] = [];
  for (const each of found) {
    const entry = describe(each, parent);
    if (options.skips(entry)) continue;
    steps.push({ key: entry.bytes, entry, descend: false });
    if (entry.kind === 'directory') steps.push({ key: `${entry.bytes}/`, entry, descend: true });
  }
  return steps.sort((one, other) => (one.key < other.key ? -1 : 1));
}

function describe(found: Dirent<Buffer>, parent: TreeEntry | undefined): TreeEntry {
  const bytes = found.name.toString('latin1');
  const name = found.name.toString();
  return {
    bytes: parent === undefined ? bytes : `${parent.bytes}/${bytes}`,
    text: parent === undefined ? name : `${parent.text}/${name}`,
    name,
    kind: kindOf(found),
  };
}

function kindOf(found: Dirent<Buffer>): TreeEntry['kind'] {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'directory';
  return found.isSymbolicLink() ? 'link' : 'other';
}

/** What stands before a relative path. */
export function joinPrefix(root: string): string {
  return root.endsWith('/') ? root : `${root}/`;
}
