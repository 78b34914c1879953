import { errorCodes } from '../../src/protocol/errors.ts';
import { limits } from '../../src/protocol/limits.ts';
import { KiB } from './faults-bytes.ts';
import type { Chance } from './faults-random.ts';

/**
 * What an executor must do: answer by the message's own id; refuse it, with id -1; close the connection; or nothing. A message whose id
 * can be used may also be refused as a whole, unless the mutation says otherwise.
 */
export type Expectation = 'answer' | 'answerOrRefusal' | 'refusal' | 'close' | 'silence';

export type Json = Record<string, unknown>;

export interface Valid {
  readonly id: number;
  readonly method: string;
  readonly params: Json | undefined;
}

export interface Mutated {
  readonly text?: string;
  readonly bytes?: Buffer;
  readonly binary?: boolean;
  readonly expect?: Expectation;
  /** Of the error that the answer must be. */
  readonly code?: number;
}

type Mutation = (valid: Valid, chance: Chance) => Mutated;

/** What a valid message of the method says. Harmless however it is mutated: programs end by themselves. `target` and `terminal` run. */
export function sampleParams(method: string, number: number): Json | undefined {
  const target = number % 2 === 0 ? 'target' : 'terminal';
  const start = {
    processId: `fuzz-${number}`,
    argv: ['/bin/echo', 'fuzz', String(number)],
    cwd: 'file:///',
    env: { PATH: '/usr/bin:/bin', NAME: 'value' },
    envPolicy: {
      inherit: 'core',
      ignoreDefaultExcludes: false,
      exclude: ['A*'],
      set: { B: 'b' },
      includeOnly: [],
    },
    tty: number % 8 === 0,
    pipeStdin: false,
    arg0: null,
    size: { rows: 24, cols: 80 },
    timeoutMs: 60_000,
    stopGraceMs: 10,
    sandbox: null,
    managedNetwork: null,
    networkProxy: null,
  };
  const samples: Record<string, Json | undefined> = {
    initialize: { clientName: 'fuzz', resumeSessionId: null },
    'environment/info': {},
    'environment/status': undefined,
    'process/start': start,
    'process/read': { processId: target, afterSeq: 0, maxBytes: 1000, waitMs: 0 },
    'process/write': { processId: target, chunk: 'ZnV6eg==', writeId: `w${number}` },
    'process/closeStdin': { processId: `fuzz-${number}` },
    'process/resize': { processId: target, size: { rows: 24, cols: 80 } },
    'process/signal': { processId: target, signal: 'SIGCONT', scope: 'process' },
    'process/terminate': { processId: `fuzz-${number}`, graceMs: 0 },
    'process/list': { includeClosed: false },
  };
  return samples[method];
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const withParams = (valid: Valid, params: string): string =>
  `{"id":${valid.id},"method":${JSON.stringify(valid.method)},"params":${params}}`;
/** The valid message with one more member in its params. */
const withMember = (valid: Valid, member: string): string => {
  const params = JSON.stringify(valid.params ?? {});
  return withParams(valid, params === '{}' ? `{${member}}` : `${params.slice(0, -1)},${member}}`);
};
const hostileKeys = [
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'valueOf',
  'then',
];

/** What is done to a valid message. */
export const mutations: readonly (readonly [string, Mutation])[] = [
  [
    'valid',
    (valid, chance) => ({ text: JSON.stringify(valid), binary: chance.below(2) === 0, expect: 'answer' }),
  ],
  [
    'truncated',
    (valid, chance) => {
      const text = JSON.stringify(valid);
      return { text: text.slice(0, chance.below(text.length)) };
    },
  ],
  [
    'bits flipped',
    (valid, chance) => {
      const bytes = Buffer.from(JSON.stringify(valid));
      for (let flips = 1 + chance.below(4); flips > 0; flips--) {
        const at = chance.below(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
      }
      return { bytes };
    },
  ],
  [
    'bytes removed or doubled',
    (valid, chance) => {
      const text = JSON.stringify(valid);
      const start = chance.below(text.length);
      const end = start + 1 + chance.below(8);
      const again = chance.below(2) === 0 ? text.slice(start, end).repeat(2) : '';
      return { text: text.slice(0, start) + again + text.slice(end) };
    },
  ],
  [
    'key twice',
    (valid, chance) => {
      const key = chance.pick(['"id":1', '"method":"x"', '"params":null', '"\\u0069d":1']);
      return {
        text: `${JSON.stringify({ ...valid, params: null }).slice(0, -1)},${key}}`,
        expect: 'refusal',
      };
    },
  ],
  [
    'key twice in params',
    (valid, chance) => {
      const key = chance.pick(['a', '__proto__', '']);
      return { text: withMember(valid, `"${key}":1,"${key}":2`), expect: 'refusal' };
    },
  ],
  [
    'nested too deep',
    (valid, chance) => {
      const depth = chance.pick([limits.jsonDepth, 128, 200, 5_000, 100_000]);
      return { text: withMember(valid, `"deep":${nested(depth)}`), expect: 'refusal' };
    },
  ],
  [
    'nested deep',
    (valid, chance) => {
      const depth = 1 + chance.below(limits.jsonDepth - 2);
      return { text: withMember(valid, `"deep":${nested(depth)}`), expect: 'answer' };
    },
  ],
  [
    'id that cannot be used',
    (valid, chance) => {
      const id = chance.pick([
        'null',
        'true',
        '1.5',
        '1.0',
        '1e999',
        '9223372036854775808',
        '[1]',
        '{}',
        '1e3',
      ]);
      return { text: JSON.stringify(valid).replace(/"id":\d+/u, `"id":${id}`), expect: 'refusal' };
    },
  ],
  [
    'unusual id',
    (valid, chance) => {
      const id = chance.pick([
        `"${valid.id}"`,
        '""',
        '-7',
        '9223372036854775807',
        '-9223372036854775808',
        '"\\ud800"',
      ]);
      return { text: JSON.stringify(valid).replace(/"id":\d+/u, `"id":${id}`), expect: 'answer' };
    },
  ],
  [
    'params of a wrong type',
    (valid, chance) => {
      const params = chance.pick(['[]', '""', '0', 'true', '[[]]', '"{}"', '1e999', '[{"processId":"x"}]']);
      return { text: withParams(valid, params), expect: 'answer', code: errorCodes.invalidParams };
    },
  ],
  [
    'parameter missing',
    (valid, chance) => {
      const params = Object.entries(valid.params ?? { any: 1 });
      params.splice(chance.below(params.length), 1);
      return { text: withParams(valid, JSON.stringify(Object.fromEntries(params))), expect: 'answer' };
    },
  ],
  [
    'base64 that is none',
    (valid, chance) => {
      const chunk = chance.pick([
        '!',
        'A',
        'AA',
        'AAA',
        'A===',
        'AA=A',
        'AAB=',
        'AA-_',
        'AA\n==',
        '====',
        'ÄÖÜß',
        '\ud800',
      ]);
      const params = { processId: 'anything', chunk };
      return {
        text: JSON.stringify({ id: valid.id, method: 'process/write', params }),
        expect: 'answer',
        code: errorCodes.invalidParams,
      };
    },
  ],
  [
    'stray answer',
    (valid, chance) => {
      const id = chance.pick(['1', '-1', '"1"', '0', '9223372036854775807']);
      const body = chance.pick([
        '"result":{}',
        '"result":null',
        '"error":{"code":1,"message":"x"}',
        '"error":null',
      ]);
      return { text: `{"id":${id},${body}}`, expect: 'close' };
    },
  ],
  [
    'stray notification',
    (valid, chance) => {
      const method = chance.pick([
        valid.method,
        'x',
        '',
        '__proto__',
        'constructor',
        '$/cancelRequest',
        'process/output',
      ]);
      return { text: JSON.stringify({ method, params: valid.params }), expect: 'close' };
    },
  ],
  ['initialized again', () => ({ text: '{"method":"initialized","params":{"a":1}}', expect: 'silence' })],
  [
    'not UTF-8',
    (valid, chance) => {
      const bytes = Buffer.from(JSON.stringify(valid));
      bytes[chance.below(bytes.length)] = chance.pick([0x80, 0xbf, 0xc0, 0xed, 0xf8, 0xff]);
      return { bytes, binary: true, expect: 'refusal' };
    },
  ],
  [
    'huge number',
    (valid, chance) => {
      const value = chance.pick(['1e999', '-1e999', '1e-999', '9'.repeat(1000), `0.${'1'.repeat(1000)}`]);
      return { text: withMember(valid, `"huge":${value}`), expect: 'answer' };
    },
  ],
  [
    'hostile key',
    (valid, chance) => {
      const key = chance.pick(hostileKeys);
      const value = chance.pick([
        'null',
        '1',
        '"x"',
        '{"polluted":"yes"}',
        '[{"__proto__":{"polluted":"yes"}}]',
      ]);
      return { text: withMember(valid, `"${key}":${value}`), expect: 'answer' };
    },
  ],
  [
    'hostile key around',
    (valid, chance) => {
      const member = `"${chance.pick(hostileKeys)}":{"id":7,"method":"x","polluted":"yes"}`;
      return { text: `{${member},${JSON.stringify(valid).slice(1)}`, expect: 'answer' };
    },
  ],
  [
    'hostile variable',
    (valid, chance) => {
      const params = JSON.stringify(sampleParams('process/start', valid.id));
      const text = params.replace('"NAME"', `"${chance.pick(hostileKeys)}"`);
      return { text: withParams({ ...valid, method: 'process/start' }, text), expect: 'answer' };
    },
  ],
  [
    'NUL or lone surrogate',
    (valid, chance) => {
      const params = JSON.stringify(sampleParams('process/start', valid.id));
      const where = chance.pick([
        'fuzz',
        'value',
        'NAME',
        'file:///',
        '/usr/bin',
        '"arg0":null',
        'A*',
        '"b"',
      ]);
      const what = chance.pick(['\\u0000', '\\ud800', '\\udc00', '\\u0000\\u0000', '%00']);
      const text = params.replace(where, (found) =>
        found.endsWith('null') ? `"arg0":"a${what}"` : found.replace(/("?)$/u, `${what}$1`),
      );
      return { text: withParams({ ...valid, method: 'process/start' }, text), expect: 'answer' };
    },
  ],
  [
    'frame without a message',
    (_valid, chance) => {
      const text = chance.pick([
        '',
        ' ',
        '\n',
        '\t\r\n ',
        'null',
        '[]',
        '1',
        '"x"',
        'true',
        '{}',
        '{"id":1}',
        '\ufeff{}',
      ]);
      return { text, binary: chance.below(2) === 0, expect: 'refusal' };
    },
  ],
  [
    'method that nobody has',
    (valid, chance) => {
      const long = 'm'.repeat(chance.pick([200, 8 * KiB, 512 * KiB]));
      const method = chance.pick([
        ...hostileKeys,
        '',
        ' ',
        'initialized',
        'process/',
        'PROCESS/LIST',
        '\0',
        long,
      ]);
      return {
        text: JSON.stringify({ ...valid, method }),
        expect: 'answer',
        code: errorCodes.methodNotFound,
      };
    },
  ],
  [
    'method of a wrong type',
    (valid, chance) => {
      const method = chance.pick([null, 1, true, [], {}, ['process/list']]);
      return { text: JSON.stringify({ ...valid, method }), expect: 'refusal' };
    },
  ],
  [
    'trace of a wrong type',
    (valid, chance) => {
      const trace = chance.pick([1, 'x', [], { traceparent: 1 }, { tracestate: {} }]);
      return { text: JSON.stringify({ ...valid, trace }), expect: 'refusal' };
    },
  ],
  ['batch', (valid) => ({ text: JSON.stringify([valid, valid]), expect: 'refusal' })],
  [
    'two messages in a frame',
    (valid) => {
      const text = JSON.stringify(valid);
      return { text: `${text}\n${text}`, expect: 'refusal' };
    },
  ],
  [
    'noise',
    (_valid, chance) => {
      const bytes = Buffer.from(Array.from({ length: chance.below(300) }, () => chance.below(256)));
      return { bytes, binary: true };
    },
  ],
  [
    'many values',
    (valid, chance) => {
      if (chance.below(8) > 0)
        return { text: withMember(valid, `"many":[${'1,'.repeat(999)}1]`), expect: 'answer' };
      const list = `[${'0,'.repeat(limits.jsonValues)}0]`;
      return { text: withMember(valid, `"many":${list}`), expect: 'refusal' };
    },
  ],
];
