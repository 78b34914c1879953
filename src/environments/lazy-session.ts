import type { ConnectOptions, ConnectionEvent, ExecClient } from '../client/exec-client.ts';
import { limits } from '../protocol/limits.ts';
import type { Transport } from '../rpc/transport.ts';
import { toError } from '../support/to-error.ts';
import { EnvironmentError } from './environment-error.ts';
import type { EnvironmentSource, OpenContext, OpenedEnvironment } from './environment-source.ts';
import type { Hop } from './hop.ts';

/** What becomes of an environment, for the application. */
export type EnvironmentEvent =
  | { readonly kind: 'opened'; readonly environmentId: string; readonly session: number }
  | { readonly kind: 'failed'; readonly environmentId: string; readonly error: Error }
  /** Its executor shuts down: what still runs there is killed after the grace. */
  | { readonly kind: 'draining'; readonly environmentId: string; readonly graceMs: number }
  /** A line of what its command says on standard error. */
  | { readonly kind: 'log'; readonly environmentId: string; readonly line: string }
  | ({ readonly environmentId: string } & ConnectionEvent);

export interface LazySessionOptions {
  readonly id: string;
  readonly source: EnvironmentSource;
  readonly connect: ConnectOptions;
  readonly onEvent: (event: EnvironmentEvent) => void;
  readonly hop: (id: string) => Promise<Hop>;
}

/**
 * A session with an environment that is there when it is needed: everybody who comes while it is opened shares that attempt, and one that
 * has failed, or a session that is lost for good, is followed by a new one at the next operation, never by itself.
 */
export class LazySession {
  readonly #options: LazySessionOptions;
  readonly #leaving = new AbortController();
  readonly #endings = new Set<Promise<void>>();
  #attempt: Promise<OpenedEnvironment> | undefined;
  #opened: OpenedEnvironment | undefined;
  #isDown = false;
  #sessions = 0;
  #error: Error | undefined;
  #end: Promise<void> | undefined;

  constructor(options: LazySessionOptions) {
    this.#options = options;
  }

  /** How many sessions there have been: another number than before means that what the one before had is gone. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Where it stands, without doing anything for it. */
  get state(): 'idle' | 'opening' | 'open' | 'reconnecting' | 'failed' {
    if (this.#opened !== undefined) return this.#isDown ? 'reconnecting' : 'open';
    if (this.#attempt !== undefined) return 'opening';
    return this.#error === undefined ? 'idle' : 'failed';
  }

  /** Why the last attempt has failed, or the last session was lost; undefined while there is one. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** The client of the session that is open; undefined where there is none. */
  get current(): ExecClient | undefined {
    return this.#opened?.client;
  }

  async client(): Promise<ExecClient> {
    return (await this.#ready()).client;
  }

  /** A connection of its own to the executor. */
  async dial(signal: AbortSignal): Promise<Transport> {
    const { id, source } = this.#options;
    this.#leaving.signal.throwIfAborted();
    if (source.dial !== undefined) {
      return source.dial(this.#context(AbortSignal.any([signal, this.#leaving.signal])));
    }
    const opened = await this.#ready();
    if (opened.dial !== undefined) return opened.dial(signal);
    const text = `Environment "${id}" (${source.label}) has one connection only.`;
    throw new EnvironmentError('unavailable', id, text);
  }

  /** Ends it for good. Operations from now on reject with the reason. Resolves when nothing is left of it. */
  async end(reason: EnvironmentError): Promise<void> {
    this.#leaving.abort(reason);
    this.#end ??= this.#close();
    return this.#end;
  }

  async #ready(): Promise<OpenedEnvironment> {
    this.#leaving.signal.throwIfAborted();
    this.#attempt ??= this.#open();
    return this.#attempt;
  }

  async #open(): Promise<OpenedEnvironment> {
    const { id, source, onEvent } = this.#options;
    const { signal } = this.#leaving;
    try {
      // What is left of the session before could be in the way of this one.
      await Promise.all(this.#endings);
      const opened = await source.open(this.#context(signal));
      if (signal.aborted) {
        await opened[Symbol.asyncDispose]();
        throw signal.reason;
      }
      this.#opened = opened;
      this.#isDown = false;
      this.#error = undefined;
      this.#sessions += 1;
      onEvent({ kind: 'opened', environmentId: id, session: this.#sessions });
      void opened.client.draining.then(({ graceMs }) =>
        onEvent({ kind: 'draining', environmentId: id, graceMs }),
      );
      void opened.client.closed.then((reason) => this.#lost(opened, reason.message));
      return opened;
    } catch (cause) {
      this.#attempt = undefined;
      if (signal.aborted) throw signal.reason;
      const { message } = toError(cause);
      const text = `Environment "${id}" (${source.label}) cannot be opened: ${message}`;
      const error = new EnvironmentError('unavailable', id, text, { cause });
      this.#error = error;
      onEvent({ kind: 'failed', environmentId: id, error });
      throw error;
    }
  }

  #context(signal: AbortSignal): OpenContext {
    const { id, hop, onEvent } = this.#options;
    const onLog = (line: string): void => onEvent({ kind: 'log', environmentId: id, line });
    return { id, signal, hop, onLog, connect: this.#connectOptions() };
  }

  #connectOptions(): ConnectOptions {
    const { id, connect, onEvent } = this.#options;
    return {
      ...connect,
      environmentId: id,
      onConnection: (event) => {
        this.#isDown = event.kind !== 'reconnected';
        if (event.kind === 'lost') this.#error = event.error;
        connect.onConnection?.(event);
        onEvent({ environmentId: id, ...event });
      },
    };
  }

  /** The session will not come back: who used it was told by its errors, and the next operation opens another one. */
  #lost(opened: OpenedEnvironment, message: string): void {
    if (this.#opened !== opened) return;
    this.#opened = undefined;
    this.#attempt = undefined;
    this.#error ??= new EnvironmentError('unavailable', this.#options.id, message);
    const ending = quietly(opened);
    this.#endings.add(ending);
    void ending.then(() => this.#endings.delete(ending));
  }

  async #close(): Promise<void> {
    const opened = await this.#attempt?.catch(() => undefined);
    if (opened !== undefined && opened === this.#opened) {
      // A connection that is down may not come back to be told.
      if (!this.#isDown) await endProcesses(opened.client);
      this.#opened = undefined;
      await opened[Symbol.asyncDispose]();
    }
    await Promise.all(this.#endings);
  }
}

/** Nobody waits for it who could do something about a failure. */
async function quietly(opened: OpenedEnvironment): Promise<void> {
  try {
    await opened[Symbol.asyncDispose]();
  } catch {
    // Its connection is gone, and with it whatever could be ended by it.
  }
}

/** A session outlives its connection, and so would they. */
async function endProcesses(client: ExecClient): Promise<void> {
  const over = { timeoutMs: limits.environmentEndMs };
  const stops = client.processes.map(async (process) =>
    client.call('process/terminate', { processId: process.id, graceMs: limits.commandGraceMs }, over),
  );
  await Promise.allSettled(stops);
}
