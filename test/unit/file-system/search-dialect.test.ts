import { describe, expect, it } from 'vitest';
import { translatePattern } from '../../../src/file-system/search/dialect.ts';
import { PatternError } from '../../../src/file-system/search/pattern-reader.ts';
import { limits } from '../../../src/protocol/limits.ts';

/** What a pattern finds in a text, as bytes. */
function finds(pattern: string, text: string, options: { literal?: boolean; caseSensitive?: boolean } = {}) {
  const { literal = false, caseSensitive = true } = options;
  const { script } = translatePattern(pattern, { literal, caseSensitive });
  const bytes = Buffer.from(text).toString('latin1');
  return [...bytes.matchAll(new RegExp(script, 'g'))]
    .map(([found]) => Buffer.from(found, 'latin1').toString())
    .filter((found) => found !== '');
}

describe('the dialect', () => {
  it.each<[string, string, string[]]>([
    ['fo+', 'foo fo f', ['foo', 'fo']],
    ['fo+?', 'foo', ['fo']],
    ['a{2}', 'aaaaa', ['aa', 'aa']],
    ['a{2,}', 'aaaaa', ['aaaaa']],
    ['a{1,2}?b', 'aab', ['aab']],
    ['(?:ab|a)(c|bcd)', 'abcd', ['abc']],
    ['(?<name>x)|(?P<other>y)', 'xy', ['x', 'y']],
    ['^foo', 'foo\nbar foo\nfoo', ['foo', 'foo']],
    ['foo$', 'foo\nfoo bar\nfoo', ['foo', 'foo']],
    ['foo$', 'foo\r\nbar', ['foo\r']],
    ['o.', 'fo\r\nox', ['ox']],
    ['[^x]', 'x\r\nxy', ['y']],
    ['\\s\\S', 'a b\r\nc', [' b']],
    ['\\D\\d', '\r\n1a2', ['a2']],
    ['\\w+', 'foo_1-é', ['foo_1']],
    ['\\bfoo\\b', 'foo food foo', ['foo', 'foo']],
    ['\\Boo', 'foo oo', ['oo']],
    ['é+', 'ééé', ['ééé']],
    ['[aé]+', 'aéa', ['aéa']],
    ['\\u00e9|\\x{1F600}|\\xE8', 'é😀è', ['é', '😀', 'è']],
    ['[\\w-]+', 'a-b', ['a-b']],
    ['[a-]', 'a-', ['a', '-']],
    ['[\\]\\\\^]', ']\\^', [']', '\\', '^']],
    ['a{', 'a{', ['a{']],
    ['{}', '{}', ['{}']],
    ['x{a}', 'x{a}', ['x{a}']],
    ['a\\.b\\/\\"', 'a.b/"', ['a.b/"']],
    ['\\t\\x00', '\t\0', ['\t\0']],
    ['a||b', 'ab', ['a']],
    ['\\r', 'a\r\n', ['\r']],
  ])('finds %j in %j', (pattern, text, found) => {
    expect(finds(pattern, text)).toEqual(found);
  });

  it('takes a literal pattern as it is', () => {
    expect(finds('a.(b)*^$[é]', 'x a.(b)*^$[é] axbb', { literal: true })).toEqual(['a.(b)*^$[é]']);
  });

  it('matches both cases of ASCII letters and nothing else', () => {
    const insensitive = { caseSensitive: false };
    expect(finds('aB', 'ab AB aB', insensitive)).toEqual(['ab', 'AB', 'aB']);
    expect(finds('[a-c]+', 'ABCabcD', insensitive)).toEqual(['ABCabc']);
    expect(finds('[^a]', 'Aab', insensitive)).toEqual(['b']);
    expect(finds('é', 'éÉ', insensitive)).toEqual(['é']);
    expect(finds('k', 'kK\u212a', insensitive)).toEqual(['k', 'K']);
    expect(finds('a.c', 'A.C abc', { literal: true, caseSensitive: false })).toEqual(['A.C']);
  });

  it.each([
    ['(?=a)', 'look-around: (?='],
    ['(?!a)', 'look-around: (?!'],
    ['(?<=a)', 'look-around: (?<='],
    ['(?<!a)', 'look-around: (?<!'],
    ['(a)\\1', 'a backreference: \\1'],
    ['(?<x>a)\\k<x>', 'a backreference: \\k'],
    ['(?P=x)', 'the group (?P='],
    ['(?>a)', 'the group (?>'],
    ['(?#a)', 'the group (?#'],
    ['(?i)a', 'an inline flag'],
    ['(?i:a)', 'an inline flag'],
    ['\\p{L}', 'the escape \\p'],
    ['\\Afoo', 'the escape \\A'],
    ['\\<foo', '\\<; write \\b'],
    ['a\\nb', 'a line feed'],
    ['a\nb', 'a line feed'],
    ['[\n]', 'a line feed'],
    ['\\x0a', 'a line feed'],
    ['\\x1', '\\x without the number'],
    ['\\u{110000}', '\\u without the number'],
    ['\\ud800', '\\u without the number'],
    ['(a', 'an unclosed group'],
    ['a)', 'an unopened group'],
    ['[a', 'an unclosed class'],
    ['a\\', 'a backslash at the end'],
    ['*a', 'the quantifier * without'],
    ['a|+', 'the quantifier + without'],
    ['{2}', 'the quantifier {…} without'],
    ['a**', 'a quantifier after a quantifier: **'],
    ['a++', 'a quantifier after a quantifier: ++'],
    ['a{2}{3}', 'a quantifier after a quantifier: {2}{3}'],
    ['a{3,2}', 'which ends before it begins'],
    ['a{,2}', 'without its least number'],
    ['(a*)*', 'on something that can match nothing'],
    ['(a|)+', 'on something that can match nothing'],
    ['^*', 'on something that can match nothing'],
    ['\\b+', 'on something that can match nothing'],
    ['[]a]', 'a class that begins with "]"'],
    ['[^]]', 'a class that begins with "]"'],
    ['[[:alpha:]]', 'the class [:…]'],
    ['[a&&b]', '&& in a class'],
    ['[z-a]', 'a range of a class that ends before it begins'],
    ['[a-\\d]', 'a range of a class that ends with a class'],
    ['[à-ü]', 'a range of a class with a character beyond ASCII'],
    ['[^é]', 'a negated class with a character beyond ASCII'],
    ['[^\\s\\S]', 'a class that matches nothing'],
    ['[\\b]', 'the escape \\b'],
    ['(a{100}){101}', `a pattern of more than ${limits.patternNodes} parts`],
    [`${'('.repeat(60)}a${')'.repeat(60)}`, 'groups nested deeper'],
  ])('refuses %j and names the construct', (pattern, named) => {
    const translate = (): unknown => translatePattern(pattern, { literal: false, caseSensitive: true });
    expect(translate).toThrow(PatternError);
    expect(translate).toThrow(named);
  });

  it('gives both engines one source but for the anchors', () => {
    expect(translatePattern('^a$', { literal: false, caseSensitive: true })).toEqual({
      script: '(?<![^\\n])\\x61(?:\\r?(?![^\\n]))',
      ripgrep: '(?-u)^\\x61(?:\\r?$)',
    });
  });

  it.each([
    ['\\b^x', false],
    ['x|\\B(^|a)', false],
    ['$^', false],
    ['(^x\\b)+', false],
    ['\\bx?^', false],
    ['^x\\b|^y', true],
    ['(^|\\s)x\\b', true],
    ['\\bx^', true],
  ])('asks ripgrep about %j: %j, for it misses lines where ^ follows an assertion', (pattern, asked) => {
    const { ripgrep } = translatePattern(pattern, { literal: false, caseSensitive: true });
    expect(ripgrep !== undefined).toBe(asked);
  });
});
