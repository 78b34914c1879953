import type { Socket } from 'node:net';
import { limits } from '../protocol/limits.ts';

/** What of a socket shows that the other side lives. */
interface Life {
  readonly received: number;
  /** Bytes that the kernel has not taken, and those that it ever took in whole writes. */
  readonly waiting: number;
  readonly sent: number;
}

/**
 * Sends a ping in every interval, which also keeps proxies from cutting what they take for idle, and tells when nothing has shown for
 * `silentPings` intervals that the other side is there. Answers what stops it.
 */
export function keepAlive(
  socket: Socket,
  ping: () => void,
  intervalMs: number,
  onSilent: (milliseconds: number) => void,
): () => void {
  let last = look(socket);
  let silent = 0;
  const timer = setInterval(() => {
    const now = look(socket);
    // One that reads slowly has not seen the ping yet, but it takes bytes; only where some were waiting does that say that it is there.
    const takes = last.waiting > 0 && (now.sent > last.sent || now.waiting < last.waiting);
    silent = now.received > last.received || takes ? 0 : silent + 1;
    if (silent >= limits.silentPings) {
      clearInterval(timer);
      return onSilent(silent * intervalMs);
    }
    ping();
    last = look(socket);
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

function look(socket: Socket): Life {
  // The runtime has no public name for what the kernel has not taken of a write that is under way.
  const handle = (socket as { readonly _handle?: { readonly writeQueueSize?: number } | null })._handle;
  return {
    received: socket.bytesRead,
    waiting: handle?.writeQueueSize ?? socket.writableLength,
    sent: socket.bytesWritten - socket.writableLength,
  };
}
