import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { EnvPolicy } from '../../../src/protocol/process.ts';
import { Bytes, Milliseconds, Path, ProcessId, Variables } from '../../../src/protocol/primitives.ts';
import { Random, seeds } from '../../support/unit-random.ts';

describe('Bytes', () => {
  it.each([
    ['', ''],
    ['QQ==', 'A'],
    ['QUI=', 'AB'],
    ['QUJD', 'ABC'],
    ['QUJDRA==', 'ABCD'],
    ['+/+/', '\xfb\xff\xbf'],
  ])('decodes %j', (text, bytes) => {
    expect(Buffer.from(Bytes.parse(text)).toString('latin1')).toBe(bytes);
  });

  it.each([
    ['missing padding', 'QQ'],
    ['half of the padding', 'QQ='],
    ['too much padding', 'QQ==='],
    ['nothing but padding', '===='],
    ['one symbol', 'Q==='],
    ['padding in the middle', 'QQ==QQ=='],
    ['padding before the end', 'Q=Q='],
    ['the URL-safe minus', 'QQ-A'],
    ['the URL-safe underscore', 'QQ_A'],
    ['a newline at the end', 'QUJD\n'],
    ['a newline inside', 'QUJ\nD==='],
    ['newlines that make the length fit', 'QUJDQ\n\n\n'],
    ['a carriage return and a newline', 'QUJDQU\r\n'],
    ['spaces', 'QU D'],
    ['stray bits behind one byte', 'QR=='],
    ['stray bits behind two bytes', 'QUJ='],
    ['an exclamation mark', '!UJD'],
    ['a NUL', 'QUJ\0'],
    ['a letter whose low byte is in the alphabet', '\u0141UJD'],
    ['such a letter before the last group', '\u0141UJDQUJD'],
    ['an emoji', '😀QU'],
    ['a full-width letter', '\uff21UJD'],
  ])('refuses %s', (_, text) => {
    expect(Bytes.safeParse(text).success).toBe(false);
  });

  it.each([1, null, undefined, ['QQ=='], {}, true])('refuses %j, which is no text', (value) => {
    expect(Bytes.safeParse(value).success).toBe(false);
  });

  it.each(seeds)(
    'gives back what it has encoded, and nothing for a text with a wrong symbol (seed %i)',
    (seed) => {
      const random = new Random(seed);
      for (let round = 0; round < 300; round++) {
        const bytes = random.bytes(random.below(40));
        const text = Bytes.encode(new Uint8Array(bytes));
        expect(text).toBe(bytes.toString('base64'));
        expect(Buffer.from(Bytes.parse(text)).equals(bytes), `seed ${seed}: ${text}`).toBe(true);
        const at = random.below(text.length + 1);
        const symbol = String.fromCharCode(random.below(0x10000));
        const replaced = text.slice(0, at) + symbol + text.slice(at + 1);
        if (/[A-Za-z0-9+/=]/.test(symbol)) continue;
        expect(Bytes.safeParse(replaced).success, `seed ${seed}: ${JSON.stringify(replaced)}`).toBe(false);
      }
    },
  );

  it('refuses whatever encodes to another text, in long texts, too', () => {
    const random = new Random(1);
    for (const length of [3000, 3001, 3002]) {
      const text = random.bytes(length).toString('base64');
      for (const symbol of ['-', '_', '=', ' ', '\n', 'B', '', '\0', '\u00e9', '\u0141', '==']) {
        for (const at of [0, 1500, text.length - 3, text.length - 2, text.length - 1, text.length]) {
          const other = text.slice(0, at) + symbol + text.slice(at + 1);
          const meant = Buffer.from(other, 'base64').toString('base64') === other;
          expect(Bytes.safeParse(other).success, `${symbol} at ${at} of ${text.length}`).toBe(meant);
        }
      }
    }
  });

  it('encodes a view of a larger buffer without the rest', () => {
    const whole = new Uint8Array([1, 2, 3, 4, 5]);
    expect(Bytes.encode(whole.subarray(1, 4))).toBe('AgME');
  });
});

describe('Variables', () => {
  const fromWire = (text: string): Record<string, string> => Variables.parse(JSON.parse(text));

  it('keeps a variable that is named __proto__', () => {
    expect(Object.entries(fromWire('{"__proto__":"x","constructor":"y","a":"z"}'))).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
      ['a', 'z'],
    ]);
  });

  it('keeps it inside an environment policy, too', () => {
    const text =
      '{"inherit":"none","ignoreDefaultExcludes":true,"exclude":[],"includeOnly":[],"set":{"__proto__":"x"}}';
    expect(Object.entries(EnvPolicy.parse(JSON.parse(text)).set)).toEqual([['__proto__', 'x']]);
  });

  it('gives an object without a prototype', () => {
    expect(Object.getPrototypeOf(fromWire('{"a":"b"}'))).toBeNull();
  });

  it('refuses a __proto__ whose value is no text', () => {
    expect(Variables.safeParse(JSON.parse('{"__proto__":{"a":"b"}}')).success).toBe(false);
  });

  it.each([
    'null',
    '[]',
    '["A=b"]',
    '"A=b"',
    '1',
    '{"A":1}',
    '{"A":null}',
    '{"":"x"}',
    '{"A=B":"x"}',
    '{"=":"x"}',
  ])('refuses %s', (text) => {
    expect(Variables.safeParse(JSON.parse(text)).success).toBe(false);
  });

  it('accepts no variables, empty values and odd names', () => {
    expect(fromWire('{}')).toEqual({});
    expect(fromWire('{"A":"","a b":"=","ü":"1"}')).toEqual({ A: '', 'a b': '=', ü: '1' });
  });
});

describe('Path', () => {
  it('tells in the issue what is wrong', () => {
    const [issue] = Path.safeParse('http://x/').error?.issues ?? [];
    expect(issue?.message).toContain('scheme "http"');
  });

  it('gives the bytes and the form of the text', () => {
    expect(Path.parse('file:///%FF')).toEqual({ bytes: Buffer.from([0x2f, 0xff]), form: 'uri' });
  });
});

describe('ProcessId', () => {
  it('may be empty, and as long as the limit', () => {
    expect(ProcessId.safeParse('').success).toBe(true);
    expect(ProcessId.safeParse('x'.repeat(limits.processIdLength)).success).toBe(true);
    expect(ProcessId.safeParse('x'.repeat(limits.processIdLength + 1)).success).toBe(false);
  });
});

describe('Milliseconds', () => {
  it.each([-1, 0.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY, '1'])('refuses %j', (value) => {
    expect(Milliseconds.safeParse(value).success).toBe(false);
  });

  it.each([0, 1, 2 ** 31 - 1])('accepts %j, which a timer can wait', (value) => {
    expect(Milliseconds.parse(value)).toBe(value);
  });
});
