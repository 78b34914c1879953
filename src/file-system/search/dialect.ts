import { limits } from '../../protocol/limits.ts';
import {
  type ByteSet,
  anyByte,
  bothCases,
  byteSet,
  byteSource,
  classSource,
  isEmpty,
  namedSets,
  rest,
} from './byte-set.ts';
import { PatternError, PatternReader, codeOf, notLineFeed } from './pattern-reader.ts';

export interface PatternOptions {
  readonly literal: boolean;
  readonly caseSensitive: boolean;
}

/** One pattern for both engines. Each matches bytes: JavaScript's those of texts that were decoded as Latin-1. */
export interface Pattern {
  /** For `RegExp` with the flag `g` alone, over a whole text: a match never leaves its line. */
  readonly script: string;
  /** For ripgrep; undefined where its answer cannot be relied on. */
  readonly ripgrep: string | undefined;
}

/**
 * Reads a pattern of the dialect that both engines share, and writes it out with nothing left to interpretation: classes as sets of bytes,
 * other characters as their UTF-8 bytes, cases spelled out. Throws a PatternError.
 */
export function translatePattern(text: string, options: PatternOptions): Pattern {
  const parser = new Parser(text, options.caseSensitive);
  const { source, doubtful } = options.literal ? parser.literal(text) : parser.pattern();
  // In the source `^` and `$` stand for themselves only. A carriage return that ends a line is no part of it.
  return {
    script: source.replaceAll('^', () => '(?<![^\\n])').replaceAll('$', () => '(?:\\r?(?![^\\n]))'),
    ripgrep: doubtful ? undefined : `(?-u)${source.replaceAll('$', () => '(?:\\r?$)')}`,
  };
}

/** A part of the pattern: how it is written, whether it can match nothing, and its size with all repetitions written out. */
interface Part {
  readonly source: string;
  readonly nullable: boolean;
  readonly nodes: number;
  /** A `^` can be what it begins with. */
  readonly caretFirst: boolean;
  /** An assertion can be what it ends with. */
  readonly assertionLast: boolean;
  /** A `^` can come right behind another assertion: ripgrep 13 misses lines by such patterns. */
  readonly doubtful: boolean;
}

const plain = { nullable: false, caretFirst: false, assertionLast: false, doubtful: false } as const;

const assertion = (source: string): Part => ({
  source,
  nullable: true,
  nodes: 1,
  caretFirst: source === '^',
  assertionLast: true,
  doubtful: false,
});

class Parser {
  readonly #reader: PatternReader;
  readonly #caseSensitive: boolean;
  #depth = 0;

  constructor(text: string, caseSensitive: boolean) {
    this.#reader = new PatternReader(text);
    this.#caseSensitive = caseSensitive;
  }

