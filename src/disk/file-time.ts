/**
 * Milliseconds since 1970 as Node's calls take a time. Half a microsecond more, because the fraction is cut off on the way to the kernel and
 * would lose a millisecond as often as not. Before 1970 as a Date: Node takes a negative number for now.
 */
export function fileTime(milliseconds: number): number | Date {
  return milliseconds < 0 ? new Date(milliseconds) : (milliseconds + 0.0005) / 1000;
}
