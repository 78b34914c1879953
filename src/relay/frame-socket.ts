import { limits } from '../protocol/limits.ts';
import { OpenWebSocket } from '../rpc/open-web-socket.ts';
import type { CloseReason } from '../rpc/transport.ts';

/** A pipe of relay frames to a rendezvous, or from it to one of its legs: one binary message a frame. Knows no stream. */
export interface FrameSocket {
  /** Bytes sent and not yet taken by the operating system. */
  readonly unsentBytes: number;
  /** Bytes that have come so far: a sign of life where it changes. */
  readonly receivedBytes: number;
  /** Called once; what arrives before is kept. */
  attach(events: FrameSocketEvents): void;
  /** Queues a frame. After the close it is dropped. */
  send(frame: Uint8Array): void;
  pause(): void;
  resume(): void;
  /** A `lost` one is not waited for. */
  close(reason: CloseReason): void;
  ping?(): void;
}

export interface FrameSocketEvents {
  onFrame(frame: Uint8Array): void;
  /** A text message, which is no relay frame. */
  onText(text: Buffer): void;
  /** `unsentBytes` has gone down. */
  onDrain(): void;
  /** Called exactly once. */
  onClose(reason: CloseReason): void;
}

/** Bytes of the longest WebSocket message that carries a frame: a message of a plain peer, or a segment of a reliable one. */
export function longestFrame(messageBytes: number): number {
  return Math.max(messageBytes, limits.relaySegmentBytes) + limits.relayFrameBytes;
}

/** Over an open WebSocket. */
export class WebSocketFrames extends OpenWebSocket implements FrameSocket {
  attach(events: FrameSocketEvents): void {
    this.listen({
      onMessage: (data, isBinary) => {
        if (isBinary) events.onFrame(data);
        else events.onText(data);
      },
      onDrain: () => events.onDrain(),
      onClose: (reason) => events.onClose(reason),
    });
  }

  send(frame: Uint8Array): void {
    this.write(frame, true);
  }
}
