import { limits } from '../protocol/limits.ts';
import type { ResendTimes } from './round-trip.ts';

/** Milliseconds, but for `silentHeartbeats`. */
export interface RelayTiming {
  readonly ackDelayMs: number;
  readonly resend: ResendTimes;
  readonly heartbeatMs: number;
  readonly silentHeartbeats: number;
  /** That a stream which closes waits for its last acknowledgement. */
  readonly closeMs: number;
}

export const relayTiming: RelayTiming = {
  ackDelayMs: limits.relayAckDelayMs,
  resend: {
    firstMs: limits.relayResendFirstMs,
    leastMs: limits.relayResendLeastMs,
    mostMs: limits.relayResendMostMs,
  },
  heartbeatMs: limits.relayHeartbeatMs,
  silentHeartbeats: limits.relaySilentHeartbeats,
  closeMs: limits.closeTimeoutMs,
};
