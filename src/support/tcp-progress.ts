import { native } from './native.ts';

/** What the other side of a TCP connection has taken and what it has not; undefined where the system does not tell. */
export function tcpProgress(
  fd: number,
): { readonly acknowledged: number; readonly queued: number } | undefined {
  const progress = native().tcpProgress(fd);
  return typeof progress === 'number' ? undefined : { acknowledged: progress[0], queued: progress[1] };
}
