import { resolve } from 'node:path';
import { z } from 'zod';
import type { EnvironmentSource } from '../environment-source.ts';

/** What an entry of the file is read with. */
export interface EntryContext {
  /** The folder of the file: what relative paths on this machine start from. */
  readonly folder: string;
  /** Of this process: what commands on this machine start with. */
  readonly variables: Readonly<Record<string, string>>;
  /** The environment that its command is started in; undefined: this machine. Only for kinds that take `via`. */
  readonly via: string | undefined;
  /** `cwd` of the entry, as it is written. */
  readonly cwd: string | undefined;
}

/** One kind of entries: its own keys, and what they come to. */
export interface EntryKind {
  readonly kind: string;
  /** Keys by which an entry is known to be of this kind where it has no `kind`. */
  readonly marks: readonly string[];
  /** Its commands can be started inside of another environment. */
  readonly takesVia: boolean;
  /** Its own keys. */
  readonly shape: Readonly<z.ZodRawShape>;
  source(entry: unknown, context: EntryContext): EnvironmentSource;
}

/** Declares a kind. `source` gets what its `shape` has made of the entry, and rejects nothing any more. */
export function entryKind<S extends z.ZodRawShape>(definition: {
  readonly kind: string;
  readonly marks: readonly string[];
  readonly takesVia?: boolean;
  readonly shape: S;
  readonly source: (entry: z.output<z.ZodObject<S>>, context: EntryContext) => EnvironmentSource;
}): EntryKind {
  const { takesVia = false, source, ...rest } = definition;
  return {
    ...rest,
    takesVia,
    source: (entry, context) => source(entry as z.output<z.ZodObject<S>>, context),
  };
}

/** A text with something in it. */
export const Text = z.string().refine((text) => text.trim() !== '', 'must not be empty');
/** Variables, headers, labels. */
export const Texts = z.record(z.string(), z.string());
export const TextList = z.array(z.string());

/** A path of this machine. */
export function pathHere(path: string, context: EntryContext): string {
  return resolve(context.folder, path);
}
