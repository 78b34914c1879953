import { type RelayBody, encodeFrame } from '../relay/frame.ts';
import { resetText } from '../relay/close-text.ts';
import type { CloseReason } from '../rpc/transport.ts';

/** The few relay frames that the service itself sends: as a peer that knows no acknowledgements. */

export function resumeFrame(streamId: string): Buffer {
  return frame(streamId, { kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: 0 });
}

export function resetFrame(streamId: string, reason: CloseReason): Buffer {
  return frame(streamId, { kind: 'reset', reason: resetText(reason) });
}

/** A whole message in one segment. */
export function dataFrame(streamId: string, seq: number, payload: Buffer): Buffer {
  return frame(streamId, { kind: 'data', seq, segmentIndex: 0, segmentCount: 1, payload });
}

function frame(streamId: string, body: RelayBody): Buffer {
  const bytes = encodeFrame({ streamId, reliable: false, ack: 0, ackBits: 0, body });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
