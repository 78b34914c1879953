import { RpcError, type WireError, errorCodes, invalidRequest } from '../protocol/errors.ts';
import { type MessageLimits, limitReached } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import { ConnectionError } from './connection-error.ts';
import { type Message, type RequestId, idText, parseMessage } from './json-text.ts';
import type { CloseReason, Transport } from './transport.ts';

export interface RequestContext {
  /** Aborted when the connection is gone: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Runs when the answer is queued, so that what it starts sending comes behind the answer. Not run if the request fails. */
  afterReply(action: () => void): void;
}

export interface PeerHandlers {
  /** Called in arrival order; the answers may overtake each other. */
  onRequest(method: string, params: unknown, context: RequestContext): unknown;
  onNotification(method: string, params: unknown): void;
  onDrain?(): void;
  onClose(reason: CloseReason): void;
  /** An error that is nobody's intent. Its text stays here; the other side gets the error id. */
  onInternalError(error: unknown, errorId: string): void;
  /** Reads a message; held to the limits of the wire if absent. */
  parse?(text: string): Message | string;
}

interface PendingCall {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const chunkTail = '"}}';

/** One side of a JSON-RPC conversation in the codex dialect (no `jsonrpc` member). Knows no method. */
export class Peer {
  readonly #transport: Transport;
  readonly #handlers: PeerHandlers;
  readonly #bounds: MessageLimits;
  readonly #pending = new Map<number, PendingCall>();
  readonly #gone = new AbortController();
  #nextId = 1;
  #nextErrorId = 1;
  #running = 0;
  #stalled = false;
  #holds = 0;
  #closing = false;
  #closed: CloseReason | undefined;

  constructor(transport: Transport, handlers: PeerHandlers, bounds: MessageLimits = limits) {
    this.#transport = transport;
    this.#handlers = handlers;
    this.#bounds = bounds;
    transport.attach({
      onMessage: (text) => this.#receive(text),
      onGarbage: (problem) => this.#refuse(problem),
      onDrain: () => this.#drained(),
      onClose: (reason) => this.#end(reason),
    });
  }

  get unsentBytes(): number {
    return this.#transport.unsentBytes;
  }

  get closed(): CloseReason | undefined {
    return this.#closed;
  }

