import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { readSmallFile } from '../../disk/secret-file.ts';
import { limits } from '../../protocol/limits.ts';
import { errnoOf, osErrorText } from '../../support/os-error.ts';
import { EnvironmentConfigError } from '../environment-error.ts';
import type { EnvironmentProvider, EnvironmentSnapshot } from '../provider.ts';
import { type VariablesProviderOptions, variablesProvider } from '../variables-provider.ts';
import type { EntryKind } from './entry-kind.ts';
import { readEnvironments } from './read-environments.ts';

const fileName = 'environments.toml';

type Variables = Readonly<Record<string, string | undefined>>;

export interface FileProviderOptions {
  readonly path: string;
  /** Usually those of this process: what commands start with. */
  readonly variables: Variables;
  /** Kinds of entries; those that are built in if absent. */
  readonly kinds?: readonly EntryKind[] | undefined;
}

/** The environments of a file, read at each snapshot. Rejects with an EnvironmentFileError where something in it is wrong. */
export function fileProvider(options: FileProviderOptions): EnvironmentProvider {
  return {
    snapshot: async () => {
      const snapshot = await readFile(options);
      if (snapshot !== undefined) return snapshot;
      throw new EnvironmentConfigError(options.path, 'there is no such file');
    },
  };
}

export interface DefaultProviderOptions extends VariablesProviderOptions {
  /** A file that has to be there; looked for if absent. */
  readonly path?: string | undefined;
}

/**
 * The first `environments.toml` there is, and what variables say where there is none: a file replaces them, even an empty one. It is
 * looked for in EXEC_SERVER_HOME; in `exec-server` of XDG_CONFIG_HOME, or of `~/.config`; and in CODEX_HOME, where that is set.
 */
export function defaultProvider(options: DefaultProviderOptions): EnvironmentProvider {
  const { path, variables } = options;
  if (path !== undefined) return fileProvider({ path, variables });
  return {
    snapshot: async () => {
      for (const candidate of environmentFiles(variables)) {
        const snapshot = await readFile({ path: candidate, variables });
        if (snapshot !== undefined) return snapshot;
      }
      return variablesProvider(options).snapshot();
    },
  };
}

/** Where the file is looked for, in order. */
export function environmentFiles(variables: Variables): string[] {
  const own = variables['EXEC_SERVER_HOME'] ?? '';
  const config = variables['XDG_CONFIG_HOME'] ?? '';
  const home = variables['HOME'] || homedir();
  const codex = variables['CODEX_HOME'] ?? '';
  return [
    own,
    // A relative one is void, says the specification of the variable.
    join(isAbsolute(config) ? config : join(home, '.config'), 'exec-server'),
    codex,
  ]
    .filter((folder) => folder !== '')
    .map((folder) => resolve(folder, fileName));
}

/** undefined: there is none. */
async function readFile(options: FileProviderOptions): Promise<EnvironmentSnapshot | undefined> {
  const path = resolve(options.path);
  let bytes: Buffer;
  try {
    ({ bytes } = await readSmallFile(path, limits.environmentsFileBytes));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const errno = errnoOf(cause);
    const why = errno === undefined ? (cause as Error).message : osErrorText(errno);
    throw new EnvironmentConfigError(path, `the file cannot be read: ${why}`, { cause });
  }
  const variables = Object.fromEntries(
    Object.entries(options.variables).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
  return readEnvironments(bytes.toString(), { path, variables, kinds: options.kinds });
}
