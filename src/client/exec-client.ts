import { randomUUID } from 'node:crypto';
import type { EnvironmentInfo } from '../protocol/environment.ts';
import { RpcError, errorCodes } from '../protocol/errors.ts';
import { type Method, type Result, type WireParams, requests } from '../protocol/methods.ts';
import { toFileUri } from '../protocol/path.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { describe } from '../rpc/decode.ts';
import { Peer } from '../rpc/peer.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import { withDeadline } from '../support/deadline.ts';
import type { Call, CallOptions } from './call.ts';
import { type ExecutorCommand, dialCommand, dialWebSocket } from './dial.ts';
import { FileEvents } from './file-events.ts';
import { type Receivers, deliver } from './notifications.ts';
import { RemoteFiles } from './remote-files.ts';
import { RemoteProcess } from './remote-process.ts';
import { type Token, bearerHeader } from './token.ts';

export type { ExecutorCommand } from './dial.ts';
export { OutputLostError } from './output-lost-error.ts';
export type { OutputChunk, OutputView } from './output-view.ts';
export type { RemoteFiles, TransferOptions, TransferProgress, TransferSummary } from './remote-files.ts';
export type {
  GlobFound,
  GlobOptions,
  GrepMatch,
  GrepOptions,
  GrepSummary,
  RemoteGrep,
} from './remote-search.ts';
export type { RemoteWatch, WatchUpdate, WatchedChange } from './remote-watch.ts';
export type { Close, Exit, RemoteProcess, WriteOutcome } from './remote-process.ts';
export type { Token } from './token.ts';

/** Where the executor is: at a URL, started by a command, or behind a transport that is there already. */
export type Address =
  | {
      readonly url: string;
      readonly token?: Token | undefined;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly command: ExecutorCommand }
  | { readonly transport: Transport };

export interface ConnectOptions {
  /** For the executor's log. */
  readonly clientName?: string;
  /** Milliseconds for the connection and the handshake together; 10,000 if absent. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds for a call, beyond what it waits for on purpose; 30,000 if absent. */
  readonly callTimeoutMs?: number;
  /** Bytes of output of each process that are kept here for a reader that has not come yet; 8 MiB if absent. */
  readonly windowBytes?: number;
  readonly signal?: AbortSignal;
}

/** What to start. `cwd` is an absolute path or a `file:` URI; the rest is as in `process/start`. */
export type StartOptions = Omit<WireParams<'process/start'>, 'processId' | 'tty' | 'env'> & {
  readonly processId?: string;
  readonly tty?: boolean;
  readonly env?: Readonly<Record<string, string>>;
};

/** PATH, HOME and the like: what a program needs to run, and no secret of the executor's. */
const defaultEnvPolicy = {
  inherit: 'core',
  ignoreDefaultExcludes: false,
  exclude: [],
  set: {},
  includeOnly: [],
} as const;

/** How the executor takes paths: current ones as file: URIs, those of May 2026 as plain ones. */
type PathForm = 'uri' | 'plain';

/** A connection to an executor, with one session on it. */
export class ExecClient implements AsyncDisposable {
  readonly #options: ConnectOptions;
  readonly #peer: Peer;
  readonly #closed = Promise.withResolvers<CloseReason>();
  readonly #draining = Promise.withResolvers<{ readonly graceMs: number }>();
  readonly #processes = new Map<string, RemoteProcess>();
  readonly #boundCall: Call = (method, params, callOptions) => this.call(method, params, callOptions);
  readonly #fileEvents = new FileEvents(this.#boundCall);
  /** The files of the environment. */
  readonly files = new RemoteFiles(this.#boundCall, this.#fileEvents, (path) => this.#path(path));
  readonly #receivers: Receivers = {
    'process/output': ({ processId, seq, stream, chunk }) =>
      this.#processes.get(processId)?.receive({ kind: 'output', seq, stream, bytes: chunk }),
    'process/exited': (event) => this.#processes.get(event.processId)?.receive({ kind: 'exited', ...event }),
    'process/closed': (event) => this.#processes.get(event.processId)?.receive({ kind: 'closed', ...event }),
    'process/gap': (gap) => this.#processes.get(gap.processId)?.receive({ kind: 'gap', seq: gap.toSeq, gap }),
    'environment/draining': ({ graceMs }) => this.#draining.resolve({ graceMs }),
    ...this.#fileEvents.receivers,
  };
  #sessionId = '';
  #environment: EnvironmentInfo | undefined;
  #pathForm: PathForm = 'uri';