  /** Calls a method of the other side. Rejects with an RpcError that the other side sent, or with a ConnectionError. */
  call(method: string, params: unknown, options: { signal?: AbortSignal } = {}): Promise<unknown> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(ConnectionError.closed(this.#closed));
      if (signal?.aborted) return reject(signal.reason as Error);
      const text = params === undefined ? '' : `,"params":${JSON.stringify(params)}`;
      const id = this.#nextId++;
      const abandon = (): void => {
        this.#pending.delete(id);
        reject(signal?.reason as Error);
      };
      const settle = (): void => signal?.removeEventListener('abort', abandon);
      signal?.addEventListener('abort', abandon, { once: true });
      this.#pending.set(id, {
        resolve: (result) => (settle(), resolve(result)),
        reject: (error) => (settle(), reject(error)),
      });
      this.#send(`{"id":${id},"method":"${method}"${text}}`);
    });
  }

  notify(method: string, params: object): void {
    this.#send(`{"method":"${method}","params":${JSON.stringify(params)}}`);
  }

  /**
   * The same for params that are mostly bytes: `members` are the first ones, as JSON, and a last one, `name`, is the bytes as base64. Built
   * without the copies that a text would be joined and encoded from: there are thousands a second.
   */
  notifyChunk(method: string, members: string, bytes: Buffer, name = 'chunk'): void {
    const head = `{"method":"${method}","params":{${members},"${name}":"`;
    const chunk = bytes.toString('base64');
    const headBytes = Buffer.byteLength(head);
    const message = Buffer.allocUnsafe(headBytes + chunk.length + chunkTail.length);
    message.write(head);
    message.write(chunk, headBytes, 'latin1');
    message.write(chunkTail, headBytes + chunk.length, 'latin1');
    this.#send(message);
  }

  /** Reads nothing from the other side until every hold is released. */
  hold(): () => void {
    let held = true;
    this.#holds += 1;
    this.#transport.pause();
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      this.#readOn();
    };
  }

  close(reason: CloseReason): void {
    this.#closing = true;
    this.#transport.close(reason);
  }

  #send(message: string | Buffer): void {
    if (this.#closed !== undefined) return;
    this.#transport.send(message);
    if (!this.#stalled && this.#transport.unsentBytes > limits.outboxStallBytes) {
      this.#stalled = true;
      this.#transport.pause();
    }
  }

  #drained(): void {
    if (this.#stalled && this.#transport.unsentBytes <= limits.outboxHighBytes) {
      this.#stalled = false;
      this.#readOn();
    }
    this.#handlers.onDrain?.();
  }

  #readOn(): void {
    if (!this.#stalled && this.#holds === 0 && this.#closed === undefined) this.#transport.resume();
  }

  #receive(text: string): void {
    // Who closes does not listen any more.
    if (this.#closing) return;
    const message = this.#handlers.parse?.(text) ?? parseMessage(text, this.#bounds);
    if (typeof message === 'string') this.#refuse(message);
    else this.#dispatch(message);
  }

  /** An undecodable message has no id that could be trusted; -1 stands for it, and the connection goes on. */
  #refuse(problem: string): void {
    this.#sendError(-1, invalidRequest(`The message ${problem}.`));
  }

  #dispatch(message: Message): void {
    switch (message.kind) {
      case 'request':
        void this.#serve(message.id, message.method, message.params);
        return;
      case 'notification':
        this.#handlers.onNotification(message.method, message.params);
        return;
      case 'response':
        this.#take(message.id)?.resolve(message.result);
        return;
      case 'error':
        this.#take(message.id)?.reject(readError(message.error));
        return;
    }
  }

  #take(id: RequestId): PendingCall | undefined {
    const call = typeof id === 'number' ? this.#pending.get(id) : undefined;
    if (call !== undefined) this.#pending.delete(id as number);
    // An abandoned call's answer is expected; an id that was never given out is not.
    else if (typeof id !== 'number' || id >= this.#nextId || id < 1) {
      this.close({
        kind: 'protocolError',
        message: 'an answer came whose id belongs to no request of this side',
      });
    }
    return call;
  }

  async #serve(id: RequestId, method: string, params: unknown): Promise<void> {
    const most = this.#bounds.requestsInFlight;
    if (this.#running >= most) {
      const what = `More than ${most} requests of this connection are in flight`;
      return this.#sendError(id, limitReached(what, 'requestsInFlight', most));
    }
    const actions: (() => void)[] = [];
    const context = {
      signal: this.#gone.signal,
      afterReply: (action: () => void) => void actions.push(action),
    };
    this.#running += 1;
    try {
      const result = await this.#handlers.onRequest(method, params, context);
      this.#send(`{"id":${idText(id)},"result":${JSON.stringify(result) ?? 'null'}}`);
    } catch (error) {
      return this.#sendError(id, error);
    } finally {
      this.#running -= 1;
    }
    for (const action of actions) this.#runAfterReply(action);
  }

  /** The request has its answer, so a failure is for the log only. */
  #runAfterReply(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#hide(error);
    }
  }

  #sendError(id: RequestId, error: unknown): void {
    const wire = error instanceof RpcError ? error : this.#hide(error);
    const body: WireError = {
      code: wire.code,
      message: wire.message,
      ...(wire.data === undefined ? {} : { data: wire.data }),
    };
    this.#send(`{"error":${JSON.stringify(body)},"id":${idText(id)}}`);
  }

  #hide(error: unknown): RpcError {
    const errorId = `e${this.#nextErrorId++}`;
    this.#handlers.onInternalError(error, errorId);
    return new RpcError(
      'internalError',
      `The executor failed on this request; its log has the cause under ${errorId}.`,
    );
  }

  #end(reason: CloseReason): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#gone.abort(ConnectionError.closed(reason));
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) call.reject(ConnectionError.closed(reason));
    this.#handlers.onClose(reason);
  }
}

function readError(error: unknown): Error {
  const { code, message, data } = (
    typeof error === 'object' && error !== null ? error : {}
  ) as Partial<WireError>;
  if (typeof code !== 'number' || typeof message !== 'string') {
    return new RpcError(
      errorCodes.internalError,
      'The other side answered with an error that has no code or text.',
    );
  }
  return new RpcError(code, message, { data });
}
