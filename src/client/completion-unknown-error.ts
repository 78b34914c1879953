import type { Method } from '../protocol/methods.ts';
import { ConnectionError } from '../rpc/connection-error.ts';

/**
 * A call that changes something was sent, and its answer did not come: it was carried out, or not, or is still being carried out. It was
 * not repeated. Look at its effect before calling it again.
 */
export class CompletionUnknownError extends ConnectionError {
  override readonly name: string = 'CompletionUnknownError';
  readonly method: Method;

  constructor(method: Method, cause: ConnectionError) {
    super(cause.reason, `Whether ${method} was carried out is unknown: ${cause.message}`, { cause });
    this.method = method;
  }
}
