import { randomUUID } from 'node:crypto';
import type { EnvironmentInfo } from '../protocol/environment.ts';
import { limits } from '../protocol/limits.ts';
import { type Method, type Result, type WireParams, requests } from '../protocol/methods.ts';
import { toFileUri } from '../protocol/path.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { describe } from '../rpc/decode.ts';
import type { CloseReason } from '../rpc/transport.ts';
import { withDeadline } from '../support/deadline.ts';
import { type Address, canReturn, dialAddress, explain } from './address.ts';
import type { Call, CallOptions } from './call.ts';
import { type EnvironmentFetch, environmentFetch } from './fetch.ts';
import { FileEvents } from './file-events.ts';
import { type Receivers, deliver } from './notifications.ts';
import { RemoteFiles } from './remote-files.ts';
import { RemoteHttp } from './remote-http.ts';
import type { RemoteProcess } from './remote-process.ts';
import { type AttachOptions, RemoteProcesses } from './remote-processes.ts';
import { type ConnectionEvent, SessionLink } from './session-link.ts';

export type { Address } from './address.ts';
export { CompletionUnknownError } from './completion-unknown-error.ts';
export type { ExecutorCommand } from './dial.ts';
export type { EnvironmentFetch, EnvironmentRequestInit } from './fetch.ts';
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
export type { RemoteTrees, TreeEntry } from './remote-trees.ts';
export type { HttpRequestOptions, HttpResponse, RemoteHttp } from './remote-http.ts';
export type { RemoteWatch, WatchUpdate, WatchedChange } from './remote-watch.ts';
export type { Close, Exit, ProcessAttachments, RemoteProcess, WriteOutcome } from './remote-process.ts';
export type { AttachOptions } from './remote-processes.ts';
export type { RendezvousAddress } from './rendezvous-ticket.ts';
export type { ConnectionEvent } from './session-link.ts';
export type { Token } from './token.ts';

