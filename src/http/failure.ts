import { RpcError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';

/** The executor tried, and it did not work. The text names no path, query, header or body. */
export function httpFailure(what: string, cause?: unknown): RpcError {
  return new RpcError('internalError', `http/request failed: ${what}`, cause === undefined ? {} : { cause });
}

/** Why there is no connection to `place`. */
export function connectFailure(place: string, error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  // Of several addresses, all failed: the first is as good as the others.
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
  const errno = errnoOf(first);
  const code = codeOf(first);
  const why = errno === undefined ? (first instanceof Error ? first.message : code) : osErrorText(errno);
  return httpFailure(`no connection to ${place}: ${why}`, error);
}

export function resolveFailure(host: string, error: unknown): RpcError {
  return httpFailure(`the name ${host} cannot be resolved (${codeOf(error)})`, error);
}

/** Why a request that was being sent, or an answer that was being read, came to nothing. */
export function exchangeFailure(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  const code = codeOf(error);
  const errno = errnoOf(error);
  if (errno !== undefined) return httpFailure(`the connection broke: ${osErrorText(errno)}`, error);
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    return httpFailure(`the header of the answer is larger than ${limits.httpHeaderBytes} bytes`, error);
  }
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
    return httpFailure('the body of the answer has another length than its header says', error);
  }
  if (code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') {
    return httpFailure('the body of the request has another length than its content-length says', error);
  }
  if (code.startsWith('HPE_')) return httpFailure('the answer is no HTTP/1.1', error);
  return httpFailure('the connection was closed before the answer was complete', error);
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? 'unknown error';
}
