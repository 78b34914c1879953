import { type ChildProcess, spawn } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { limits } from '../protocol/limits.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { LineTransport } from '../rpc/line-transport.ts';
import { requestUpgrade } from '../rpc/request-upgrade.ts';
import type { Transport } from '../rpc/transport.ts';
import { WebSocketTransport } from '../rpc/websocket-transport.ts';

/** An executor that this process starts, and that lives as long as the connection. No shell is involved. */
export interface ExecutorCommand {
  readonly program: string;
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** All of its variables; those of this process if absent. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where its log goes; to standard error of this process if absent. */
  readonly stderr?: 'inherit' | 'ignore';
}

/** Milliseconds that an executor has to end by itself when its input has ended, and again after TERM, before KILL. */
const commandGraceMs = 2000;

/** Characters of a refusal that are shown. */
const refusalCharacters = 200;

/** Opens a WebSocket to an executor. `url`: ws or wss. `headers`: credentials, never part of the URL. */
export async function dialWebSocket(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Transport> {
  if (!/^wss?:\/\//.test(url))
    throw new ConnectionError('refused', 'The URL of an executor begins with ws:// or wss://.');
  if (/^wss?:\/\/[^/?#]*@/.test(url))
    throw new ConnectionError(
      'refused',
      'The URL of an executor holds no credentials; give the token apart.',
    );
  const options = { headers, maxPayload: limits.messageBytes, signal, peer: 'executor' } as const;
  return openWebSocket(url, options, (webSocket, socket) => new WebSocketTransport(webSocket, socket));
}

export interface OpenOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes of one message. */
  readonly maxPayload: number;
  readonly signal: AbortSignal;
  /** Who listens there: an executor wants a token, a rendezvous a URL that is good for once. */
  readonly peer?: 'executor' | 'rendezvous';
}

/** No error quotes the URL. */
export async function openWebSocket<T>(
  url: string,
  { headers = {}, maxPayload, signal, peer = 'rendezvous' }: OpenOptions,
  adopt: (webSocket: WebSocket, socket: Socket) => T,
): Promise<T> {
  const failure = (cause: Error): ConnectionError =>
    new ConnectionError('refused', `The ${peer} cannot be reached: ${cause.message}`, { cause });
  const refusal = async (response: IncomingMessage): Promise<ConnectionError> => refused(response, peer);
  return requestUpgrade(url, { headers, maxPayload, signal, refusal, failure }, adopt);
}

/** What the answer says that is no upgrade. */
async function refused(response: IncomingMessage, peer: 'executor' | 'rendezvous'): Promise<ConnectionError> {
  const said = peer === 'executor' ? await bodyOf(response) : rejectionReason(response);
  const status = response.statusCode ?? 0;
  const message = `The ${peer} refuses the connection with ${status}${said === '' ? '' : ` (${said})`}.`;
  // A ticket that was refused says nothing of the token.
  return new ConnectionError(status === 401 && peer === 'executor' ? 'unauthorized' : 'refused', message);
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk as string;
      if (text.length > refusalCharacters) break;
    }
  } catch {
    // The status says enough.
  }
  return text
    .slice(0, refusalCharacters)
    .trim()
    .replace(/[^\x20-\x7e]/g, '?');
}

/** A word of a rendezvous, and nothing that could be the URL. */
function rejectionReason({ headers }: IncomingMessage): string {
  const reason = headers['x-codex-rendezvous-rejection-reason'];
  return typeof reason === 'string' && /^[a-z][a-z0-9_]{0,63}$/.test(reason) ? reason : '';
}

/** Starts an executor as a child that speaks over its standard input and output. It ends when the connection does. */
export async function dialCommand(command: ExecutorCommand): Promise<Transport> {
  const child = spawn(command.program, command.args ?? [], {
    cwd: command.cwd,
    env: command.env,
    stdio: ['pipe', 'pipe', command.stderr ?? 'inherit'],
    // A group of its own, so that ending it also ends what a wrapper script has started.
    detached: true,
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => {
      reject(
        new ConnectionError('refused', `The executor's command cannot be started: ${cause.message}`, {
          cause,
        }),
      );
    });
  });
  if (child.stdout === null || child.stdin === null)
    throw new ConnectionError('refused', 'The executor has no pipes.');
  const transport = new LineTransport(child.stdout, child.stdin);
  child.stdout.once('close', () => endCommand(child));
  return transport;
}

function endCommand(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const signalGroup = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It has ended.
    }
  };
  let timer = setTimeout(() => {
    signalGroup('SIGTERM');
    timer = setTimeout(() => signalGroup('SIGKILL'), commandGraceMs);
  }, commandGraceMs);
  child.once('exit', () => {
    clearTimeout(timer);
    // What a wrapper has left in the group.
    signalGroup('SIGKILL');
  });
}
