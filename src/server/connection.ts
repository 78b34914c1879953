import { randomUUID } from 'node:crypto';
import { type Principal, anonymous } from '../access/authenticator.ts';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { type LimitSettings, limitOption } from '../protocol/limit-settings.ts';
import {
  type Method,
  type Params,
  type WireResult,
  clientNotifications,
  requests,
} from '../protocol/methods.ts';
import { decodeParams } from '../rpc/decode.ts';
import { Peer, type RequestContext } from '../rpc/peer.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { HttpRequests } from '../http/http-requests.ts';
import { ConfinedFiles, type ConfinedShared } from './confined/confined-files.ts';
import { ConnectionFiles } from './connection-files.ts';
import { ConnectionHttp } from './connection-http.ts';
import { ConnectionProcesses } from './connection-processes.ts';
import { type Handlers, type SessionContext, isFileMethod } from './handlers.ts';
import type { SessionOwner, SessionRegistry } from './session-registry.ts';
import type { Session } from './session.ts';
import { Streams } from './streams.ts';

/** What every connection of an executor shares. */
export interface ConnectionShared {
  readonly sessions: SessionRegistry;
  readonly handlers: Handlers;
  readonly confined: ConfinedShared;
  readonly http: HttpRequests;
  readonly environment: SessionContext['environment'];
  readonly draining: () => boolean;
  readonly metrics: SessionContext['metrics'];
  readonly limits: LimitSettings;
  readonly log: Logger;
}

export interface ServeOptions {
  /** Whom the client acts for; `anonymous` if absent. */
  readonly principal?: Principal | undefined;
  /** Milliseconds in which the connection has to be open; any time if absent. */
  readonly handshakeMs?: number | undefined;
}

/** connected: nothing was said; answered: `initialize` was; open: `initialized` was, all methods may be called. */
type Handshake =
  { readonly step: 'connected' } | { readonly step: 'answered' | 'open'; readonly session: Session };

/** Looked up by name from the wire, so never as members of an object. */
const rows = new Map(Object.entries(requests));

/** One client's connection: its handshake, its calls, and what is pushed to it. */
export class Connection implements SessionOwner {
  /** Resolves when the connection is gone. */
  readonly closed: Promise<CloseReason>;
  /** Whom it acts for: its session belongs to that principal. */
  readonly principal: Principal;
  readonly #shared: ConnectionShared;
  readonly #peer: Peer;
  readonly #processes: ConnectionProcesses;
  readonly #files = new ConnectionFiles();
  readonly #streams: Streams;
  readonly #confined: ConfinedFiles;
  readonly #http: ConnectionHttp;
  #handshake: Handshake = { step: 'connected' };
  #handshakeTimer: NodeJS.Timeout | undefined;
  /** Names of notifications that the client has asked for. */
  #asked: readonly string[] = [];

  constructor(transport: Transport, shared: ConnectionShared, options: ServeOptions = {}) {
    this.#shared = shared;
    this.principal = options.principal ?? anonymous;
    const gone = Promise.withResolvers<CloseReason>();
    this.closed = gone.promise;
    const handlers = {
      onRequest: (method: string, params: unknown, request: RequestContext) =>
        this.#request(method, params, request),
      onNotification: (method: string) => this.#notification(method),
      onDrain: () => {
        this.#processes.push.resume();
        this.#streams.resume();
        this.#confined.resume();
        this.#http.resume();
      },
      onClose: (reason: CloseReason) => {
        this.#end(reason);
        gone.resolve(reason);
      },
      onInternalError: (error: unknown, errorId: string) =>
        shared.log.error({ err: error, errorId }, 'a request failed'),
    };
    this.#peer = new Peer(transport, handlers, shared.limits);
    this.#processes = new ConnectionProcesses(randomUUID(), this.#peer, shared.sessions);
    this.#streams = new Streams(this.#peer);
    this.#confined = new ConfinedFiles(shared.confined, this.#peer, this.#files, this.#streams);
    this.#http = new ConnectionHttp(shared.http, this.#peer, this.#streams);
    const { handshakeMs } = options;
    if (handshakeMs !== undefined)
      this.#handshakeTimer = setTimeout(() => this.#late(handshakeMs), handshakeMs);
  }

