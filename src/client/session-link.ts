import { RpcError, errorCodes } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { type Method, requests } from '../protocol/methods.ts';
import type { Resume } from '../protocol/session.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import { backoff, pause } from '../support/backoff.ts';
import { withDeadline } from '../support/deadline.ts';
import { toError } from '../support/to-error.ts';
import { CompletionUnknownError } from './completion-unknown-error.ts';
import { type Greeting, Link } from './link.ts';

/** What becomes of the connection, for the application. */
export type ConnectionEvent =
  /** The connection is gone. What can wait waits for the next one. */
  | { readonly kind: 'disconnected'; readonly reason: CloseReason }
  /** The session is there again, and everything that was missed comes now. */
  | { readonly kind: 'reconnected'; readonly attempts: number; readonly afterMs: number }
  /** The session will not come back. */
  | { readonly kind: 'lost'; readonly error: ConnectionError };

export interface SessionLinkOptions {
  readonly clientName: string;
  /** Named by the errors of the connection. */
  readonly environmentId: string | undefined;
  /** Milliseconds for one connection with its handshake. */
  readonly connectTimeoutMs: number;
  /** Milliseconds for coming back; 0: a lost connection is the end. */
  readonly reconnectMs: number;
  readonly pingIntervalMs: number;
  readonly dial: (signal: AbortSignal) => Promise<Transport>;
}

/** What the session's client does at the turns of the connection. */
export interface SessionLinkEvents {
  onNotification(method: string, params: unknown): string | undefined;
  /** How far the client is with each process. */
  cursors(): Resume['cursors'];
  /** The connection is gone: what belonged to it has ended. */
  onInterrupted(error: ConnectionError): void;
  /** A new connection has the session; other calls wait until this is done. Rejects where the connection is gone again. */
  onResumed(link: Link, unknownProcesses: readonly string[], signal: AbortSignal): Promise<void>;
  onConnection(event: ConnectionEvent): void;
  onEnd(reason: CloseReason, error: ConnectionError): void;
}

type State =
  | { readonly kind: 'up'; readonly link: Link }
  | { readonly kind: 'down'; readonly back: Promise<Link> }
  | { readonly kind: 'over'; readonly error: ConnectionError };

/** Closings after which the same would happen again. */
const final: ReadonlySet<CloseReason['kind']> = new Set([
  'protocolError',
  'notText',
  'policyViolation',
  'tooBig',
  'displaced',
]);

/** A session of an executor over as many connections as it takes. */
export class SessionLink {
  readonly #options: SessionLinkOptions;
  readonly #events: SessionLinkEvents;
  readonly #closing = new AbortController();
  #greeting: Greeting | undefined;
  #state: State = { kind: 'over', error: new ConnectionError('closed', 'The session is not open yet.') };

  constructor(options: SessionLinkOptions, events: SessionLinkEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** What the executor said when the session was opened. */
  get greeting(): Greeting {
    if (this.#greeting === undefined) throw new Error('The session is not open yet.');
    return this.#greeting;
  }

  /** Connects and opens the session. Once. */
  async open(signal: AbortSignal): Promise<void> {
    const { link, greeting } = await this.#connect(undefined, signal);
    this.#greeting = greeting;
    this.#state = { kind: 'up', link };
    const { closed } = link.peer;
    if (closed !== undefined) this.#lost(link, closed);
  }

  /**
   * Calls a method. A call whose connection is lost is repeated on the next one where its row says that this is safe; otherwise it rejects
   * with what is known of it.
   */
  async call(method: Method, params: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      return await this.#call(method, params, signal);
    } catch (error) {
      throw this.#named(error);
    }
  }

  async #call(method: Method, params: unknown, signal: AbortSignal): Promise<unknown> {
    const { replay } = requests[method];
    for (let sent = false; ; sent = true) {
      const changes = replay === 'never' || replay === 'once';
      let link: Link | undefined;
      try {
        link = await this.#ready(signal);
        return await link.peer.call(method, params, { signal });
      } catch (error) {
        const isSent = sent || link !== undefined;
        if (!(error instanceof ConnectionError) || !isSent) throw error;
        const isOver = link === undefined || link.peer.closed === undefined;
        const repeats = replay === 'safe' || (replay === 'once' && this.#recognises(method, params));
        if (isOver || !repeats) throw changes ? new CompletionUnknownError(method, error) : error;
      }
    }
  }

  /** Ends the connection and whatever is done to get another one. */
  close(): void {
    const reason: CloseReason = { kind: 'normal', message: 'the client is done' };
    this.#closing.abort(ConnectionError.closed(reason));
    if (this.#state.kind === 'up') this.#state.link.close(reason);
  }

  /** The connection; the next one, where there is none now. */
  async #ready(signal: AbortSignal): Promise<Link> {
    signal.throwIfAborted();
    const state = this.#state;
    if (state.kind === 'up') return state.link;
    if (state.kind === 'over') throw state.error;
    let abandon = (): void => {};
    const abandoned = new Promise<never>((_resolve, reject) => {
      abandon = (): void => reject(toError(signal.reason));
      signal.addEventListener('abort', abandon, { once: true });
    });
    try {
      return await Promise.race([state.back, abandoned]);
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  /** Whether the executor knows a repeated call by an id in it. Those of others know writes; those of May 2026 are never come back to. */
  #recognises(method: Method, params: unknown): boolean {
    const { writeId, startId } = params as { writeId?: unknown; startId?: unknown };
    if (method === 'process/start') return startId !== undefined && this.greeting.sessionSecret !== undefined;
    return writeId !== undefined;
  }

  async #connect(
    resume: WireResume | undefined,
    signal: AbortSignal,
  ): Promise<{ link: Link; greeting: Greeting }> {
    const { clientName, pingIntervalMs, dial } = this.#options;
    const link: Link = new Link(await dial(signal), {
      onNotification: (method, params) => this.#events.onNotification(method, params),
      onEnd: (reason) => this.#lost(link, reason),
    });
    try {
      const params = resume ?? { resumeSessionId: null };
      const notifications = ['environment/draining'];
      return {
        link,
        greeting: await link.handshake({ clientName, notifications, ...params }, pingIntervalMs, signal),
      };
    } catch (error) {
      link.close({ kind: 'lost', message: 'the handshake failed' });
      throw error;
    }
  }

  #lost(link: Link, reason: CloseReason): void {
    // A connection that was never the session's, or is no longer.
    if (this.#state.kind !== 'up' || this.#state.link !== link) return;
    const error = this.#named(ConnectionError.closed(reason));
    this.#events.onInterrupted(error);
    const { reconnectMs } = this.#options;
    const displaced = reason.kind === 'displaced';
    if (
      this.#closing.signal.aborted ||
      reconnectMs <= 0 ||
      final.has(reason.kind) ||
      // Of May 2026, when reads told no exit and writes were done twice.
      this.greeting.environment === undefined
    ) {
      return this.#end(reason, displaced ? new ConnectionError('displaced', error.message) : error);
    }
    // An executor that shuts down takes its sessions along; a proxy that is replaced is back soon.
    const isLeaving = reason.kind === 'goingAway';
    const back = this.#comeBack(
      isLeaving ? Math.min(reconnectMs, limits.reconnectGoingAwayMs) : reconnectMs,
      error,
    );
    this.#state = { kind: 'down', back };
    this.#events.onConnection({ kind: 'disconnected', reason });
    back.catch((failure: unknown) => {
      const closed: CloseReason = this.#closing.signal.aborted
        ? { kind: 'normal', message: 'the client is done' }
        : { kind: 'lost', message: toError(failure).message };
      this.#end(closed, failure as ConnectionError);
    });
  }

