import { fileURLToPath } from 'node:url';
import type { AttachOptions, ExecClient, StartOptions } from '../client/exec-client.ts';
import type { EnvironmentFetch } from '../client/fetch.ts';
import type { HttpRequestOptions, HttpResponse } from '../client/remote-http.ts';
import type { RemoteProcess } from '../client/remote-process.ts';
import type { EnvironmentInfo } from '../protocol/environment.ts';
import { RpcError, errorCodes } from '../protocol/errors.ts';
import { toFileUri } from '../protocol/path.ts';
import type { Transport } from '../rpc/transport.ts';
import { toError } from '../support/to-error.ts';
import { type EnvironmentFiles, filesOf } from './environment-files.ts';
import { EnvironmentError } from './environment-error.ts';
import type { LazySession } from './lazy-session.ts';
import { sandboxContext } from './sandbox-context.ts';
import type { SandboxPolicy } from './sandbox-setting.ts';

/** As of a client; without `cwd` it starts where work begins in the environment, without `sandbox` in the one that the environment names. */
export type EnvironmentStart = Omit<StartOptions, 'cwd'> & { readonly cwd?: string };

export interface EnvironmentProcesses {
  start(options: EnvironmentStart): Promise<RemoteProcess>;
  /** Attaches to a process of another session of the same executor. */
  attach(options: AttachOptions): Promise<RemoteProcess>;
  /** Those that were started here and have not ended. Opens nothing. */
  running(): readonly RemoteProcess[];
}

export interface EnvironmentHealth {
  readonly id: string;
  /**
   * `idle`: nobody has needed it yet. `opening`: it is on its way. `ready`. `draining`: it takes no new work. `reconnecting`: the
   * connection is lost, and its session may come back. `failed`: the last attempt, or the last session, came to nothing; the next
   * operation tries again.
   */
  readonly status: 'idle' | 'opening' | 'ready' | 'draining' | 'reconnecting' | 'failed';
  /** Why it is not ready. */
  readonly error?: Error;
  /** Milliseconds that a question and its answer took, where it was asked. */
  readonly roundTripMs?: number;
  /** How many sessions there have been with it. */
  readonly sessions: number;
}

export interface EnvironmentOptions {
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  readonly sandbox: SandboxPolicy | undefined;
  readonly cwd: string | undefined;
  readonly session: LazySession;
}

/** A place where processes run and files are, here or elsewhere. Reached at the first operation. */
export class Environment {
  readonly id: string;
  readonly kind: string;
  /** How it is reached, without secrets. */
  readonly label: string;
  /** What processes may touch that say nothing themselves; undefined: everything. */
  readonly sandbox: SandboxPolicy | undefined;
  readonly files: EnvironmentFiles;
  readonly http: { request(options: HttpRequestOptions): Promise<HttpResponse> };
  /** The same as `fetch`, with the requests made from inside the environment. */
  readonly fetch: EnvironmentFetch;
  readonly processes: EnvironmentProcesses;
  readonly #cwd: string | undefined;
  readonly #session: LazySession;
  #isDraining = false;

  constructor(options: EnvironmentOptions) {
    const { id, kind, label, sandbox, cwd, session } = options;
    this.id = id;
    this.kind = kind;
    this.label = label;
    this.sandbox = sandbox;
    this.#cwd = cwd;
    this.#session = session;
    this.files = filesOf(async () => (await this.client()).files);
    this.http = { request: async (request) => (await this.client()).http.request(request) };
    this.fetch = async (input, init) => (await this.client()).fetch(input, init);
    this.processes = {
      start: async (start) => this.#start(start),
      attach: async (attach) => (await this.client()).attach(attach),
      running: () => this.#session.current?.processes ?? [],
    };
  }

  /** Processes are elsewhere: nothing of them is on this machine's account. */
  get isRemote(): boolean {
    return this.kind !== 'local';
  }

  /** The client of its session, which is opened where there is none. Nobody closes it but the manager. */
  async client(): Promise<ExecClient> {
    if (this.#isDraining) {
      throw new EnvironmentError(
        'draining',
        this.id,
        `Environment "${this.id}" takes no new work: it is being drained.`,
      );
    }
    return this.#session.client();
  }

  /** A connection to its executor on which nothing has been said yet, for those who speak the protocol themselves. */
  async dial(signal: AbortSignal): Promise<Transport> {
    return this.#session.dial(signal);
  }

  /** What its executor says of it; undefined for an executor of May 2026. */
  async info(): Promise<EnvironmentInfo | undefined> {
    return (await this.client()).environment;
  }

  /** Where work begins there, an absolute path. */
  async cwd(): Promise<string> {
    if (this.#cwd !== undefined) return this.#cwd;
    const told = (await this.info())?.cwd;
    return told == null ? '/' : plainPath(told);
  }

  /** How it is. With `probe` it is opened and asked, without it nothing happens that would cost anything. Never rejects. */
  async health({ probe = false }: { readonly probe?: boolean } = {}): Promise<EnvironmentHealth> {
    const session = this.#session;
    const { id } = this;
    if (probe && !this.#isDraining) {
      try {
        const client = await session.client();
        const begin = performance.now();
        await ask(client);
        return { id, status: 'ready', roundTripMs: performance.now() - begin, sessions: session.sessions };
      } catch (error) {
        const status = session.state === 'reconnecting' ? 'reconnecting' : 'failed';
        return { id, status, error: toError(error), sessions: session.sessions };
      }
    }
    const { state, error, sessions } = session;
    const status = this.#isDraining ? 'draining' : state === 'open' ? 'ready' : state;
    return { id, status, sessions, ...(error !== undefined && { error }) };
  }

  /** Takes no new work, and waits until what runs has ended, `graceMs` at most. What runs then is ended when it is closed. */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true;
    const closed = this.processes.running().map(async (process) => process.closed);
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => void (timer = setTimeout(resolve, graceMs)));
    await Promise.race([Promise.allSettled(closed), over]);
    clearTimeout(timer);
  }

  async #start(start: EnvironmentStart): Promise<RemoteProcess> {
    const client = await this.client();
    const cwd = start.cwd ?? (await this.cwd());
    const { sandbox = this.#sandboxAt(client, cwd) } = start;
    return client.start({ ...start, cwd, ...(sandbox !== undefined && { sandbox }) });
  }

  #sandboxAt(client: ExecClient, cwd: string): StartOptions['sandbox'] {
    if (this.sandbox === undefined) return undefined;
    return sandboxContext(this.sandbox, { cwd, path: pathForm(client) });
  }
}

/** Current executors take paths as file: URIs, those of May 2026 as plain ones. */
export function pathForm(client: ExecClient): (path: string) => string {
  return (path) => (client.environment !== undefined && path.startsWith('/') ? toFileUri(path) : path);
}

function plainPath(path: string): string {
  return path.startsWith('file:') ? fileURLToPath(path) : path;
}

/** Any answer is a sign of life: executors of May 2026 do not know the method. */
async function ask(client: ExecClient): Promise<void> {
  try {
    await client.call('environment/status', undefined);
  } catch (error) {
    if (!(error instanceof RpcError) || error.code !== errorCodes.methodNotFound) throw error;
  }
}
