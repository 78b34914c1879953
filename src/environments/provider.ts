import type { ConnectOptions } from '../client/exec-client.ts';
import type { EnvironmentSource } from './environment-source.ts';
import type { SandboxSetting } from './sandbox-setting.ts';

/** One environment as a provider describes it. */
export interface EnvironmentEntry {
  /** ASCII letters, digits, `-` and `_`, at most 64; not `local`, and not `none` in any case. */
  readonly id: string;
  readonly source: EnvironmentSource;
  /** What work there may touch, where a workspace says nothing else. */
  readonly sandbox?: SandboxSetting | undefined;
  /** Where work begins there; what its executor says if absent. */
  readonly cwd?: string | undefined;
  /** Times of its connection that differ from the manager's. */
  readonly connect?: ConnectOptions | undefined;
}

export type DefaultEnvironment =
  /** There is to be none. */
  | { readonly kind: 'disabled' }
  | { readonly kind: 'environment'; readonly id: string }
  /** `local` where it is included, none otherwise. */
  | { readonly kind: 'unset' };

/** What a provider says at one time. */
export interface EnvironmentSnapshot {
  /** In the order of listings. */
  readonly environments: readonly EnvironmentEntry[];
  readonly default: DefaultEnvironment;
  /** Whether the manager adds `local`. */
  readonly includeLocal: boolean;
}

/** Says which environments there are. */
export interface EnvironmentProvider {
  snapshot(): Promise<EnvironmentSnapshot>;
}
