import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares secrets. How long it takes tells neither how much of them is alike nor how long the right one is. */
export function sameText(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
