import { RpcError, invalidRequest } from '../protocol/errors.ts';
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
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ConfinedFiles, type ConfinedShared } from './confined/confined-files.ts';
import { ConnectionFiles } from './connection-files.ts';
import { type Handlers, type SessionContext, isFileMethod } from './handlers.ts';
import { OutputPush } from './output-push.ts';
import type { SessionRegistry } from './session-registry.ts';
import type { Session } from './session.ts';
import { Streams } from './streams.ts';

/** What every connection of an executor shares. */
export interface ConnectionShared {
  readonly sessions: SessionRegistry;
  readonly handlers: Handlers;
  readonly sandboxes: Sandboxes;
  readonly confined: ConfinedShared;
  readonly environment: SessionContext['environment'];
  readonly draining: () => boolean;
  readonly log: Logger;
}

/** connected: nothing was said; answered: `initialize` was; open: `initialized` was, all methods may be called. */
type Handshake =
  { readonly step: 'connected' } | { readonly step: 'answered' | 'open'; readonly session: Session };

/** Looked up by name from the wire, so never as members of an object. */
const rows = new Map(Object.entries(requests));

/** One client's connection: its handshake, its calls, and what is pushed to it. */
export class Connection {
  /** Resolves when the connection is gone. */
  readonly closed: Promise<CloseReason>;
  readonly #shared: ConnectionShared;
  readonly #peer: Peer;
  readonly #push: OutputPush;
  readonly #files = new ConnectionFiles();
  readonly #streams: Streams;
  readonly #confined: ConfinedFiles;
  #handshake: Handshake = { step: 'connected' };

  constructor(transport: Transport, shared: ConnectionShared) {
    this.#shared = shared;
    const gone = Promise.withResolvers<CloseReason>();
    this.closed = gone.promise;
    this.#peer = new Peer(transport, {
      onRequest: (method, params, request) => this.#request(method, params, request),
      onNotification: (method) => this.#notification(method),
      onDrain: () => {
        this.#push.resume();
        this.#streams.resume();
        this.#confined.resume();
      },
      onClose: (reason) => {
        this.#end(reason);
        gone.resolve(reason);
      },
      onInternalError: (error, errorId) => shared.log.error({ err: error, errorId }, 'a request failed'),
    });
    this.#push = new OutputPush(this.#peer);
    this.#streams = new Streams(this.#peer);
    this.#confined = new ConfinedFiles(shared.confined, this.#peer, this.#files, this.#streams);
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
    const context: SessionContext = {
      session: this.#openSession(method),
      push: this.#push,
      files: this.#files,
      streams: this.#streams,
      notify: (name, event) => this.#peer.notify(name, event),
      unsentBytes: () => this.#peer.unsentBytes,
      environment: this.#shared.environment,
      draining: this.#shared.draining,
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

  #openSession(method: string): Session {
    const handshake = this.#handshake;
    if (handshake.step === 'open') return handshake.session;
    const missing = handshake.step === 'connected' ? 'call initialize' : 'send initialized';
    throw invalidRequest(`client must ${missing} before using ${method}`);
  }

  async #initialize(params: Params<'initialize'>): Promise<WireResult<'initialize'>> {
    if (this.#handshake.step !== 'connected')
      throw invalidRequest('initialize may only be sent once per connection');
    const { sessions, environment } = this.#shared;
    const session =
      params.resumeSessionId == null ? sessions.create(this) : sessions.resume(params.resumeSessionId, this);
    this.#handshake = { step: 'answered', session };
    return { sessionId: session.id, environmentInfo: await environment() };
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
    this.#handshake = { step: 'open', session: handshake.session };
    // A resumed session's processes: a client reads what it missed by cursor, and gets pushed what is new.
    for (const process of handshake.session.processes.list()) {
      if (process.state !== 'closed') this.#push.attach(process, process.journal.nextSeq - 1);
    }
  }

  #end(reason: CloseReason): void {
    this.#push.dispose();
    void this.#files.dispose();
    void this.#streams.dispose();
    void this.#confined.dispose();
    if (this.#handshake.step !== 'connected') this.#shared.sessions.detach(this.#handshake.session, this);
    this.#shared.log.info({ closeKind: reason.kind }, 'connection closed');
  }
}
