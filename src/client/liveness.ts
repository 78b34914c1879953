import type { Transport } from '../rpc/transport.ts';

/** Intervals without a sign of life after which a peer counts as lost. */
const silentIntervals = 2;

/**
 * Asks the other side for a sign of life at each interval, and tells when none has come for two of them. Any byte that comes is one: a
 * large message on a slow road is not silence.
 */
export function watchLiveness(
  transport: Transport,
  intervalMs: number,
  ask: () => void,
  onSilence: () => void,
): Disposable {
  let { receivedBytes } = transport;
  let silent = 0;
  const timer = setInterval(() => {
    silent = transport.receivedBytes === receivedBytes ? silent + 1 : 0;
    ({ receivedBytes } = transport);
    if (silent >= silentIntervals) {
      clearInterval(timer);
      return onSilence();
    }
    ask();
  }, intervalMs);
  // The connection itself keeps a process alive, not the question whether it is there.
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
