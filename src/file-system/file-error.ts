import { constants } from 'node:os';
import { type ErrorName, RpcError } from '../protocol/errors.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';

const { EACCES, ENOENT, EPERM } = constants.errno;

/** The error of a failed file operation as clients know it. The path is not named: the client has it. */
export function fileError(error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  return new RpcError(codeOf(errno), osErrorText(errno), { cause: error });
}

function codeOf(errno: number): ErrorName {
  if (errno === ENOENT) return 'notFound';
  return errno === EACCES || errno === EPERM ? 'invalidRequest' : 'internalError';
}

/** A failure of the operating system that this code has found by itself, before it would. */
export function systemError(name: keyof typeof constants.errno): RpcError {
  const errno = constants.errno[name];
  return new RpcError(codeOf(errno), osErrorText(errno));
}
