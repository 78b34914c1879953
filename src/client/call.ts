import type { Method, Result, WireParams } from '../protocol/methods.ts';

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds, beyond what the call waits for on purpose. */
  readonly timeoutMs?: number;
}

/** Calls a method of the executor: what the client lends to its processes, files and streams. */
export type Call = <M extends Method>(
  method: M,
  params: WireParams<M>,
  options?: CallOptions,
) => Promise<Result<M>>;
