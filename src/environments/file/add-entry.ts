import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'smol-toml';
import { Replacement } from '../../disk/replacement.ts';
import { readSmallFile } from '../../disk/secret-file.ts';
import { limits } from '../../protocol/limits.ts';
import { EnvironmentConfigError } from '../environment-error.ts';
import { idProblem } from '../entry-rules.ts';
import { KeyLines } from './key-lines.ts';
import { readEnvironments } from './read-environments.ts';

export interface NewEntry {
  readonly id: string;
  /** `key=value`, with values as in TOML; a text that is no value of TOML stands for itself. */
  readonly settings: readonly string[];
  /** It is to be the default. */
  readonly isDefault: boolean;
}

/**
 * Adds an environment at the end of a file, which is made where it is missing. Everything that is there stays as it is, comments included. The
 * file is replaced at once, and only if what comes out can be used. Answers the line of the entry.
 */
export async function addEntry(
  file: string,
  entry: NewEntry,
  variables: Readonly<Record<string, string>>,
): Promise<number> {
  const path = resolve(file);
  const before = await textOf(path);
  const problem = idProblem(entry.id);
  if (problem !== undefined) throw new EnvironmentConfigError('id', problem);
  // What is wrong already is told before anything is added to it.
  const known = readEnvironments(before, { path, variables });
  const index = known.environments.findIndex(({ id }) => id === entry.id);
  if (index >= 0)
    throw new EnvironmentConfigError(
      `${path}:${new KeyLines(before).lineOf(['environments', index])}`,
      `environments[${index}].id is "${entry.id}" already; change that entry, or choose another id`,
    );
  const head = entry.isDefault ? defaultLine(before, path, entry.id) : '';
  const text = joined(`${head}${before}`, entryText(entry));
  readEnvironments(text, { path, variables });
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // It may hold tokens.
  await using replacement = await Replacement.open(Buffer.from(path), true, 0o600);
  await replacement.file.writeFile(text);
  await replacement.commit();
  return new KeyLines(text).lineOf(['environments', known.environments.length]);
}

async function textOf(path: string): Promise<string> {
  try {
    return (await readSmallFile(path, limits.environmentsFileBytes)).bytes.toString();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Keys of the file itself are only at its beginning what they are: behind a table they would be that table's. */
function defaultLine(text: string, path: string, id: string): string {
  if ('default' in (parse(text) as object)) {
    const line = new KeyLines(text).lineOf(['default']);
    throw new EnvironmentConfigError(`${path}:${line}`, 'default is set already; change it there');
  }
  return `default = ${JSON.stringify(id)}\n${text.trim() === '' ? '' : '\n'}`;
}

function joined(before: string, entry: string): string {
  if (before === '') return entry;
  return `${before}${before.endsWith('\n') ? '' : '\n'}\n${entry}`;
}

function entryText({ id, settings }: NewEntry): string {
  const lines = settings.map((setting) => {
    const equals = setting.indexOf('=');
    const key = setting.slice(0, equals);
    if (equals <= 0 || !/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(key))
      throw new EnvironmentConfigError(
        setting.slice(0, equals <= 0 ? 64 : equals),
        'a setting is written key=value, such as url=wss://host/path',
      );
    return `${key} = ${valueText(setting.slice(equals + 1))}`;
  });
  return `[[environments]]\nid = ${JSON.stringify(id)}\n${lines.map((line) => `${line}\n`).join('')}`;
}

/** One value on one line. */
function valueText(text: string): string {
  try {
    if (!text.includes('\n') && Object.keys(parse(`value = ${text}`)).join('') === 'value') return text;
  } catch {
    // A plain text.
  }
  return stringify({ value: text }).trimEnd().slice('value = '.length);
}
