/**
 * Runs work that may take `milliseconds`. Its signal aborts when they are over or `outer` aborts; what it throws then is the
 * reason of the abort.
 */
export async function withDeadline<T>(
  milliseconds: number,
  onTimeout: () => Error,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const timer = setTimeout(() => own.abort(onTimeout()), milliseconds);
  try {
    return await work(outer === undefined ? own.signal : AbortSignal.any([own.signal, outer]));
  } finally {
    clearTimeout(timer);
  }
}