export interface ConnectOptions {
  /** For the executor's log. */
  readonly clientName?: string;
  /** Named by every error of the connection, for clients of several executors. */
  readonly environmentId?: string;
  /** Milliseconds for the connection and the handshake together; 10,000 if absent. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds for a call, beyond what it waits for on purpose, lost connections included; 30,000 if absent. */
  readonly callTimeoutMs?: number;
  /** Bytes of output of each process that are kept here for a reader that has not come yet; 8 MiB if absent. */
  readonly windowBytes?: number;
  /** Milliseconds for getting a lost connection's session back; 60,000 if absent. 0: a lost connection is the end. */
  readonly reconnectMs?: number;
  /** Milliseconds between two pings; an executor that is silent for two of them counts as lost. 15,000 if absent. */
  readonly pingIntervalMs?: number;
  /** Told when the connection is lost, when the session is back, and when it will not come back. */
  readonly onConnection?: (event: ConnectionEvent) => void;
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

/** A session with an executor, over one connection after the other. */
export class ExecClient implements AsyncDisposable {
  readonly #options: ConnectOptions;
  readonly #link: SessionLink;
  readonly #closed = Promise.withResolvers<CloseReason>();
  readonly #draining = Promise.withResolvers<{ readonly graceMs: number }>();
  readonly #boundCall: Call = (method, params, callOptions) => this.call(method, params, callOptions);
  readonly #processes: RemoteProcesses;
  readonly #fileEvents = new FileEvents(this.#boundCall);
  /** The files of the environment. */
  readonly files = new RemoteFiles(this.#boundCall, this.#fileEvents, (path) => this.#path(path));
  /** HTTP from inside the environment. */
  readonly http = new RemoteHttp(
    this.#boundCall,
    this.#fileEvents.streams,
    (path) => this.#path(path),
    () => this.environment?.capabilities?.execServer?.methods.includes('http/cancel') ?? false,
  );
  /** The same as `fetch`: its requests are made there. */
  readonly fetch: EnvironmentFetch = environmentFetch(this.http);

  private constructor(address: Address, options: ConnectOptions) {
    this.#options = options;
    this.#processes = new RemoteProcesses(this.#boundCall, {
      windowBytes: options.windowBytes ?? 8 * 1024 * 1024,
      greeting: () => this.#link.greeting,
      environmentId: options.environmentId,
    });
    const receivers: Receivers = {
      ...this.#processes.receivers,
      ...this.#fileEvents.receivers,
      'http/request/bodyDelta': (event) => this.http.receive(event),
      'environment/draining': ({ graceMs }) => this.#draining.resolve({ graceMs }),
    };
    const reconnectMs = canReturn(address) ? (options.reconnectMs ?? limits.reconnectMs) : 0;
    this.#link = new SessionLink(
      {
        clientName: options.clientName ?? 'exec-server-client',
        environmentId: options.environmentId,
        connectTimeoutMs: options.connectTimeoutMs ?? defaultConnectMs,
        reconnectMs,
        pingIntervalMs: options.pingIntervalMs ?? limits.clientPingIntervalMs,
        dial: (signal) => dialAddress(address, reconnectMs, signal),
      },
      {
        onNotification: (method, params) => deliver(receivers, method, params),
        cursors: () => this.#processes.cursors(),
        onInterrupted: (error) => {
          this.#fileEvents.fail(error);
          this.http.fail(error);
        },
        onResumed: (link, unknown, signal) => this.#processes.resumed(link, unknown, signal),
        onConnection: (event) => options.onConnection?.(event),
        onEnd: (reason, error) => {
          this.#processes.fail(error);
          this.#closed.resolve(reason);
        },
      },
    );
  }

  /** Connects and opens a session. Rejects with a ConnectionError, or with the RpcError of the handshake. */
  static async connect(address: Address, options: ConnectOptions = {}): Promise<ExecClient> {
    const milliseconds = options.connectTimeoutMs ?? defaultConnectMs;
    const late = (): Error =>
      new ConnectionError('timeout', `No session with the executor after ${milliseconds} ms.`);
    return withDeadline(milliseconds, late, options.signal, async (signal) => {
      const client = new ExecClient(address, options);
      try {
        await client.#link.open(signal);
        return client;
      } catch (error) {
        throw explain(error, address);
      }
    });
  }

  get sessionId(): string {
    return this.#link.greeting.sessionId;
  }

  /** Whoever has it can take this session over, and make keys to its processes. undefined where the executor knows no such thing. */
  get sessionSecret(): string | undefined {
    return this.#link.greeting.sessionSecret;
  }

  /** What the executor says of its environment; undefined for an executor of May 2026. */
  get environment(): EnvironmentInfo | undefined {
    return this.#link.greeting.environment;
  }

  /** Resolves when the executor begins to shut down: what still runs there is killed after the grace. Never for some executors. */
  get draining(): Promise<{ readonly graceMs: number }> {
    return this.#draining.promise;
  }

  /** Resolves when the connection has ended for good, with the reason. */
  get closed(): Promise<CloseReason> {
    return this.#closed.promise;
  }

  /**
   * Calls a method of the protocol table. Where the connection is lost meanwhile, the call goes on over the next one if repeating it is
   * safe; if not, it rejects with a CompletionUnknownError, or with a ConnectionError where nothing can have changed.
   */
  async call<M extends Method>(
    method: M,
    params: WireParams<M>,
    options: CallOptions = {},
  ): Promise<Result<M>> {
    const milliseconds = (options.timeoutMs ?? this.#options.callTimeoutMs ?? 30_000) + intendedWait(params);
    const { environmentId } = this.#options;
    const late = (): Error =>
      new ConnectionError('timeout', `No answer to ${method} after ${milliseconds} ms.`).nameEnvironment(
        environmentId,
      );
    const result = await withDeadline(milliseconds, late, options.signal, (signal) =>
      this.#link.call(method, params, signal),
    );
    const decoded = requests[method].result.safeParse(result);
    if (decoded.success) return decoded.data as Result<M>;
    throw new ConnectionError(
      'protocol',
      `The executor's answer to ${method} is wrong: ${describe('result', decoded.error)}`,
    ).nameEnvironment(environmentId);
  }

  /** The processes that this client has started and that have not ended, as far as is known here. */
  get processes(): readonly RemoteProcess[] {
    return this.#processes.own();
  }

  /** Starts a process. Without `env` and `envPolicy` it gets the executor's PATH, HOME and the like, and nothing else. */
  async start(options: StartOptions): Promise<RemoteProcess> {
    const {
      processId = randomUUID(),
      envPolicy = options.env === undefined ? { ...defaultEnvPolicy } : null,
      tty = false,
      env = {},
    } = options;
    const params = {
      startId: randomUUID(),
      ...options,
      processId,
      cwd: this.#path(options.cwd),
      env,
      envPolicy,
      tty,
    };
    return this.#processes.start(params as WireParams<'process/start'>);
  }

  /** The files as a sandbox lets them be used. */
  filesIn(sandbox: StartOptions['sandbox']): RemoteFiles {
    return new RemoteFiles(this.#boundCall, this.#fileEvents, (path) => this.#path(path), sandbox);
  }

  /** Attaches to a process of another session, whose client has given a key. */
  async attach(options: AttachOptions): Promise<RemoteProcess> {
    return this.#processes.attach(options);
  }

  /** Ends the connection. The executor keeps the session's processes for a while; terminate what should end now. */
  async close(): Promise<void> {
    this.#link.close();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Current executors take paths as file: URIs, and name one themselves; those before July 2026 take plain ones. */
  #path(path: string): string {
    return this.environment?.cwd !== undefined && path.startsWith('/') ? toFileUri(path) : path;
  }
}

const defaultConnectMs = 10_000;

/** How long the executor is asked to wait before it answers. */
function intendedWait(params: unknown): number {
  const { waitMs, graceMs } = (params ?? {}) as { waitMs?: number | null; graceMs?: number | null };
  return (waitMs ?? 0) + (graceMs ?? 0);
}
