import { expect } from 'vitest';

import type { WireError } from '../../../src/protocol/errors.ts';
import type { Encode, PathForm, Special, Tree } from '../../support/files-tree.ts';

/** `may`: releases 0.128 to 0.130, plain paths. `now`: 0.169.0, `file:` URIs. */
export type Generation = 'may' | 'now';

/** The result, or an error: by its code, the number in `(os error N)` and, where clients know it, the whole text. */
export type Outcome =
  { readonly result: unknown } | { readonly error: number; readonly errno?: number; readonly text?: string };

/** What is at a path afterwards, as a snapshot of the tree says it; null: nothing, and nothing below it. */
export type Changes = Readonly<Record<string, string | null>>;

/** Where the reference executor does something else than ours, on purpose on our side. */
export type Difference =
  | { readonly expected: Outcome; readonly changes?: Changes; readonly reason: string }
  /** It is not asked: it would not answer, or do harm. */
  | { readonly notAsked: true; readonly reason: string };

type OfTree<T> = (tree: Tree, path: Encode) => T;

/** One file request on a fresh tree: what it answers, and what has changed on disk afterwards. Nothing else may have. */
export interface Row {
  /** Stays the same for ever. */
  readonly id: string;
  readonly title: string;
  readonly method: string;
  readonly params: OfTree<unknown>;
  /** Forms of the path in which it is asked; both if absent. */
  readonly forms?: readonly PathForm[];
  readonly special?: readonly Special[];
  /** What is done to the tree before. */
  readonly prepare?: (tree: Tree) => Promise<void>;
  /** Requests before it on the same connection, which succeed. A handle that they open is closed behind the row. */
  readonly before?: OfTree<readonly Call[]>;
  readonly expected: Outcome | OfTree<Outcome>;
  readonly changes?: Changes;
  /** The executor is not root. */
  readonly unprivileged?: true;
  /** Reference generations that have the method and its parameters; by the method if absent. */
  readonly known?: readonly Generation[];
  readonly reference?: { readonly [G in Generation]?: Difference | OfTree<Difference> };
}

export type Call = readonly [method: string, params: Record<string, unknown>];

const sinceMay = new Set([
  'fs/readFile',
  'fs/writeFile',
  'fs/createDirectory',
  'fs/getMetadata',
  'fs/readDirectory',
  'fs/remove',
  'fs/copy',
]);
const ours = new Set(['fs/rename', 'fs/createSymlink', 'fs/readLink', 'fs/setMetadata', 'fs/truncate']);

/** The reference generations that the row can be asked of, each in its own form of paths. */
export function generationsOf(row: Row): readonly Generation[] {
  const forms = row.forms ?? ['plain', 'uri'];
  if (row.known !== undefined) return row.known;
  if (ours.has(row.method)) return [];
  const known: Generation[] = sinceMay.has(row.method) ? ['may', 'now'] : ['now'];
  return known.filter((generation) => forms.includes(formOf(generation)));
}

export function formOf(generation: Generation): PathForm {
  return generation === 'may' ? 'plain' : 'uri';
}

export function resolve<T extends object>(value: T | OfTree<T>, tree: Tree, path: Encode): T {
  return typeof value === 'function' ? value(tree, path) : value;
}

interface Answered {
  readonly result?: unknown;
  readonly error?: WireError;
}

export function expectOutcome(answer: Answered, outcome: Outcome): void {
  if ('result' in outcome) {
    expect(answer.error).toBeUndefined();
    expect(sorted(answer.result)).toEqual(sorted(outcome.result));
    return;
  }
  expect(answer.error, JSON.stringify(answer.result)).toBeDefined();
  const { code, message = '' } = answer.error ?? {};
  expect({ code, errno: errnoOf(message) }, message).toEqual({ code: outcome.error, errno: outcome.errno });
  if (outcome.text !== undefined) expect(message).toBe(outcome.text);
}

export function errnoOf(message: string): number | undefined {
  const digits = /\(os error (\d+)\)$/.exec(message)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function changed(
  before: Readonly<Record<string, string>>,
  changes: Changes = {},
): Record<string, string> {
  const after = { ...before };
  for (const [name, now] of Object.entries(changes)) {
    if (now !== null) after[name] = now;
    else
      for (const one of Object.keys(after)) if (one === name || one.startsWith(`${name}/`)) delete after[one];
  }
  return after;
}

/** A directory's entries come in no particular order. */
function sorted(result: unknown): unknown {
  const { entries } = result as { entries?: readonly { fileName?: string }[] };
  if (!Array.isArray(entries) || entries[0]?.fileName === undefined) return result;
  const key = (entry: { fileName?: string }): string => entry.fileName ?? '';
  return { ...(result as object), entries: entries.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)) };
}

export const done: Outcome = { result: {} };
export const text = (content: string): Outcome => ({
  result: { dataBase64: Buffer.from(content, 'latin1').toString('base64') },
});
export const base64 = (content: string): string => Buffer.from(content, 'latin1').toString('base64');

/** Failures of the operating system, with the code that clients know for each. */
export const failed = {
  EPERM: { error: -32600, errno: 1 },
  ENOENT: { error: -32004, errno: 2 },
  ENXIO: { error: -32603, errno: 6 },
  EBADF: { error: -32603, errno: 9 },
  EACCES: { error: -32600, errno: 13 },
  EBUSY: { error: -32603, errno: 16 },
  EEXIST: { error: -32603, errno: 17 },
  ENOTDIR: { error: -32603, errno: 20 },
  EISDIR: { error: -32603, errno: 21 },
  EINVAL: { error: -32603, errno: 22 },
  EFBIG: { error: -32603, errno: 27 },
  EROFS: { error: -32603, errno: 30 },
  ENAMETOOLONG: { error: -32603, errno: 36 },
  ENOTEMPTY: { error: -32603, errno: 39 },
  ELOOP: { error: -32603, errno: 40 },
} as const satisfies Record<string, Outcome>;

/** Refused before the operating system was asked. */
export const refused: Outcome = { error: -32600 };
/** The parameters are wrong. */
export const undecodable: Outcome = { error: -32602 };
