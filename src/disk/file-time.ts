/**
 * Milliseconds since 1970 as the seconds that Node's calls take. Half a microsecond more, because the fraction is cut off on the way to the
 * kernel and would lose a millisecond as often as not.
 */
export function fileTime(milliseconds: number): number {
  return (milliseconds + 0.0005) / 1000;
}
