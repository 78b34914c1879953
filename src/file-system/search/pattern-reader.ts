import { type ByteSet, byteSet, namedSets, union } from './byte-set.ts';

/** A pattern outside the dialect. The message names the construct and, where there is one, what to write instead. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

/** A class as it is written: a set of ASCII characters and classes, and code points beyond ASCII. */
export interface WrittenClass {
  readonly negated: boolean;
  readonly set: ByteSet;
  readonly others: readonly number[];
}

const controls: Readonly<Record<string, number>> = { t: 0x09, r: 0x0d, f: 0x0c, v: 0x0b };

/** Reads a pattern from left to right: its characters, escapes and classes. */
export class PatternReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  peek(): string {
    return this.#text.charAt(this.#at);
  }

  /** The next character, which can be two code units. */
  next(atEnd = 'an unfinished pattern'): string {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) throw new PatternError(atEnd);
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char;
  }

  take(char: string): boolean {
    if (this.peek() !== char) return false;
    this.#at += 1;
    return true;
  }

  /** Takes what a sticky expression finds here. */
  match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  /** The code point of an escape that stands for one character, behind its backslash. */
  escaped(char: string): number {
    const control = Object.hasOwn(controls, char) ? controls[char] : undefined;
    if (control !== undefined) return control;
    if (char === 'n') return notLineFeed(0x0a);
    if (char === 'x' || char === 'u') return this.#numbered(char);
    if (/[1-9]/.test(char) || char === 'k') throw new PatternError(`a backreference: \\${char}`);
    if (/[<>]/.test(char)) throw new PatternError(`\\${char}; write \\b for the edge of a word`);
    if (/[A-Za-z0-9]/.test(char)) throw new PatternError(`the escape \\${char}`);
    return codeOf(char);
  }

  /** A class, behind its opening bracket. */
  class(): WrittenClass {
    const negated = this.take('^');
    if (this.peek() === ']')
      throw new PatternError('a class that begins with "]"; write \\] for the character');
    let set = byteSet();
    const others: number[] = [];
    while (!this.take(']')) {
      const first = this.#classItem();
      if (typeof first !== 'number') set = union(set, first);
      else if (this.match(/-(?!\])/y) !== undefined) set = union(set, range(first, this.#classItem()));
      else if (first < 0x80) set = union(set, byteSet([first, first]));
      else others.push(first);
    }
    return { negated, set, others };
  }

  #classItem(): number | ByteSet {
    const char = this.next('an unclosed class: "["; write \\[ for the character');
    if (char === '[' && /[:.=]/.test(this.peek()))
      throw new PatternError(`the class [${this.peek()}…] in a class`);
    if (char === '&' && this.peek() === '&') throw new PatternError('&& in a class');
    if (char !== '\\') return notLineFeed(codeOf(char));
    const escaped = this.next('a backslash at the end');
    return namedSets.get(escaped) ?? notLineFeed(this.escaped(escaped));
  }

  #numbered(char: 'x' | 'u'): number {
    const plain = char === 'x' ? /[0-9a-f]{2}/iy : /[0-9a-f]{4}/iy;
    const digits = this.match(/\{[0-9a-f]{1,6}\}/iy) ?? this.match(plain);
    const code = Number.parseInt((digits ?? '').replace('{', ''), 16);
    if (code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)) return code;
    throw new PatternError(`\\${char} without the number of a character, such as \\x2f or \\u00e9`);
  }
}

export const codeOf = (char: string): number => char.codePointAt(0) ?? 0;

export function notLineFeed(code: number): number {
  if (code !== 0x0a) return code;
  throw new PatternError('a line feed: lines are searched one by one');
}

function range(first: number, last: number | ByteSet): ByteSet {
  if (typeof last !== 'number') throw new PatternError('a range of a class that ends with a class');
  if (first > 0x7f || last > 0x7f) throw new PatternError('a range of a class with a character beyond ASCII');
  if (first > last) throw new PatternError('a range of a class that ends before it begins');
  const set = byteSet([first, last]);
  // A range such as [\t-~] spans the line feed, which no line has.
  set[0x0a] = 0;
  return set;
}
