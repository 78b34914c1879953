import type { ExecClient, RemoteProcess, StartOptions } from '../client/exec-client.ts';
import { ConfigError, ownVariables } from '../config.ts';
import { EnvironmentManager } from '../environments/environment-manager.ts';
import { defaultProvider } from '../environments/file/file-provider.ts';
import type { EnvironmentEvent } from '../environments/lazy-session.ts';

export interface EnvironmentFlags {
  readonly url?: string;
  readonly command?: string;
  readonly tokenFile?: string;
  readonly rendezvous?: string;
  readonly environmentId?: string;
  /** The file that says which environments there are; looked for if absent. */
  readonly file?: string;
  /** Seconds. */
  readonly reconnect?: number;
}

export interface OpenedTarget extends AsyncDisposable {
  readonly client: ExecClient;
  readonly cwd: string;
  readonly isLocal: boolean;
  start(options: StartOptions): Promise<RemoteProcess>;
}

/** Flags that name an executor otherwise. */
const others = ['url', 'command', 'rendezvous', 'environmentId', 'tokenFile'] as const;

/** The environments that the file or the variables of this process name. */
export async function openEnvironments(
  file: string | undefined,
  options: {
    readonly reconnect?: number | undefined;
    readonly onEvent?: (event: EnvironmentEvent) => void;
  } = {},
): Promise<EnvironmentManager> {
  const variables = ownVariables();
  const { reconnect, onEvent = tellEvent } = options;
  return EnvironmentManager.create(defaultProvider({ variables, path: file }), {
    local: { env: variables },
    connect: {
      clientName: 'exec-server-cli',
      ...(reconnect !== undefined && { reconnectMs: reconnect * 1000 }),
    },
    onEvent,
  });
}

/** Opens one of them. */
export async function openEnvironment(id: string, flags: EnvironmentFlags): Promise<OpenedTarget> {
  const other = others.find((name) => flags[name] !== undefined);
  if (other !== undefined) {
    const flag = other.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new ConfigError(`--env and --${flag} name two executors; give one of them`);
  }
  const manager = await openEnvironments(flags.file, flags);
  try {
    const environment = manager.get(id);
    const client = await environment.client();
    const { isRemote, processes } = environment;
    return {
      client,
      cwd: isRemote ? await environment.cwd() : process.cwd(),
      isLocal: !isRemote,
      start: async (options) => processes.start(options),
      [Symbol.asyncDispose]: () => manager[Symbol.asyncDispose](),
    };
  } catch (error) {
    await manager[Symbol.asyncDispose]();
    throw error;
  }
}

/** In a terminal that is raw a line needs both of its ends. */
function tellEvent(event: EnvironmentEvent): void {
  const about = `exec-server: environment "${event.environmentId}"`;
  if (event.kind === 'log') process.stderr.write(`${about}: ${event.line}\r\n`);
  else if (event.kind === 'disconnected')
    process.stderr.write(`${about}: the connection is lost; trying to get it back\r\n`);
  else if (event.kind === 'reconnected') process.stderr.write(`${about}: it is back\r\n`);
}
