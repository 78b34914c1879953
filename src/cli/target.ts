import {
  type Address,
  type ConnectionEvent,
  ExecClient,
  type RemoteProcess,
  type StartOptions,
} from '../client/exec-client.ts';
import { ConfigError, clientToken, ownVariables } from '../config.ts';
import { connectLocal } from '../environments/local.ts';
import { openEnvironment } from './environment-target.ts';

/** The executor that a command works with. */
export interface TargetFlags {
  readonly url?: string;
  readonly command?: string;
  readonly rendezvous?: string;
  readonly environmentId?: string;
  readonly allowHttp?: boolean;
  readonly tokenFile?: string;
  /** The id of an environment. */
  readonly env?: string;
  /** The file that says which environments there are; looked for if absent. */
  readonly file?: string;
  /** Seconds. */
  readonly reconnect?: number;
}

export interface Target extends AsyncDisposable {
  readonly client: ExecClient;
  /** A working directory that exists there. */
  readonly cwd: string;
  /** The executor is in this process: its files are this machine's. */
  readonly isLocal: boolean;
  /** As the client does, in the sandbox that the environment names, if any. */
  start(options: StartOptions): Promise<RemoteProcess>;
}

/** Connects to the executor that the flags name, or starts one in this process. */
export async function openTarget(flags: TargetFlags): Promise<Target> {
  if (flags.env !== undefined) return openEnvironment(flags.env, flags);
  const named = [flags.url, flags.command, flags.rendezvous].filter((flag) => flag !== undefined);
  if (named.length > 1) {
    throw new ConfigError('--url, --command and --rendezvous name several executors; give one of them');
  }
  if (flags.tokenFile !== undefined && (named.length === 0 || flags.command !== undefined)) {
    throw new ConfigError(
      '--token-file is for the executor of --url or --rendezvous; the others ask for none',
    );
  }
  if ((flags.rendezvous === undefined) !== (flags.environmentId === undefined)) {
    throw new ConfigError(
      '--rendezvous and --environment-id go together: the service, and the executor there',
    );
  }
  const clientName = 'exec-server-cli';
  if (named.length > 0) {
    const client = await ExecClient.connect(addressOf(flags), {
      clientName,
      onConnection: tell,
      ...(flags.reconnect !== undefined && { reconnectMs: flags.reconnect * 1000 }),
    });
    return {
      client,
      cwd: client.environment?.cwd ?? '/',
      isLocal: false,
      start: (options) => client.start(options),
      [Symbol.asyncDispose]: () => client.close(),
    };
  }
  const local = await connectLocal({ env: ownVariables() }, { clientName });
  return {
    client: local.client,
    cwd: process.cwd(),
    isLocal: true,
    start: (options) => local.client.start(options),
    [Symbol.asyncDispose]: () => local[Symbol.asyncDispose](),
  };
}

function addressOf(flags: TargetFlags): Address {
  if (flags.command !== undefined) return { command: shellCommand(flags.command) };
  const token = clientToken(flags.tokenFile, ownVariables());
  const { rendezvous, environmentId = '', allowHttp } = flags;
  return rendezvous === undefined
    ? { url: flags.url ?? '', token }
    : { rendezvous, environmentId, token, allowHttp };
}

/** A user who sees nothing happen wants to know why. In a terminal that is raw a line needs both of its ends. */
function tell(event: ConnectionEvent): void {
  const texts = {
    disconnected: 'the connection is lost; trying to get it back',
    reconnected: 'it is back',
    lost: '',
  };
  if (texts[event.kind] !== '') process.stderr.write(`exec-server: ${texts[event.kind]}\r\n`);
}

/** As for ssh's ProxyCommand, the user's own text is a shell's; `exec` leaves no shell between. */
function shellCommand(text: string): { program: string; args: string[] } {
  return { program: '/bin/sh', args: ['-c', `exec ${text}`] };
}
