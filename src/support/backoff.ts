export interface Backoff {
  /** Milliseconds of the first wait, which doubles from then on. */
  readonly firstMs: number;
  readonly mostMs: number;
}

/**
 * Milliseconds to wait before each attempt: none before the first one. At least half of each wait is kept and the rest is chance, so that
 * those who were cut off together do not come back together.
 */
export function* backoff(
  { firstMs, mostMs }: Backoff,
  random: () => number = Math.random,
): Generator<number> {
  yield 0;
  for (let most = firstMs; ; most = Math.min(mostMs, most * 2)) yield most * (0.5 + random() / 2);
}

/** Resolves after the time; rejects with the reason of the signal when that aborts before. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const abandon = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abandon);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', abandon, { once: true });
  });
}
