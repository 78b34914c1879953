import { z } from 'zod';
import { SandboxSettingError, checkedSetting } from '../sandbox-setting.ts';
import { Seconds, type reachedShape } from '../sources/reached-shape.ts';
import type { EntryKind } from './entry-kind.ts';
import type { KeyPath } from './key-lines.ts';

const Sandbox = z.unknown().transform((setting, context) => {
  try {
    return checkedSetting(setting);
  } catch (error) {
    if (!(error instanceof SandboxSettingError)) throw error;
    context.issues.push({ code: 'custom', input: undefined, message: `is wrong: ${error.message}` });
    return z.NEVER;
  }
});

/** The file itself. */
export const FileTable = z.strictObject({
  default: z.string().optional(),
  include_local: z.boolean().default(true),
  environments: z.array(z.record(z.string(), z.unknown())).default([]),
});

/** What entries of all kinds have. */
const common = {
  id: z.string(),
  kind: z.string().optional(),
  cwd: z.string().optional(),
  sandbox: Sandbox.optional(),
  initialize_timeout_sec: Seconds.optional(),
  /** Of other readers of the file, and of no consequence here. */
  skills: z.record(z.string(), z.unknown()).optional(),
};
const nested = { via: z.string().optional() };

export type CommonEntry = z.output<z.ZodObject<typeof common & typeof reachedShape & typeof nested>>;

/** An entry of a kind, with the keys of all and its own. */
export function entrySchema(kind: EntryKind): z.ZodType<CommonEntry> {
  const more = kind.takesVia ? nested : {};
  return z.strictObject({ ...common, ...more, ...kind.shape });
}

const otherKeys = new Set([...Object.keys(common), ...Object.keys(nested)]);

/** The keys of a kind that say which it is, as a text for errors. */
export function marksText(kinds: readonly EntryKind[]): string {
  const marks = kinds.flatMap((kind) => kind.marks);
  return `${marks.slice(0, -1).join(', ')} or ${marks.at(-1)}`;
}

/** What is wrong, key by key, in words of the file. */
export function issueTexts(
  error: z.ZodError,
  kinds: readonly EntryKind[],
): { readonly path: KeyPath; readonly problem: string }[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: [...path, key], problem: unknownKey(key, kinds) }));
    }
    return [{ path, problem: issueText(issue) }];
  });
}

function unknownKey(key: string, kinds: readonly EntryKind[]): string {
  const owners = kinds.filter((kind) => key in kind.shape || (key in nested && kind.takesVia));
  if (owners.length > 0) {
    return `is for entries of kind ${owners.map(({ kind }) => `"${kind}"`).join(', ')} only`;
  }
  return otherKeys.has(key) ? 'does not belong here' : 'is not known';
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  array: 'an array',
  record: 'a table',
  object: 'a table',
};

function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    return issue.input === undefined
      ? 'is missing'
      : `must be ${typeNames[issue.expected] ?? issue.expected}`;
  }
  return issue.message;
}

/** A path of keys as it is read: `environments[0].env.PATH`. */
export function keyText(path: KeyPath): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`))
    .join('');
}
