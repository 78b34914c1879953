/** What a character class stands for: a set of bytes. One entry a byte, 1 where it is in. */
export type ByteSet = Uint8Array;

export function byteSet(...ranges: readonly (readonly [number, number])[]): ByteSet {
  const set = new Uint8Array(256);
  for (const [first, last] of ranges) set.fill(1, first, last + 1);
  return set;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const digits = byteSet([0x30, 0x39]);
const letters = byteSet([0x41, 0x5a], [0x61, 0x7a]);
const underscore = byteSet([0x5f, 0x5f]);
/** Without line feed and carriage return, which end lines. */
const blanks = byteSet([0x09, 0x09], [0x0b, 0x0c], [0x20, 0x20]);

/** The classes with a letter. Those with a capital one are the rest. */
export const namedSets: ReadonlyMap<string, ByteSet> = new Map([
  ['d', digits],
  ['w', union(digits, letters, underscore)],
  ['s', blanks],
  ['D', rest(digits)],
  ['W', rest(union(digits, letters, underscore))],
  ['S', rest(blanks)],
]);

/** Any byte of a line: what `.` matches. */
export const anyByte: ByteSet = rest(byteSet());

export function union(...sets: readonly ByteSet[]): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) => Number(sets.some((set) => set[byte] === 1)));
}

/** All other bytes of a line. Never its end: a match stays on its line, and CRLF files match like others. */
export function rest(set: ByteSet): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) =>
    Number(set[byte] !== 1 && byte !== lineFeed && byte !== carriageReturn),
  );
}

/** The set with the other case of its ASCII letters. */
export function bothCases(set: ByteSet): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) =>
    Number(set[byte] === 1 || (letters[byte] === 1 && set[byte ^ 0x20] === 1)),
  );
}

export const isEmpty = (set: ByteSet): boolean => !set.includes(1);

/** The set as a class, in the spelling that JavaScript and ripgrep share. */
export function classSource(set: ByteSet): string {
  let source = '';
  for (let first = 0; first < 256; first++) {
    if (set[first] !== 1) continue;
    let last = first;
    while (set[last + 1] === 1) last += 1;
    source += last === first ? byteSource(first) : `${byteSource(first)}-${byteSource(last)}`;
    first = last;
  }
  return `[${source}]`;
}

export function byteSource(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
