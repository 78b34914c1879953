/** One part of a pattern, between slashes. `anyDepth`: `**`, no directory or more of them. */
export type PatternPart =
  { readonly kind: 'anyDepth' } | { readonly kind: 'name'; readonly tokens: readonly Token[] };

type Token =
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'some' }
  | {
      readonly kind: 'class';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    };

export interface GlobPattern {
  /** The parts before the first wildcard. */
  readonly fixed: readonly string[];
  readonly parts: readonly PatternPart[];
}

/** What is wrong with a pattern, and what to do about it. */
export interface PatternProblem {
  readonly problem: string;
  readonly fix: string;
}

/** Reads `*`, `?`, `[a-z]`, `[!a-z]` and `**`; an open bracket without its end is a character like any other. */
export function readPattern(text: string): GlobPattern | PatternProblem {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return { problem: 'has ".." in its pattern', fix: 'write the path without it' };
  if (text.includes('\0')) return { problem: 'has a NUL character in its pattern', fix: 'leave it out' };
  if (text.includes('{'))
    return { problem: 'has braces in its pattern', fix: 'write an entry for each alternative' };
  if (text.includes('\\'))
    return { problem: 'has a backslash in its pattern', fix: 'write [*] for a star that is none' };
  const wild = parts.findIndex(isWild);
  if (wild < 0) return { problem: 'has a pattern without a wildcard', fix: 'use an entry of type path' };
  return { fixed: parts.slice(0, wild), parts: parts.slice(wild).map(partOf) };
}

function partOf(text: string): PatternPart {
  return text === '**' ? { kind: 'anyDepth' } : { kind: 'name', tokens: tokensOf(text) };
}

function isWild(part: string): boolean {
  return tokensOf(part).some(({ kind }) => kind !== 'character');
}

function tokensOf(part: string): Token[] {
  const characters = Array.from(part);
  const tokens: Token[] = [];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? '';
    const end = character === '[' ? classEnd(characters, i) : -1;
    if (end > 0) {
      tokens.push(classOf(characters.slice(i + 1, end)));
      i = end;
    } else if (character === '*') {
      if (tokens.at(-1)?.kind !== 'some') tokens.push({ kind: 'some' });
    } else tokens.push(character === '?' ? { kind: 'one' } : { kind: 'character', character });
  }
  return tokens;
}

/** A bracket that comes first in a class is one of its characters. */
function classEnd(characters: readonly string[], start: number): number {
  const first = start + (/[!^]/.test(characters[start + 1] ?? '') ? 2 : 1);
  return characters.indexOf(']', first + 1);
}

function classOf(characters: readonly string[]): Token {
  const negated = /[!^]/.test(characters[0] ?? '');
  const listed = negated ? characters.slice(1) : characters;
  const ranges: [string, string][] = [];
  for (let i = 0; i < listed.length; i++) {
    const from = listed[i] ?? '';
    const to = listed[i + 1] === '-' ? listed[i + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) i += 2;
  }
  return { kind: 'class', negated, ranges };
}

/** Whether a whole name matches. The time grows with the product of both lengths at most. */
export function matchesName(tokens: readonly Token[], name: readonly string[]): boolean {
  let token = 0;
  let at = 0;
  let star = -1;
  let resume = 0;
  while (at < name.length) {
    const expected = tokens[token];
    if (expected?.kind === 'some') {
      star = token;
      token += 1;
      resume = at;
    } else if (expected !== undefined && matchesOne(expected, name[at] ?? '')) {
      token += 1;
      at += 1;
    } else if (star >= 0) {
      token = star + 1;
      resume += 1;
      at = resume;
    } else return false;
  }
  return tokens.slice(token).every(({ kind }) => kind === 'some');
}

function matchesOne(token: Token, character: string): boolean {
  switch (token.kind) {
    case 'one':
    case 'some':
      return true;
    case 'character':
      return token.character === character;
    case 'class': {
      const point = character.codePointAt(0) ?? 0;
      const inside = token.ranges.some(
        ([from, to]) => (from.codePointAt(0) ?? 0) <= point && point <= (to.codePointAt(0) ?? 0),
      );
      return inside !== token.negated;
    }
  }
}

/** How far a pattern has come on the way to some entry: the parts that may be next. */
export type Progress = ReadonlySet<number>;

export function startOf(parts: readonly PatternPart[]): Progress {
  return withSkipped(parts, [0]);
}

export function advance(
  parts: readonly PatternPart[],
  progress: Progress,
  name: readonly string[],
): Progress {
  const next: number[] = [];
  for (const index of progress) {
    const part = parts[index];
    if (part?.kind === 'anyDepth') next.push(index);
    else if (part !== undefined && matchesName(part.tokens, name)) next.push(index + 1);
  }
  return withSkipped(parts, next);
}

/** `**` may stand for nothing. */
function withSkipped(parts: readonly PatternPart[], indexes: readonly number[]): Progress {
  const all = new Set<number>();
  for (let index of indexes) {
    while (!all.has(index)) {
      all.add(index);
      if (parts[index]?.kind === 'anyDepth') index += 1;
    }
  }
  return all;
}

export function isComplete(parts: readonly PatternPart[], progress: Progress): boolean {
  return progress.has(parts.length);
}

/** Whether something below can match. */
export function goesOn(parts: readonly PatternPart[], progress: Progress): boolean {
  return [...progress].some((index) => index < parts.length);
}
