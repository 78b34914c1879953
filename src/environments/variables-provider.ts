import { clientToken } from '../config.ts';
import { meansNone } from './entry-rules.ts';
import { EnvironmentConfigError } from './environment-error.ts';
import type { EnvironmentProvider, EnvironmentSnapshot } from './provider.ts';
import { staysPrivate, urlProblem, urlSource } from './sources/url-source.ts';

/** The variables that name an executor. The first one that is set counts. */
const names = ['EXEC_SERVER_URL', 'CODEX_EXEC_SERVER_URL'] as const;
/** The id of the environment that they name. */
const remoteId = 'remote';

export interface VariablesProviderOptions {
  /** Usually those of this process. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /**
   * Which clients are followed. `current`, if absent: with an executor, and with `none`, there is no `local`. `may-2026`: `local` is there
   * always.
   */
  readonly generation?: 'may-2026' | 'current';
}

/**
 * What a variable says: a URL is the environment `remote` and the default; `none` is no default; without one there is `local`. A token
 * comes from EXEC_SERVER_TOKEN_FILE or EXEC_SERVER_TOKEN.
 */
export function variablesProvider(options: VariablesProviderOptions): EnvironmentProvider {
  return { snapshot: async () => snapshot(options) };
}

function snapshot({ variables, generation = 'current' }: VariablesProviderOptions): EnvironmentSnapshot {
  const name = names.find((one) => variables[one] !== undefined) ?? names[0];
  const value = variables[name]?.trim() ?? '';
  const keepsLocal = generation === 'may-2026';
  if (value === '') return { environments: [], includeLocal: true, default: { kind: 'unset' } };
  if (meansNone(value)) {
    return { environments: [], includeLocal: keepsLocal, default: { kind: 'disabled' } };
  }
  const problem = urlProblem(value);
  if (problem !== undefined) throw new EnvironmentConfigError(name, `the URL ${problem}`);
  const token = clientToken(undefined, variables);
  if (token !== undefined && !staysPrivate(value)) {
    const clear = 'the token would go over the network in the clear; use wss://, or a loopback address';
    throw new EnvironmentConfigError(name, clear);
  }
  return {
    environments: [{ id: remoteId, source: urlSource({ url: value, token }) }],
    includeLocal: keepsLocal,
    default: { kind: 'environment', id: remoteId },
  };
}
