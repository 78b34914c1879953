import { ConnectionError } from '../rpc/connection-error.ts';

/**
 * `unknown`: no environment has the id. `disabled`: there is to be no default. `unavailable`: it cannot be reached or started now; the next
 * operation tries again. `draining`: it takes no new work. `replaced`, `removed`, `closed`: it is no longer what it was, for good.
 */
export type EnvironmentErrorCode =
  'unknown' | 'disabled' | 'unavailable' | 'draining' | 'replaced' | 'removed' | 'closed';

/** An environment cannot be worked with. Nothing was done, here or elsewhere. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code: EnvironmentErrorCode;
  /** undefined: there is no default to name. */
  readonly environmentId: string | undefined;

  constructor(
    code: EnvironmentErrorCode,
    environmentId: string | undefined,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.environmentId = environmentId;
  }
}

/** The environment that a failure is about: of an EnvironmentError, or of a lost connection to one. */
export function failedEnvironment(error: unknown): string | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (one instanceof EnvironmentError || one instanceof ConnectionError) {
      if (one.environmentId !== undefined) return one.environmentId;
    }
  }
  return undefined;
}

/** What a provider says, or a caller, is wrong. `where` is what to look at: an entry, a variable, a line of a file. */
export class EnvironmentConfigError extends Error {
  override readonly name = 'EnvironmentConfigError';
  readonly where: string;

  constructor(where: string, problem: string, options?: ErrorOptions) {
    super(`${where}: ${problem}`, options);
    this.where = where;
  }
}
