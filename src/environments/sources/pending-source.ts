import { toError } from '../../support/to-error.ts';
import type { EnvironmentSource, OpenContext } from '../environment-source.ts';

/** An environment that has an id before anybody knows how it is reached: one that is being provisioned. */
export interface PendingSource {
  readonly source: EnvironmentSource;
  /** Says how. Once; whoever waits goes on. */
  supply(source: EnvironmentSource): void;
  /** It will not be there: whoever waits, and whoever comes later, gets the reason. */
  fail(reason: Error): void;
}

/** `kind` and `label`: what is told of it until then, and afterwards. */
export function pendingSource(kind: string, label: string): PendingSource {
  const supplied = Promise.withResolvers<EnvironmentSource>();
  // Perhaps nobody ever asks.
  supplied.promise.catch(() => {});
  let isPending = true;
  const settle = (how: () => void): void => {
    if (!isPending) throw new Error(`How the environment (${label}) is reached was said already.`);
    isPending = false;
    how();
  };
  return {
    source: {
      kind,
      label,
      open: async (context) => (await until(supplied.promise, context)).open(context),
    },
    supply: (source) => settle(() => supplied.resolve(source)),
    fail: (reason) => settle(() => supplied.reject(reason)),
  };
}

/** Nobody waits longer than for the environment itself: it may be replaced, or its manager closed. */
async function until<T>(event: Promise<T>, { signal }: OpenContext): Promise<T> {
  signal.throwIfAborted();
  const left = Promise.withResolvers<never>();
  const leave = (): void => left.reject(toError(signal.reason));
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await Promise.race([event, left.promise]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
