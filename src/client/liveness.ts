import type { Transport } from '../rpc/transport.ts';

/** Intervals without a sign of life after which a peer counts as lost. */
const silentIntervals = 2;

/**
 * Asks the other side for a sign of life at each interval, and tells when none has come for two of them. Any byte that moves in either
 * direction is one: a large message on a slow road is not silence.
 */
export function watchLiveness(
  transport: Transport,
  intervalMs: number,
  ask: () => void,
  onSilence: () => void,
): Disposable {
  const moved = (): string => `${transport.receivedBytes} ${transport.unsentBytes}`;
  let before = moved();
  let silent = 0;
  const timer = setInterval(() => {
    const now = moved();
    // What was asked for only waits to be sent: that alone is no sign.
    silent = now === before ? silent + 1 : 0;
    if (silent >= silentIntervals) {
      clearInterval(timer);
      return onSilence();
    }
    ask();
    before = moved();
  }, intervalMs);
  // The connection itself keeps a process alive, not the question whether it is there.
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
