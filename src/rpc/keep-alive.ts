import type { Socket } from 'node:net';
import { limits } from '../protocol/limits.ts';

/** Bytes that a ping takes at most, with its mask. */
const pingBytes = 6;

/** What the kernels say of a connection. */
export interface TcpProgress {
  /** Bytes that the other side's kernel has acknowledged. */
  readonly acknowledged: number;
  /** Bytes that it has not. */
  readonly queued: number;
}

/** What of a connection shows that the other side lives. */
interface Life {
  readonly received: number;
  readonly written: number;
  /** Bytes that the other side has taken, and those that it still has to. */
  readonly taken: number;
  readonly waiting: number;
}

/**
 * Sends a ping in every interval, which also keeps proxies from cutting what they take for idle, and tells when the other side seems gone:
 * it has answered nothing for `silentPings` intervals, or `silentBusyPings` if there was something for it to read before the pings; or it has
 * taken nothing of what waits for it for `silentPings` intervals. A slow one that takes bytes is there. Answers what stops it.
 */
export function keepAlive(
  socket: Socket,
  ping: () => void,
  intervalMs: number,
  onGone: (milliseconds: number) => void,
  progress: (fd: number) => TcpProgress | undefined = () => undefined,
): () => void {
  const look = (): Life => lookAt(socket, progress);
  let last = look();
  let lastAnswer = last;
  let [silent, stuck] = [0, 0];
  const timer = setInterval(() => {
    const now = look();
    const answered = now.received > last.received;
    const takes = last.waiting > 0 && now.taken > last.taken;
    // What has not been taken since the last look, ping or not, is not on its way any more.
    stuck = !answered && last.waiting > 0 && !takes ? stuck + 1 : 0;
    silent = answered || takes ? 0 : silent + 1;
    if (silent === 0) lastAnswer = now;
    const wasBusy = now.written - lastAnswer.written > silent * pingBytes;
    if (stuck >= limits.silentPings || silent >= (wasBusy ? limits.silentBusyPings : limits.silentPings)) {
      clearInterval(timer);
      return onGone(Math.max(silent, stuck) * intervalMs);
    }
    // Before the ping, which should not count as something that waits.
    last = now;
    ping();
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

function lookAt(socket: Socket, progress: (fd: number) => TcpProgress | undefined): Life {
  // The runtime has no public names for the descriptor and for what the kernel has not taken of a write that is under way.
  const { fd = -1, writeQueueSize = 0 } = handleOf(socket);
  const tcp = progress(fd);
  return {
    received: socket.bytesRead,
    written: socket.bytesWritten,
    taken: tcp?.acknowledged ?? socket.bytesWritten - socket.writableLength,
    waiting: (tcp?.queued ?? 0) + writeQueueSize,
  };
}

function handleOf(socket: Socket): { readonly fd?: number; readonly writeQueueSize?: number } {
  return (socket as { readonly _handle?: { readonly fd?: number } | null })._handle ?? {};
}