  private constructor(transport: Transport, options: ConnectOptions) {
    this.#options = options;
    this.#peer = new Peer(transport, {
      onRequest: (method) => {
        throw new RpcError(
          'methodNotFound',
          `This client has no method ${JSON.stringify(method.slice(0, 128))}.`,
        );
      },
      onNotification: (method, params) => this.#notified(method, params),
      onClose: (reason) => this.#end(reason),
      onInternalError: () => {},
    });
  }

  /** Connects and opens a session. Rejects with a ConnectionError, or with the RpcError of the handshake. */
  static async connect(address: Address, options: ConnectOptions = {}): Promise<ExecClient> {
    const milliseconds = options.connectTimeoutMs ?? 10_000;
    const late = (): Error =>
      new ConnectionError('timeout', `No session with the executor after ${milliseconds} ms.`);
    return withDeadline(milliseconds, late, options.signal, async (signal) => {
      const client = new ExecClient(await dial(address, signal), options);
      try {
        await client.#handshake(signal);
        return client;
      } catch (error) {
        await client.close();
        throw explain(error, address);
      }
    });
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** What the executor says of its environment; undefined for an executor of May 2026. */
  get environment(): EnvironmentInfo | undefined {
    return this.#environment;
  }

  /** Resolves when the executor begins to shut down: what still runs there is killed after the grace. Never for some executors. */
  get draining(): Promise<{ readonly graceMs: number }> {
    return this.#draining.promise;
  }

  /** Resolves when the connection has ended, with the reason. */
  get closed(): Promise<CloseReason> {
    return this.#closed.promise;
  }

  /** Calls a method of the protocol table. */
  async call<M extends Method>(
    method: M,
    params: WireParams<M>,
    options: CallOptions = {},
  ): Promise<Result<M>> {
    const milliseconds = (options.timeoutMs ?? this.#options.callTimeoutMs ?? 30_000) + intendedWait(params);
    const late = (): Error =>
      new ConnectionError('timeout', `No answer to ${method} after ${milliseconds} ms.`);
    const result = await withDeadline(milliseconds, late, options.signal, (signal) =>
      this.#peer.call(method, params, { signal }),
    );
    const decoded = requests[method].result.safeParse(result);
    if (decoded.success) return decoded.data as Result<M>;
    throw new ConnectionError(
      'protocol',
      `The executor's answer to ${method} is wrong: ${describe('result', decoded.error)}`,
    );
  }

  /** Starts a process. Without `env` and `envPolicy` it gets the executor's PATH, HOME and the like, and nothing else. */
  async start(options: StartOptions): Promise<RemoteProcess> {
    const processId = options.processId ?? randomUUID();
    const process = new RemoteProcess(
      processId,
      this.#boundCall,
      this.#options.windowBytes ?? 8 * 1024 * 1024,
    );
    // Before the request: its first events may come before its answer.
    this.#processes.set(processId, process);
    try {
      const {
        envPolicy = options.env === undefined ? { ...defaultEnvPolicy } : null,
        tty = false,
        env = {},
      } = options;
      const params = { ...options, processId, cwd: this.#path(options.cwd), env, envPolicy, tty };
      await this.call('process/start', params as WireParams<'process/start'>);
    } catch (error) {
      this.#processes.delete(processId);
      throw error;
    }
    const forget = (): void => void this.#processes.delete(processId);
    process.closed.then(forget, forget);
    return process;
  }

  /** Ends the connection. The executor keeps the session's processes for a while; terminate what should end now. */
  async close(): Promise<void> {
    this.#peer.close({ kind: 'normal', message: 'the client is done' });
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #handshake(signal: AbortSignal): Promise<void> {
    const params = {
      clientName: this.#options.clientName ?? 'exec-server-client',
      resumeSessionId: null,
      notifications: ['environment/draining'],
    };
    const raw = await this.#peer.call('initialize', params, { signal });
    const decoded = requests.initialize.result.safeParse(raw);
    if (!decoded.success) {
      throw new ConnectionError('protocol', `This is no executor: ${describe('result', decoded.error)}`);
    }
    this.#sessionId = decoded.data.sessionId;
    this.#peer.notify('initialized', {});
    this.#environment = decoded.data.environmentInfo ?? (await this.#askEnvironment(signal));
    this.#pathForm = this.#environment === undefined ? 'plain' : 'uri';
  }

  /** Executors between the two generations have the method, but do not say it in the handshake. */
  async #askEnvironment(signal: AbortSignal): Promise<EnvironmentInfo | undefined> {
    try {
      return requests['environment/info'].result.parse(
        await this.#peer.call('environment/info', undefined, { signal }),
      );
    } catch (error) {
      if (error instanceof RpcError && error.code === errorCodes.methodNotFound) return undefined;
      throw error;
    }
  }

  #path(path: string): string {
    return this.#pathForm === 'uri' && path.startsWith('/') ? toFileUri(path) : path;
  }

  #notified(method: string, params: unknown): void {
    const problem = deliver(this.#receivers, method, params);
    if (problem !== undefined) this.#peer.close({ kind: 'protocolError', message: problem });
  }

  #end(reason: CloseReason): void {
    const error = ConnectionError.closed(reason);
    for (const process of this.#processes.values()) process.fail(error);
    this.#processes.clear();
    this.#fileEvents.fail(error);
    this.#closed.resolve(reason);
  }
}

/** A command that ends at once says more than the end of its output. */
function explain(error: unknown, address: Address): unknown {
  if (!('command' in address) || !(error instanceof ConnectionError) || error.reason !== 'closed')
    return error;
  const message = 'The command ended, or closed its output, before it answered as an executor does.';
  return new ConnectionError('refused', message, { cause: error });
}

async function dial(address: Address, signal: AbortSignal): Promise<Transport> {
  if ('transport' in address) return address.transport;
  if ('command' in address) return dialCommand(address.command);
  const headers = { ...address.headers, ...(await bearerHeader(address.token)) };
  return dialWebSocket(address.url, headers, signal);
}

/** How long the executor is asked to wait before it answers. */
function intendedWait(params: unknown): number {
  const { waitMs, graceMs } = (params ?? {}) as { waitMs?: number | null; graceMs?: number | null };
  return (waitMs ?? 0) + (graceMs ?? 0);
}
