import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { type Message, type RequestId, idText, parseMessage } from '../../../src/rpc/json-text.ts';
import { Random, seeds } from '../../support/unit-random.ts';

function parse(text: string): Message {
  const message = parseMessage(text);
  if (typeof message === 'string') throw new Error(`${text.slice(0, 200)} ${message}`);
  return message;
}

/** The id of a request, as it was written on the wire and as an answer repeats it. */
function echo(id: string): string | undefined {
  const message = parseMessage(`{"id":${id},"method":"m"}`);
  if (typeof message === 'string') return undefined;
  return message.kind === 'request' ? idText(message.id) : message.kind;
}

describe('parseMessage: what is no message', () => {
  it.each([
    ['a broken object', '{bad', 'is not JSON'],
    ['an empty frame', '', 'is not JSON'],
    ['blanks', ' \n', 'is not JSON'],
    ['a trailing comma', '{"method":"m",}', 'is not JSON'],
    ['two texts', '{"method":"m"}\n{"method":"m"}', 'is not JSON'],
    ['a text and a bracket', '{"method":"m"}]', 'is not JSON'],
    ['a string that does not end', '{"method":"m', 'is not JSON: a string does not end'],
    ['an escaped quote at the end', '{"method":"m\\"', 'is not JSON: a string does not end'],
    ['a byte order mark', '\ufeff{"method":"m"}', 'is not JSON'],
    ['NaN', '{"method":"m","params":NaN}', 'is not JSON'],
    ['single quotes', "{'method':'m'}", 'is not JSON'],
    ['a comment', '{"method":"m"/**/}', 'is not JSON'],
    ['a control character in a string', '{"method":"a\tb"}', 'is not JSON'],
    ['a number', '1', 'must be one JSON object'],
    ['a string', '"x"', 'must be one JSON object'],
    ['null', 'null', 'must be one JSON object'],
    ['true', 'true', 'must be one JSON object'],
    ['an empty batch', '[]', 'batches are not supported'],
    ['a batch', '[{"id":1,"method":"m"}]', 'batches are not supported'],
    ['an empty object', '{}', 'neither a method nor a result nor an error'],
    ['an id and params', '{"id":1,"params":{}}', 'neither a method nor a result nor an error'],
    ['a method that is a number', '{"id":1,"method":2}', 'a method that is not a string'],
    ['a method that is null', '{"method":null}', 'a method that is not a string'],
    ['a response without an id', '{"result":1}', 'an id that is neither'],
    ['an error with a fraction as id', '{"id":1.5,"error":{}}', 'an id that is neither'],
  ])('refuses %s', (_, text, problem) => {
    expect(parseMessage(text)).toEqual(expect.stringContaining(problem));
  });

  it.each([
    ['at the top', '{"id":1,"id":2,"method":"m"}', '"id"'],
    ['with equal values', '{"id":1,"method":"m","id":1}', '"id"'],
    ['in params', '{"method":"m","params":{"a":1,"a":2}}', '"a"'],
    ['in an object in an array', '{"method":"m","params":[0,[{"a":{"b":1,"b":2}}]]}', '"b"'],
    ['that are empty', '{"method":"m","params":{"":1,"":2}}', '""'],
    ['of which one is escaped', '{"method":"m","params":{"a":1,"\\u0061":2}}', '"a"'],
    ['that are escaped differently', '{"method":"m","params":{"\\/":1,"/":2}}', '"/"'],
    ['named __proto__', '{"method":"m","params":{"__proto__":1,"__proto__":2}}', '"__proto__"'],
    ['that look like an index', '{"method":"m","params":{"1":1,"0":0,"1":2}}', '"1"'],
    ['with blanks before the colon', '{"method":"m","params":{"a" \n:1,"a"\t:2}}', '"a"'],
    ['with containers as values', '{"method":"m","params":{"a":{},"a":[]}}', '"a"'],
    ['with quotes in them', '{"method":"m","params":{"\\"\\\\":1,"\\"\\\\":2}}', '"\\"\\\\"'],
  ])('refuses two equal keys %s and names the key', (_, text, key) => {
    expect(parseMessage(text)).toBe(`has the key ${key} twice in one object`);
  });

  it('does not repeat all of a long key', () => {
    const key = 'k'.repeat(100_000);
    const problem = parseMessage(`{"method":"m","params":{"${key}":1,"${key}":2}}`);
    expect(typeof problem === 'string' && problem.length).toBeLessThan(200);
  });

  it('accepts equal keys in different objects, and keys that only look equal', () => {
    expect(parse('{"method":"m","params":[{"a":1},{"a":{"a":2}},"a","a"]}')).toMatchObject({
      params: [{ a: 1 }, { a: { a: 2 } }, 'a', 'a'],
    });
    expect(parse('{"method":"m","params":{"a":1,"A":2,"a ":3,"\\\\u0061":4}}').kind).toBe('notification');
  });

  it('is not misled by brackets, colons, commas and quotes inside strings', () => {
    const tricky = '{"a":1,"a":2}[[[[:,:,"\\"\\\\';
    const text = JSON.stringify({ method: 'm', params: { [tricky]: tricky, b: `${tricky}\\` } });
    expect(parse(text)).toMatchObject({ params: { [tricky]: tricky, b: `${tricky}\\` } });
  });
});

