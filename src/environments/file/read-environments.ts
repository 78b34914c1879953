import { dirname, isAbsolute, resolve } from 'node:path';
import { TomlError, parse } from 'smol-toml';
import type { ConnectOptions } from '../../client/exec-client.ts';
import { snapshotProblems } from '../entry-rules.ts';
import type { EnvironmentEntry, EnvironmentSnapshot } from '../provider.ts';
import { defaultOf } from '../static-provider.ts';
import type { EntryKind } from './entry-kind.ts';
import { EntryProblem, EnvironmentFileError } from './file-error.ts';
import { FileTable, entrySchema, issueTexts, keyText, marksText } from './file-schema.ts';
import { KeyLines, type KeyPath } from './key-lines.ts';
import { entryKinds } from './kinds.ts';

export interface ReadContext {
  /** Absolute: for errors, and for what is relative to its folder. */
  readonly path: string;
  readonly variables: Readonly<Record<string, string>>;
  /** Kinds of entries; those that are built in if absent. */
  readonly kinds?: readonly EntryKind[] | undefined;
}

/** Seconds for a connection, and as many for the handshake, where an entry names only one of them. */
const defaultSeconds = 10;

type Problems = { readonly path: KeyPath; readonly problem: string }[];
type RawEntry = Readonly<Record<string, unknown>>;

/** Reads the text of a file of environments. Throws an EnvironmentFileError that has everything that is wrong, with lines and keys. */
export function readEnvironments(text: string, context: ReadContext): EnvironmentSnapshot {
  const table = parseToml(text, context.path);
  const problems: Problems = [];
  const fail = (): never => {
    const lines = new KeyLines(text);
    const found = problems.map(({ path, problem }) => ({
      line: lines.lineOf(path),
      key: path.length === 0 ? undefined : keyText(path),
      problem,
    }));
    throw new EnvironmentFileError(context.path, found);
  };
  const kinds = context.kinds ?? entryKinds;
  const file = FileTable.safeParse(table, { reportInput: true });
  if (!file.success) {
    problems.push(...issueTexts(file.error, []));
    return fail();
  }
  const { environments: raw, include_local: includeLocal, default: chosen } = file.data;
  const environments: EnvironmentEntry[] = [];
  for (const [index, entry] of raw.entries()) {
    const at: KeyPath = ['environments', index];
    const read = readEntry(entry, { ...context, kinds });
    if (Array.isArray(read))
      problems.push(...read.map(({ path, problem }) => ({ path: [...at, ...path], problem })));
    else environments.push(read);
  }
  const named = raw.map(({ id, via }) => ({
    id: typeof id === 'string' ? id : undefined,
    via: typeof via === 'string' ? via : undefined,
  }));
  const wanted = chosen === undefined ? undefined : defaultOf(chosen);
  const snapshot = { includeLocal, default: wanted ?? ({ kind: 'unset' } as const) };
  // An entry without an id is told above; it keeps its place.
  const listed = named.map(({ id, via }, index) => ({ id: id ?? `entry-${index}`, via }));
  for (const { entry, key, problem } of snapshotProblems({ ...snapshot, environments: listed })) {
    problems.push({ path: entry === undefined ? [key] : ['environments', entry, key], problem });
  }
  return problems.length > 0 ? fail() : { ...snapshot, environments };
}

function parseToml(text: string, path: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Without the lines around it, which may hold a token.
    const [first = ''] = error.message.split('\n');
    const problem = `column ${error.column}: ${first.replace(/^Invalid TOML document: /, '')}`;
    throw new EnvironmentFileError(path, [{ line: error.line, key: undefined, problem }]);
  }
}

function readEntry(
  raw: RawEntry,
  context: ReadContext & { readonly kinds: readonly EntryKind[] },
): EnvironmentEntry | Problems {
  const { kinds, variables } = context;
  const kind = kindOf(raw, kinds);
  if ('problem' in kind) return [kind];
  const parsed = entrySchema(kind).safeParse(raw, { reportInput: true });
  if (!parsed.success) return issueTexts(parsed.error, kinds);
  const {
    id,
    via,
    cwd,
    sandbox,
    connect_timeout_sec: connect,
    initialize_timeout_sec: handshake,
  } = parsed.data;
  const folder = dirname(context.path);
  const startsHere = kind.kind === 'command' && via === undefined;
  if (cwd !== undefined && !startsHere && !isAbsolute(cwd)) {
    return [{ path: ['cwd'], problem: 'must be an absolute path of the environment' }];
  }
  try {
    const source = kind.source(parsed.data, { folder, variables, via, cwd });
    const there = cwd === undefined || !startsHere ? cwd : resolve(folder, cwd);
    return { id, source, sandbox, cwd: there, connect: times(connect, handshake) };
  } catch (error) {
    if (!(error instanceof EntryProblem)) throw error;
    return [{ path: [error.key], problem: error.message }];
  }
}

function times(connect: number | undefined, handshake: number | undefined): ConnectOptions | undefined {
  if (connect === undefined && handshake === undefined) return undefined;
  const seconds = (connect ?? defaultSeconds) + (handshake ?? defaultSeconds);
  return { connectTimeoutMs: Math.ceil(seconds * 1000) };
}

/** The kind that an entry names, or that its keys tell. */
function kindOf(
  raw: RawEntry,
  kinds: readonly EntryKind[],
): EntryKind | { readonly path: KeyPath; readonly problem: string } {
  const { kind: named } = raw;
  if (named !== undefined) {
    const known = kinds.find(({ kind }) => kind === named);
    if (known !== undefined) return known;
    const names = kinds.map(({ kind }) => `"${kind}"`).join(', ');
    return { path: ['kind'], problem: `must be one of ${names}` };
  }
  const told = kinds.filter(({ marks }) => marks.some((mark) => mark in raw));
  const [first, second] = told;
  if (first === undefined)
    return { path: [], problem: `must have ${marksText(kinds)}, which say what it is` };
  if (second === undefined) return first;
  const [one, other] = [first, second].map(({ marks }) => marks.find((mark) => mark in raw) ?? '');
  return { path: [other ?? ''], problem: `and ${one} say two kinds of environments; keep one of them` };
}