  #named<E>(error: E): E {
    return error instanceof ConnectionError ? error.nameEnvironment(this.#options.environmentId) : error;
  }

  #end(reason: CloseReason, unnamed: ConnectionError): void {
    const error = this.#named(unnamed);
    this.#state = { kind: 'over', error };
    if (!this.#closing.signal.aborted) this.#events.onConnection({ kind: 'lost', error });
    this.#events.onEnd(reason, error);
  }

  /** The one attempt to get the session back, for everybody who waits. */
  async #comeBack(reconnectMs: number, lost: ConnectionError): Promise<Link> {
    const begin = performance.now();
    let attempts = 0;
    let last: unknown = lost;
    const late = (): ConnectionError =>
      new ConnectionError('lost', `${lost.message}; it did not come back within ${reconnectMs} ms.`, {
        cause: last,
      });
    return withDeadline(reconnectMs, late, this.#closing.signal, async (signal) => {
      for (const wait of backoff({ firstMs: limits.reconnectFirstMs, mostMs: limits.reconnectMostMs })) {
        await pause(wait, signal);
        attempts += 1;
        try {
          const link = await this.#resume(signal);
          this.#state = { kind: 'up', link };
          this.#events.onConnection({ kind: 'reconnected', attempts, afterMs: performance.now() - begin });
          return link;
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          if (error instanceof RpcError && !retried.has(error.code)) {
            throw new ConnectionError('expired', `The session cannot be resumed: ${error.message}`, {
              cause: error,
            });
          }
          // The same credentials are refused again.
          if (error instanceof ConnectionError && error.reason === 'unauthorized') throw error;
          last = error;
        }
      }
      throw late();
    });
  }

  async #resume(outer: AbortSignal): Promise<Link> {
    const { connectTimeoutMs } = this.#options;
    const { sessionId, sessionSecret } = this.greeting;
    const late = (): ConnectionError =>
      new ConnectionError('timeout', `No session with the executor after ${connectTimeoutMs} ms.`);
    return withDeadline(connectTimeoutMs, late, outer, async (signal) => {
      const resume = sessionSecret && { secret: sessionSecret, cursors: this.#events.cursors() };
      const params = { resumeSessionId: sessionId, ...(resume && { resume }) };
      const { link, greeting } = await this.#connect(params, signal);
      try {
        if (greeting.sessionId !== sessionId)
          throw new ConnectionError('protocol', 'The executor answered with another session.');
        await this.#events.onResumed(link, greeting.unknownProcesses, signal);
        if (link.peer.closed !== undefined) throw ConnectionError.closed(link.peer.closed);
        return link;
      } catch (error) {
        link.close({ kind: 'lost', message: 'the session was not resumed' });
        throw error;
      }
    });
  }
}

interface WireResume {
  readonly resumeSessionId: string;
  readonly resume?: { readonly secret: string; readonly cursors: Resume['cursors'] };
}

/** Answers to `initialize` that may be another one soon. */
const retried: ReadonlySet<number> = new Set([
  errorCodes.sessionAttached,
  errorCodes.overloaded,
  errorCodes.internalError,
]);
