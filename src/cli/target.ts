import {
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
  if (flags.url !== undefined && flags.command !== undefined) {
    throw new ConfigError('--url and --command name two executors; give one of them');
  }
  if (flags.tokenFile !== undefined && flags.url === undefined) {
    throw new ConfigError('--token-file is for the executor of --url; the others ask for none');
  }
  const clientName = 'exec-server-cli';
  if (flags.url !== undefined || flags.command !== undefined) {
    const client = await ExecClient.connect(
      flags.url === undefined
        ? { command: shellCommand(flags.command ?? '') }
        : { url: flags.url, token: clientToken(flags.tokenFile, ownVariables()) },
      {
        clientName,
        onConnection: tell,
        ...(flags.reconnect !== undefined && { reconnectMs: flags.reconnect * 1000 }),
      },
    );
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
