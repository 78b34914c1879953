import { limits } from '../../protocol/limits.ts';
import type { WireEvent } from '../../protocol/methods.ts';

export type GrepMatch = NonNullable<WireEvent<'fs/matches'>['matches']>[number];
/** A matching line, without the path of its file. */
export type LineMatch = Omit<GrepMatch, 'path'>;

export interface LineOptions {
  /** With the flag `g`, for texts that were decoded as Latin-1. */
  readonly expression: RegExp;
  /** Lines of context. */
  readonly before: number;
  readonly after: number;
}

interface Line {
  readonly start: number;
  /** Where its line feed is, or the text ends. */
  readonly end: number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

const lineFeed = 0x0a;

/** The lines of a file that match, each with its context, even where that overlaps with the one before. */
export function* matchingLines(bytes: Buffer, options: LineOptions): Generator<LineMatch, void> {
  const { expression } = options;
  const text = bytes.toString('latin1');
  expression.lastIndex = 0;
  let counted = 0;
  let lineNumber = 1;
  for (let found = expression.exec(text); found !== null; found = expression.exec(text)) {
    const line = lineAt(bytes, found.index);
    // Nothing follows the last line feed: no line.
    if (line.start === text.length) return;
    lineNumber += countLines(bytes, counted, line.start);
    counted = line.start;
    const spans = spansOf(text.slice(0, line.end), line.start, found, expression);
    yield { lineNumber, ...describe(bytes, line, spans), ...contextOf(bytes, line, options) };
    if (line.end === text.length) return;
    expression.lastIndex = line.end + 1;
  }
}

function lineAt(bytes: Buffer, index: number): Line {
  const start = index === 0 ? 0 : bytes.lastIndexOf(lineFeed, index - 1) + 1;
  const end = bytes.indexOf(lineFeed, index);
  return { start, end: end < 0 ? bytes.length : end };
}

function countLines(bytes: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = bytes.indexOf(lineFeed, from); at >= 0 && at < to; at = bytes.indexOf(lineFeed, at + 1))
    count += 1;
  return count;
}

/** The matches of the last line of a text as far as they are not empty. Nothing beyond it is looked at: that can take long. */
function spansOf(text: string, lineStart: number, first: RegExpExecArray, expression: RegExp): Span[] {
  const spans: Span[] = [];
  const shownEnd = text.length > lineStart && text.endsWith('\r') ? text.length - 1 : text.length;
  let found: RegExpExecArray | null = first;
  while (found !== null && spans.length < limits.lineSubmatches) {
    // A match can take in the carriage return, which is no part of the line.
    const end = Math.min(found.index + found[0].length, shownEnd);
    if (end > found.index) spans.push({ start: found.index - lineStart, end: end - lineStart });
    if (found[0] === '') expression.lastIndex += 1;
    found = expression.exec(text);
  }
  return spans;
}

function describe(
  bytes: Buffer,
  line: Line,
  spans: Span[],
): Omit<LineMatch, 'lineNumber' | 'before' | 'after'> {
  const [first] = spans;
  const whole = withoutReturn(bytes, line);
  const length = whole.end - whole.start;
  // A match beyond what is shown of a long line moves the window: a little of what stands before it stays in sight.
  const hidden = first !== undefined && first.end > limits.searchLineBytes;
  const offset = hidden ? Math.min(first.start, Math.max(first.start - 256, 0)) : 0;
  const start = hidden ? characterStart(bytes, whole.start + offset, whole.start) : whole.start;
  const shown = { start, end: whole.end };
  return {
    line: cut(bytes, shown),
    ...((hidden || length > limits.searchLineBytes) && { lineTruncated: true as const }),
    ...(start > whole.start && { lineOffset: start - whole.start }),
    submatches: spans,
  };
}

/** The text of a line up to the limit, which does not part a character. */
function cut(bytes: Buffer, line: Line): string {
  if (line.end - line.start <= limits.searchLineBytes) return bytes.toString('utf8', line.start, line.end);
  const end = characterStart(bytes, line.start + limits.searchLineBytes, line.start);
  return bytes.toString('utf8', line.start, end);
}

/** The start of the character that has the byte, where it is UTF-8. */
function characterStart(bytes: Buffer, at: number, least: number): number {
  let start = at;
  while (start > least && at - start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start -= 1;
  return ((bytes[start] ?? 0) & 0xc0) === 0x80 ? at : start;
}

function withoutReturn(bytes: Buffer, { start, end }: Line): Line {
  return { start, end: end > start && bytes[end - 1] === 0x0d ? end - 1 : end };
}

function contextOf(bytes: Buffer, line: Line, options: LineOptions): Pick<LineMatch, 'before' | 'after'> {
  const before: string[] = [];
  for (let { start } = line; before.length < options.before && start > 0;) {
    const earlier = lineAt(bytes, start - 1);
    before.unshift(cut(bytes, withoutReturn(bytes, earlier)));
    ({ start } = earlier);
  }
  const after: string[] = [];
  for (let { end } = line; after.length < options.after && end + 1 < bytes.length;) {
    const later = lineAt(bytes, end + 1);
    after.push(cut(bytes, withoutReturn(bytes, later)));
    ({ end } = later);
  }
  return { ...(options.before > 0 && { before }), ...(options.after > 0 && { after }) };
}
