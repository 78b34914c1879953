import type { CloseReason } from './transport.ts';

/**
 * `unauthorized`: the executor wants another token, so that trying again with the same one is of no use. `lost`: the session did not come
 * back in time. `expired`: the executor no longer has the session, or the process. `displaced`: somebody else has resumed it. At a rendezvous:
 * `notFound`: it knows no such environment; `offline`: the executor is not there; `busy`: another client has it.
 */
type Reason =
  | 'closed'
  | 'timeout'
  | 'refused'
  | 'unauthorized'
  | 'protocol'
  | 'unsupported'
  | 'lost'
  | 'expired'
  | 'displaced'
  | 'notFound'
  | 'offline'
  | 'busy';

/** A failure between the two sides, or before they met. Never sent over the wire. */
export class ConnectionError extends Error {
  override readonly name: string = 'ConnectionError';
  readonly reason: Reason;
  #environmentId: string | undefined;

  constructor(reason: Reason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }

  /** The environment whose connection it was, where that has an id. */
  get environmentId(): string | undefined {
    return this.#environmentId;
  }

  /** Says in the text, too, which environment it was. The first one stays: it is where the failure was. */
  nameEnvironment(id: string | undefined): this {
    if (id === undefined || this.#environmentId !== undefined) return this;
    this.#environmentId = id;
    this.message = `Environment "${id}": ${this.message}`;
    return this;
  }

  static closed(close: CloseReason): ConnectionError {
    return new ConnectionError('closed', `The connection has ended (${close.kind}): ${close.message}`);
  }
}
