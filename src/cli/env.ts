import { access } from 'node:fs/promises';
import { ConfigError, ownVariables } from '../config.ts';
import type { Environment } from '../environments/environment.ts';
import { addEntry } from '../environments/file/add-entry.ts';
import { environmentFiles } from '../environments/file/file-provider.ts';
import { openEnvironments } from './environment-target.ts';

export interface EnvFlags {
  readonly file?: string;
  readonly json?: boolean;
  readonly default?: boolean;
}

/** Lists the environments, without reaching any of them. */
export async function listEnvironments({ file, json = false }: EnvFlags): Promise<number> {
  await using manager = await openEnvironments(file);
  const from = file ?? (await foundFile()) ?? 'variables';
  const rows = manager.list().map((environment) => ({
    id: environment.id,
    kind: environment.kind,
    default: environment.id === manager.defaultId,
    from: originOf(environment, from),
    label: environment.label,
  }));
  if (json) {
    process.stdout.write(`${JSON.stringify({ environments: rows, from }, null, 2)}\n`);
    return 0;
  }
  const lines = rows.map((row) => [row.id, row.kind, row.default ? 'default' : '', row.label, row.from]);
  process.stdout.write(table([['ID', 'KIND', '', 'REACHED BY', 'FROM'], ...lines]));
  return 0;
}

/** Adds an environment to the file. */
export async function addEnvironment(
  id: string,
  settings: readonly string[],
  { file, default: isDefault = false }: EnvFlags,
): Promise<number> {
  if (settings.length === 0)
    throw new ConfigError(`say how ${id} is reached, as in \`env add ${id} url=wss://host/path\``);
  const variables = ownVariables();
  const path = file ?? (await foundFile()) ?? environmentFiles(variables)[0] ?? '';
  const line = await addEntry(path, { id, settings, isDefault }, variables);
  process.stdout.write(`${path}:${line}: added ${id}\n`);
  return 0;
}

/** The first of the places that has a file. */
async function foundFile(): Promise<string | undefined> {
  for (const path of environmentFiles(ownVariables())) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

function originOf({ isRemote }: Environment, from: string): string {
  return isRemote ? from : 'this process';
}

/** Columns as wide as what is in them. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (most, row) => row.map((cell, at) => Math.max(most[at] ?? 0, cell.length)),
    [],
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}
