import { meansNone } from './entry-rules.ts';
import type { EnvironmentEntry, EnvironmentProvider } from './provider.ts';

export interface StaticProviderOptions {
  /** An id; `null` or `none`: there is to be no default. `local` where it is included, none otherwise, if absent. */
  readonly default?: string | null | undefined;
  /** Whether there is `local`, too; true if absent. */
  readonly includeLocal?: boolean | undefined;
}

/** Environments that code names. */
export function staticProvider(
  environments: readonly EnvironmentEntry[],
  options: StaticProviderOptions = {},
): EnvironmentProvider {
  const { default: chosen, includeLocal = true } = options;
  return {
    snapshot: async () => ({ environments, includeLocal, default: defaultOf(chosen) }),
  };
}

/** What the text of a default means. */
export function defaultOf(
  text: string | null | undefined,
): Awaited<ReturnType<EnvironmentProvider['snapshot']>>['default'] {
  if (text === undefined) return { kind: 'unset' };
  if (text === null || meansNone(text)) return { kind: 'disabled' };
  return { kind: 'environment', id: text.trim() };
}