  /** Tells a client that wants to know that the executor is shutting down. */
  announceDraining(graceMs: number): void {
    if (this.#handshake.step === 'open' && this.#asked.includes('environment/draining'))
      this.#peer.notify('environment/draining', { graceMs });
  }

  close(reason: CloseReason): void {
    this.#peer.close(reason);
  }

  #request(method: string, params: unknown, request: RequestContext): unknown {
    const row = rows.get(method);
    if (row === undefined) {
      throw new RpcError(
        'methodNotFound',
        `This executor has no method ${JSON.stringify(method.slice(0, 128))}.`,
      );
    }
    const decoded = decodeParams(row.params, params);
    if (method === 'initialize') return this.#initialize(decoded as Params<'initialize'>);
    this.#checkOpen(method);
    const context: SessionContext = {
      processes: this.#processes,
      files: this.#files,
      streams: this.#streams,
      http: this.#http,
      notify: (name, event) => this.#peer.notify(name, event),
      unsentBytes: () => this.#peer.unsentBytes,
      environment: this.#shared.environment,
      draining: this.#shared.draining,
      metrics: this.#shared.metrics,
      limits: this.#shared.limits,
      request,
    };
    // The row and the handler have the same name, so the params are the handler's.
    const handler = this.#shared.handlers[method as Exclude<Method, 'initialize'>] as (
      params: unknown,
      context: SessionContext,
    ) => unknown;
    if (!isFileMethod(method)) return handler(decoded, context);
    return this.#confined.run(method, decoded as object, request, (params) => handler(params, context));
  }

  #checkOpen(method: string): void {
    const { step } = this.#handshake;
    if (step === 'open') return;
    const missing = step === 'connected' ? 'call initialize' : 'send initialized';
    throw invalidRequest(`client must ${missing} before using ${method}`);
  }

  async #initialize(params: Params<'initialize'>): Promise<WireResult<'initialize'>> {
    if (this.#handshake.step !== 'connected')
      throw invalidRequest('initialize may only be sent once per connection');
    const { sessions, environment } = this.#shared;
    const { resumeSessionId, resume } = params;
    const session =
      resumeSessionId == null
        ? sessions.create(this)
        : sessions.resume(resumeSessionId, this, { secret: resume?.secret });
    this.#handshake = { step: 'answered', session };
    this.#asked = params.notifications ?? [];
    const unknown = this.#processes.resume(session, resume?.cursors ?? []);
    return {
      sessionId: session.id,
      environmentInfo: environment(),
      sessionSecret: session.secret,
      ...(unknown.length > 0 && { unknownProcesses: unknown }),
    };
  }

  #notification(method: string): void {
    if (!Object.hasOwn(clientNotifications, method)) {
      return this.close({
        kind: 'protocolError',
        message: 'a notification came that this executor does not know',
      });
    }
    const handshake = this.#handshake;
    if (handshake.step === 'connected') {
      return this.close({
        kind: 'protocolError',
        message: 'initialized came before a successful initialize',
      });
    }
    if (handshake.step === 'open') return;
    clearTimeout(this.#handshakeTimer);
    this.#handshake = { step: 'open', session: handshake.session };
    this.#processes.open();
  }

  /** The client has come back on another connection, which this one may not know to be dead. */
  displaced(): void {
    this.#release();
    this.close({ kind: 'displaced', message: 'the session was resumed on another connection' });
  }

  #release(): void {
    this.#processes.dispose();
    void this.#files.dispose();
    void this.#streams.dispose();
    void this.#confined.dispose();
    this.#http.resume();
  }

  #late(milliseconds: number): void {
    const message = `no initialize and initialized within ${milliseconds} ms ${limitOption('handshakeMs')}`;
    this.close({ kind: 'policyViolation', message });
  }

  #end(reason: CloseReason): void {
    clearTimeout(this.#handshakeTimer);
    this.#release();
    if (this.#handshake.step !== 'connected') this.#shared.sessions.detach(this.#handshake.session, this);
    this.#shared.log.info({ closeKind: reason.kind }, 'connection closed');
  }
}
