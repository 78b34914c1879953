/** The error codes of the wire. The numbers are those that clients in the field branch on; a number is never used again. */
export const errorCodes = {
  /** The message or its place in the conversation is wrong. */
  invalidRequest: -32600,
  /** No such method. */
  methodNotFound: -32601,
  /** A parameter is missing or wrong. */
  invalidParams: -32602,
  /** The executor tried and the operating system refused, or the executor itself failed. */
  internalError: -32603,
  /** A named thing does not exist. */
  notFound: -32004,
  /** The session is attached to another connection; try again shortly. */
  sessionAttached: -32010,
  /** A limit of the executor is reached; try again when earlier requests are done. */
  overloaded: -32011,
} as const;

export type ErrorName = keyof typeof errorCodes;

/** An error that is meant for the other side. Its text and data may be shown to a user and hold no secret. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: number;
  readonly data: unknown;

  constructor(error: ErrorName | number, message: string, options?: { data?: unknown; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = typeof error === 'number' ? error : errorCodes[error];
    this.data = options?.data;
  }
}

export const invalidRequest = (message: string, data?: unknown): RpcError =>
  new RpcError('invalidRequest', message, { data });
export const invalidParams = (message: string): RpcError => new RpcError('invalidParams', message);

/** The executor ends: another one has to be used. */
export const draining = (): RpcError =>
  new RpcError(
    'overloaded',
    'The executor is shutting down and takes no new sessions and processes; use another one.',
    {
      data: { kind: 'draining' },
    },
  );

/** The `error` member of an answer. */
export interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}