  literal(text: string): Part {
    return sequence(Array.from(text, (char) => this.#char(codeOf(char))));
  }

  pattern(): Part {
    const part = this.#alternatives();
    if (this.#reader.done) return part;
    throw new PatternError('an unopened group: ")"; write \\) for the character');
  }

  #alternatives(): Part {
    const parts = [this.#sequence()];
    while (this.#reader.take('|')) parts.push(this.#sequence());
    return {
      source: parts.map((part) => part.source).join('|'),
      nullable: parts.some((part) => part.nullable),
      nodes: count(parts),
      caretFirst: parts.some((part) => part.caretFirst),
      assertionLast: parts.some((part) => part.assertionLast),
      doubtful: parts.some((part) => part.doubtful),
    };
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (!this.#reader.done && !/[|)]/.test(this.#reader.peek())) parts.push(this.#repeated());
    return sequence(parts);
  }

  #repeated(): Part {
    const part = this.#single();
    const quantifier = this.#reader.match(anyQuantifier);
    if (quantifier === undefined) return part;
    const [least, most] = bounds(quantifier);
    const lazy = this.#reader.match(/\?/y) ?? '';
    const next = this.#reader.match(anyQuantifier);
    if (next !== undefined)
      throw new PatternError(`a quantifier after a quantifier: ${quantifier}${lazy}${next}`);
    // The engines differ in when they leave such a loop.
    if (part.nullable)
      throw new PatternError(`the quantifier ${quantifier} on something that can match nothing`);
    const nodes = count([part], Math.max(1, most));
    const doubtful = part.doubtful || (part.assertionLast && part.caretFirst);
    return { ...part, source: part.source + quantifier + lazy, nullable: least === 0, nodes, doubtful };
  }

  #single(): Part {
    const char = this.#reader.next();
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '\\':
        return this.#escape();
      case '.':
        return this.#set(anyByte);
      case '^':
      case '$':
        return assertion(char);
      case '*':
      case '+':
      case '?':
        throw new PatternError(`the quantifier ${char} without anything to repeat`);
      case '{':
        if (this.#reader.match(/\d+,?\d*\}|,\d+\}/y) === undefined) return this.#char(codeOf(char));
        throw new PatternError('the quantifier {…} without anything to repeat; write \\{ for the character');
      default:
        return this.#char(codeOf(char));
    }
  }

  #group(): Part {
    if (++this.#depth > limits.patternDepth)
      throw new PatternError(`groups nested deeper than ${limits.patternDepth}`);
    const named = this.#reader.match(/\?P?<[A-Za-z_]\w*>/y);
    if (named === undefined && this.#reader.take('?') && !this.#reader.take(':'))
      throw refusedGroup(this.#reader.match(/<?[=!]|P[=>]|[#>&|(<]/y));
    const part = this.#alternatives();
    if (!this.#reader.take(')'))
      throw new PatternError('an unclosed group: "("; write \\( for the character');
    this.#depth -= 1;
    return { ...part, source: `(?:${part.source})` };
  }

  #escape(): Part {
    const char = this.#reader.next('a backslash at the end');
    const named = namedSets.get(char);
    if (named !== undefined) return this.#set(named);
    return char === 'b' || char === 'B' ? assertion(`\\${char}`) : this.#char(this.#reader.escaped(char));
  }

  #class(): Part {
    const { negated, set, others } = this.#reader.class();
    if (negated && others.length > 0) throw new PatternError('a negated class with a character beyond ASCII');
    const chosen = negated ? rest(this.#cased(set)) : set;
    if (others.length === 0) return this.#set(chosen);
    const parts = others.map((code) => this.#char(code));
    if (!isEmpty(chosen)) parts.unshift(this.#set(chosen));
    const source = `(?:${parts.map((part) => part.source).join('|')})`;
    return { source, ...plain, nodes: count(parts) };
  }

  #set(set: ByteSet): Part {
    if (isEmpty(set)) throw new PatternError('a class that matches nothing');
    return { source: classSource(this.#cased(set)), ...plain, nodes: 1 };
  }

  /** A character: one byte, or the bytes of its UTF-8 as a group. Only ASCII has cases. */
  #char(code: number): Part {
    if (notLineFeed(code) > 0x7f) {
      const bytes = [...Buffer.from(String.fromCodePoint(code))];
      return { source: `(?:${bytes.map(byteSource).join('')})`, ...plain, nodes: bytes.length };
    }
    const set = byteSet([code, code]);
    const cased = this.#cased(set);
    const one = cased.every((inside, byte) => inside === set[byte]);
    return { source: one ? byteSource(code) : classSource(cased), ...plain, nodes: 1 };
  }

  #cased(set: ByteSet): ByteSet {
    return this.#caseSensitive ? set : bothCases(set);
  }
}

/** Parts one behind the other. */
function sequence(parts: readonly Part[]): Part {
  let nullable = true;
  let caretFirst = false;
  let assertionLast = false;
  let doubtful = false;
  for (const part of parts) {
    doubtful ||= part.doubtful || (assertionLast && part.caretFirst);
    caretFirst ||= nullable && part.caretFirst;
    assertionLast = part.assertionLast || (part.nullable && assertionLast);
    nullable &&= part.nullable;
  }
  const source = parts.map((part) => part.source).join('');
  return { source, nullable, nodes: count(parts), caretFirst, assertionLast, doubtful };
}

function count(parts: readonly Part[], times = 1): number {
  const nodes = times * parts.reduce((sum, part) => sum + part.nodes, 0);
  if (nodes <= limits.patternNodes) return nodes;
  throw new PatternError(`a pattern of more than ${limits.patternNodes} parts, repetitions written out`);
}

/** Braces that are written otherwise stand for themselves. */
const anyQuantifier = /[*+?]|\{\d+,?\d*\}|\{,\d+\}/y;

/** The least times of a quantifier, and how many copies it comes to when it is written out. */
function bounds(quantifier: string): readonly [number, number] {
  if (!quantifier.startsWith('{')) return [quantifier === '+' ? 1 : 0, 1];
  const [, least = '', most = ''] = /^\{(\d*),?(\d*)\}$/.exec(quantifier) ?? [];
  if (least === '') throw new PatternError(`the quantifier ${quantifier} without its least number`);
  const last = Number(most === '' ? least : most);
  if (Number(least) > last)
    throw new PatternError(`the quantifier ${quantifier}, which ends before it begins`);
  return [Number(least), last];
}

function refusedGroup(kind: string | undefined): PatternError {
  if (kind === undefined)
    return new PatternError('an inline flag: (?…); caseSensitive: false matches both cases');
  if (/^<?[=!]$/.test(kind)) return new PatternError(`look-around: (?${kind}`);
  return new PatternError(`the group (?${kind}`);
}