describe('parseMessage: limits', () => {
  it.each([
    ['arrays', '[', '', ']'],
    ['objects', '{"k":', '0', '}'],
  ])('accepts 127 levels of %s and refuses one more', (_, open, innermost, close) => {
    // The message itself is the first level.
    const text = (levels: number): string =>
      `{"method":"m","params":${open.repeat(levels - 1)}${innermost}${close.repeat(levels - 1)}}`;
    expect(limits.jsonDepth).toBe(127);
    expect(parse(text(127)).kind).toBe('notification');
    expect(parseMessage(text(128))).toBe(
      'nests deeper than 127 objects and arrays (--limit jsonDepth=N of the executor changes that)',
    );
  });

  it('answers a text of a million open brackets', () => {
    expect(parseMessage('['.repeat(1_000_000))).toContain('nests deeper than 127');
  });

  it.each([
    ['numbers in an array', (n: number) => `[${'0,'.repeat(n - 1)}0]`],
    ['strings in an array', (n: number) => `[${'"", '.repeat(n - 1)}""]`],
    ['empty arrays', (n: number) => `[${'[ ],'.repeat(n - 1)}[]]`],
    ['empty objects', (n: number) => `[${'{},'.repeat(n - 1)}{ }]`],
    ['members', (n: number) => `{${Array.from({ length: n }, (_, i) => `"${i}":null`).join(',')}}`],
  ])('accepts 262,140 %s in the params of a request and refuses one more', (_, params) => {
    // The envelope, the id, the method and params themselves are values, too.
    const fitting = limits.jsonValues - 4;
    expect(fitting).toBe(262_140);
    expect(parse(`{"id":1,"method":"m","params":${params(fitting)}}`).kind).toBe('request');
    expect(parseMessage(`{"id":1,"method":"m","params":${params(fitting + 1)}}`)).toBe(
      'has more than 262144 values (--limit jsonValues=N of the executor changes that)',
    );
  });

  it('counts a container and what it holds: pairs reach the limit at half the number', () => {
    const pairs = (n: number): string => `{"method":"m","params":[${'[1],'.repeat(n - 1)}[1]]}`;
    expect(parse(pairs((limits.jsonValues - 3 - 1) / 2)).kind).toBe('notification');
    expect(parseMessage(pairs((limits.jsonValues - 3 - 1) / 2 + 1))).toContain('more than 262144');
  });

  it('does not count what a string contains', () => {
    expect(parse(JSON.stringify({ method: 'm', params: ',[]{}:'.repeat(200_000) })).kind).toBe(
      'notification',
    );
  });

  it.each(seeds)('counts values and finds no duplicate in random messages (seed %i)', (seed) => {
    const random = new Random(seed);
    const value = (depth: number): unknown => {
      const kind = random.below(depth > 6 ? 5 : 8);
      if (kind < 5) return [null, true, -1.5e-7, 'a":{[,', '\\"'][kind];
      const items = Array.from({ length: random.below(5) }, () => value(depth + 1));
      return kind === 5 ? items : Object.fromEntries(items.map((item, i) => [`k${i}"\\:`, item]));
    };
    for (let round = 0; round < 200; round++) {
      const message = { id: round, method: 'm', params: value(0) };
      const text = JSON.stringify(message, null, random.below(3));
      expect(parseMessage(text), `seed ${seed}: ${text}`).toEqual({ kind: 'request', ...message });
    }
  });
});

