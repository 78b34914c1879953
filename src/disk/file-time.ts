/**
 * Milliseconds since 1970 as Node's calls take a time. Whole ones get half a microsecond more, because the fraction is cut off on the way to
 * the kernel and would lose a millisecond as often as not. As text, because Node takes a negative number for now.
 */
export function fileTime(milliseconds: number): string {
  const nudge = Number.isInteger(milliseconds) ? 0.0005 : 0;
  return String((milliseconds + nudge) / 1000);
}
