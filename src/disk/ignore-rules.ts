/** What a rule says, in the notation of .gitignore files. */
interface Rule {
  readonly keeps: boolean;
  readonly directoriesOnly: boolean;
  /** Matched against the name of an entry wherever it is. */
  readonly anywhere: boolean;
  readonly parts: readonly Part[];
}

/** One name of a pattern; `**` stands for any number of names. */
type Part = '**' | readonly Token[];
type Token = { readonly char: string } | 'any' | 'run' | CharacterClass;

interface CharacterClass {
  readonly negated: boolean;
  readonly ranges: readonly (readonly [from: string, to: string])[];
}

/**
 * Which entries of a tree are left out, by rules as in .gitignore files: the last rule that matches decides, `!` brings back, `/` at the end
 * means directories only, and a slash elsewhere ties a rule to the root. What is below an ignored directory is never looked at. Patterns come
 * from files that anybody may have written: matching takes no more steps than the product of the two lengths.
 */
export class IgnoreRules {
  readonly #rules: readonly Rule[];

  constructor(lines: readonly string[]) {
    this.#rules = lines.flatMap((line) => parseRule(line) ?? []);
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** `path`: relative to the root, without a slash at its ends. */
  ignores(path: string, isDirectory: boolean): boolean {
    if (this.isEmpty) return false;
    const names = path.split('/');
    const rule = this.#rules.findLast((each) => matchesRule(each, names, isDirectory));
    return rule !== undefined && !rule.keeps;
  }
}

/** Lines of a file in a directory of the tree, as lines that mean the same at the root. */
export function rulesBelow(directory: string, text: string): string[] {
  const lines = text.split(/\r?\n/).filter((line) => isRule(line));
  if (directory === '') return lines;
  const prefix = `/${directory.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)}`;
  return lines.map((line) => {
    const [sign, body] = line.startsWith('!') ? ['!', line.slice(1)] : ['', line];
    const tied = trimEnd(body).replace(/\/$/, '').includes('/');
    return `${sign}${prefix}${tied ? '' : '/**'}${body.startsWith('/') ? '' : '/'}${unescaped(body)}`;
  });
}

/** Behind a prefix no character is the first of its line. */
function unescaped(body: string): string {
  return /^\\[#!]/.test(body) ? body.slice(1) : body;
}

function isRule(line: string): boolean {
  return trimEnd(line) !== '' && !line.startsWith('#');
}

/** Blanks at the end do not count, unless a backslash stands before them. */
function trimEnd(line: string): string {
  return line.replace(/(?<!\\)[ \t]+$/, '');
}

function parseRule(line: string): Rule | undefined {
  if (!isRule(line)) return undefined;
  const keeps = line.startsWith('!');
  let body = trimEnd(keeps ? line.slice(1) : line);
  const directoriesOnly = body.endsWith('/');
  if (directoriesOnly) body = body.slice(0, -1);
  const anywhere = !body.includes('/');
  if (body.startsWith('/')) body = body.slice(1);
  if (body === '') return undefined;
  const parts = body.split('/').map((part): Part => (part === '**' ? '**' : tokensOf(part)));
  return { keeps, directoriesOnly, anywhere, parts };
}

function tokensOf(part: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < part.length; at++) {
    const char = part.charAt(at);
    if (char === '*') {
      if (tokens.at(-1) !== 'run') tokens.push('run');
    } else if (char === '?') tokens.push('any');
    else if (char === '\\' && at + 1 < part.length) tokens.push({ char: part.charAt(++at) });
    else if (char === '[') {
      const found = classAt(part, at);
      tokens.push(found?.token ?? { char });
      at = found?.end ?? at;
    } else tokens.push({ char });
  }
  return tokens;
}

/** A class from its `[` to its `]`; undefined where it never ends, and the bracket stands for itself. */
function classAt(part: string, start: number): { token: CharacterClass; end: number } | undefined {
  let at = start + 1;
  const negated = part[at] === '!' || part[at] === '^';
  if (negated) at += 1;
  const ranges: [string, string][] = [];
  for (let first = true; at < part.length; first = false) {
    if (part[at] === ']' && !first) return { token: { negated, ranges }, end: at };
    if (part[at] === '\\' && at + 1 < part.length) at += 1;
    const from = part.charAt(at++);
    const isRange = part[at] === '-' && at + 1 < part.length && part[at + 1] !== ']';
    ranges.push([from, isRange ? part.charAt(at + 1) : from]);
    if (isRange) at += 2;
  }
  return undefined;
}

function matchesRule(rule: Rule, names: readonly string[], isDirectory: boolean): boolean {
  if (rule.directoriesOnly && !isDirectory) return false;
  const { parts } = rule;
  if (rule.anywhere) return matchesPart(parts[0] ?? [], names.at(-1) ?? '');
  // `a/**` is what is in `a`, not `a` itself.
  if (parts.at(-1) === '**' && names.length < parts.length) return false;
  return matchAll(
    parts,
    names,
    (part) => part === '**',
    (part, name) => matchesPart(part, name),
  );
}

function matchesPart(part: Part, name: string): boolean {
  if (part === '**') return true;
  return matchAll(part, Array.from(name), (token) => token === 'run', matchesToken);
}

function matchesToken(token: Token, char: string): boolean {
  if (token === 'any') return true;
  if (token === 'run') return false;
  if ('char' in token) return token.char === char;
  return token.ranges.some(([from, to]) => from <= char && char <= to) !== token.negated;
}

/** Whether a pattern covers a whole text. Only the last run is ever taken back: an earlier one could reach no further. */
function matchAll<P, T>(
  pattern: readonly P[],
  text: readonly T[],
  isRun: (part: P) => boolean,
  matches: (part: P, item: T) => boolean,
): boolean {
  let [at, run, resume] = [0, -1, 0];
  for (let i = 0; i < text.length;) {
    const part = pattern[at];
    if (part !== undefined && isRun(part)) {
      run = at++;
      resume = i;
    } else if (part !== undefined && matches(part, text[i] as T)) {
      at += 1;
      i += 1;
    } else if (run >= 0) {
      at = run + 1;
      i = ++resume;
    } else return false;
  }
  return pattern.slice(at).every((part) => isRun(part));
}
