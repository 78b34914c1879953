import { getSystemErrorMap } from 'node:util';

/** What the operating system said, in the form that clients match on: the words may differ, the number in parentheses does not. */
export function osErrorText(errno: number): string {
  const words = getSystemErrorMap().get(-errno)?.[1] ?? 'unknown error';
  return `${words.charAt(0).toUpperCase()}${words.slice(1)} (os error ${errno})`;
}

/** The error number of a failed system call; undefined for any other error. */
export function errnoOf(error: unknown): number | undefined {
  const errno = error instanceof Error ? (error as NodeJS.ErrnoException).errno : undefined;
  return typeof errno === 'number' && errno < 0 ? -errno : undefined;
}
