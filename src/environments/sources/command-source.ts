import type { EnvironmentSource, OpenContext } from '../environment-source.ts';
import type { Hop } from '../hop.ts';
import { openOnHop, startExecutor } from '../hop-executor.ts';
import { localHop } from '../local-hop.ts';

export interface CommandSourceOptions {
  /** An executable that speaks the protocol over its standard input and output. No shell is involved. */
  readonly program: string;
  readonly args?: readonly string[] | undefined;
  /** In addition to `variables`. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** The environment that it is started in; this machine if absent. */
  readonly via?: string | undefined;
  /** Variables of this machine that it starts with: usually those of this process. Not used with `via`. */
  readonly variables: Readonly<Record<string, string>>;
}

/** An executor that is started with the connection and ends with it. One that is lost is started anew for the next operation. */
export function commandSource(options: CommandSourceOptions): EnvironmentSource {
  const { program, args = [], env, cwd, via, variables } = options;
  const command = { program, args, env, cwd };
  const hopOf = async (context: OpenContext): Promise<Hop> =>
    via === undefined ? localHop(variables) : context.hop(via);
  return {
    kind: 'command',
    label: via === undefined ? 'a command on this machine' : `a command inside "${via}"`,
    via,
    open: async (context) => openOnHop(await hopOf(context), command, context),
    dial: async (context) => (await startExecutor(await hopOf(context), command, context)).transport,
  };
}