describe('parseMessage: ids', () => {
  it.each([
    '0',
    '1',
    '-1',
    '9007199254740991',
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
    '""',
    '"x"',
    '"1.0"',
    '"1e3"',
  ])('echoes %s exactly', (id) => {
    expect(echo(id)).toBe(id);
  });

  it.each([
    'null',
    'true',
    'false',
    '1.0',
    '1.5',
    '0.0',
    '1e3',
    '1E3',
    '1e0',
    '10e-1',
    '-1.0',
    '1e999',
    '9007199254740993.0',
    '9223372036854775808',
    '-9223372036854775809',
    '18446744073709551615',
    '99999999999999999999999999',
    '[]',
    '[1]',
    '{}',
    '{"id":1}',
  ])('refuses %s', (id) => {
    expect(parseMessage(`{"id":${id},"method":"m"}`)).toContain('an id that is neither');
    expect(parseMessage(`{"id":${id},"result":null}`)).toContain('an id that is neither');
  });

  it('reads -0 as zero', () => {
    expect(echo('-0')).toBe('0');
  });

  it('echoes a string with escapes as the same string', () => {
    expect(echo('"\\u00e9\\n\\"\\ud83d\\ude00"')).toBe(JSON.stringify('é\n"😀'));
    expect(JSON.parse(echo('"\\ud800"') ?? '')).toBe('\ud800');
  });

  it.each([
    ['{"id":9007199254740993,"method":"m","params":{"id":7,"x":1.5}}', 9_007_199_254_740_993n],
    ['{"params":[{"id":1e3},{"id":1.0}],"method":"m","id":5}', 5],
    ['{"params":{"id":9223372036854775808},"id":-9223372036854775807,"method":"m"}', -9223372036854775807n],
    ['{"\\u0069d":9007199254740993,"method":"m","params":[0.5]}', 9_007_199_254_740_993n],
  ] as [string, RequestId][])('takes the id of the message, not that of a param: %s', (text, id) => {
    expect(parse(text)).toMatchObject({ kind: 'request', id });
  });

  it('refuses 1.0 also where another number has no fraction, and 1e3 behind a string', () => {
    expect(parseMessage('{"params":{"id":1},"id":1.0,"method":"m"}')).toContain('an id that is neither');
    expect(parseMessage('{"method":"1","id": 1e3}')).toContain('an id that is neither');
  });
});

describe('parseMessage: kinds', () => {
  it.each([
    ['{"id":1,"method":"m"}', { kind: 'request', id: 1, method: 'm', params: undefined }],
    ['{"id":1,"method":"m","params":null}', { kind: 'request', id: 1, method: 'm', params: null }],
    ['{"id":1,"method":"m","result":1}', { kind: 'request', id: 1, method: 'm', params: undefined }],
    ['{"id":1,"method":"m","error":{}}', { kind: 'request', id: 1, method: 'm', params: undefined }],
    ['{"jsonrpc":"1.0","id":1,"method":"m","x":[]}', { kind: 'request', id: 1, method: 'm' }],
    ['{"method":""}', { kind: 'notification', method: '', params: undefined }],
    ['{"method":"m","params":[1]}', { kind: 'notification', method: 'm', params: [1] }],
    ['{"method":"m","result":1}', { kind: 'notification', method: 'm' }],
    ['{"id":1,"result":null}', { kind: 'response', id: 1, result: null }],
    ['{"id":1,"result":1,"error":{}}', { kind: 'response', id: 1, result: 1 }],
    ['{"error":{"code":1},"id":1}', { kind: 'error', id: 1, error: { code: 1 } }],
    ['{"error":null,"id":"x"}', { kind: 'error', id: 'x', error: null }],
    [' \t\r\n{"method":"m"}\r\n ', { kind: 'notification', method: 'm' }],
  ])('reads %s', (text, message) => {
    expect(parse(text)).toMatchObject(message);
  });

  it('does not take a method from the prototype', () => {
    expect(parseMessage('{"__proto__":{"method":"m"}}')).toContain('neither a method nor a result');
  });

  it('keeps a key __proto__ of the params as a member', () => {
    const { params } = parse('{"method":"m","params":{"__proto__":{"a":1}}}') as { params: object };
    expect(Object.keys(params)).toEqual(['__proto__']);
  });

  it('accepts numbers out of the range of a double', () => {
    expect(parse('{"method":"m","params":[1e999]}')).toMatchObject({ params: [Number.POSITIVE_INFINITY] });
  });

  it.each([
    'null',
    '{}',
    '{"traceparent":"00-x"}',
    '{"traceparent":"a","tracestate":"b"}',
    '{"tracestate":null}',
  ])('accepts the trace %s', (trace) => {
    expect(parse(`{"id":1,"method":"m","trace":${trace}}`).kind).toBe('request');
  });

  it.each(['1', '"x"', 'true', '[]', '{"traceparent":1}', '{"traceparent":"a","tracestate":{}}'])(
    'refuses the trace %s of a request and ignores it on a notification',
    (trace) => {
      expect(parseMessage(`{"id":1,"method":"m","trace":${trace}}`)).toContain('a trace that is not');
      expect(parse(`{"method":"m","trace":${trace}}`).kind).toBe('notification');
    },
  );
});
