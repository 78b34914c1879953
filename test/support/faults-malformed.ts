import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { requests } from '../../src/protocol/methods.ts';
import { type Expectation, type Json, type Mutated, mutations, sampleParams } from './faults-mutations.ts';
import type { Chance } from './faults-random.ts';

export interface Malformed {
  readonly kind: string;
  readonly frame: Buffer;
  readonly binary: boolean;
  readonly expect: Expectation;
  /** Text that names the id of the answer. */
  readonly id: string;
  /** Of the error that the answer must be; undefined where it may also be a result. */
  readonly code: number | undefined;
}

/** Others, such as those that remove files, are not for random paths. */
const sampledMethods = Object.keys(requests).filter(
  (method) => method === 'initialize' || /^(environment|process)\//u.test(method),
);

/** JSON texts, separated by bars, beside a long one. */
const wrongValues: readonly string[] = String.raw`
null|true|false|0|-1|1.5|1e999|-1e999|9007199254740993|2147483648|65536
""|"text"|"\ud800"|"\u0000"|"__proto__"|"=="|"a b\n"
[]|{}|[null]|[[]]|[1,2]|["a","\u0000"]|[""]|{"a":1}|{"":""}|{"a=b":"c"}
{"__proto__":"x"}|{"__proto__":{"a":1}}|{"constructor":{"prototype":{}}}|{"toString":"x"}
`
  .trim()
  .split(/[|\n]/u)
  .concat(JSON.stringify('x'.repeat(10_000)));

interface WrongParam {
  readonly method: string;
  readonly path: readonly string[];
  readonly value: string;
}

/** Each parameter of each method, and those inside of parameters, with each wrong value. */
const wrongParams: readonly WrongParam[] = sampledMethods.flatMap((method) => {
  const row = requests[method as keyof typeof requests];
  const schema = z.toJSONSchema(row.params, { io: 'input', unrepresentable: 'any' });
  return parameterPaths(schema).flatMap((path) => wrongValues.map((value) => ({ method, path, value })));
});

function parameterPaths(schema: unknown, above: readonly string[] = []): string[][] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { properties, anyOf } = schema as { properties?: Json; anyOf?: unknown[] };
  const paths = (anyOf ?? []).flatMap((inner) => parameterPaths(inner, above));
  for (const [name, inner] of Object.entries(properties ?? {})) {
    const path = above.concat(name);
    paths.push(path, ...parameterPaths(inner, path));
  }
  return paths;
}

/** Makes messages out of one seed. */
export class Mutator {
  #wrong = 0;

  /** Wrong values that no message has had yet. */
  get wrongParamsLeft(): number {
    return Math.max(0, wrongParams.length - this.#wrong);
  }

  make(number: number, chance: Chance): Malformed {
    const method = chance.pick(sampledMethods.filter((name) => name !== 'initialize' || number % 4 === 0));
    const valid = { id: number, method, params: sampleParams(method, number) };
    const share = chance.below(100);
    if (share < 40) return this.#wrongParam(number, chance);
    const [kind, mutate] = chance.pick(mutations);
    return finish(kind, mutate(valid, chance), number);
  }

  #wrongParam(number: number, chance: Chance): Malformed {
    const wrong = wrongParams[this.#wrong++ % wrongParams.length];
    if (wrong === undefined) throw new Error('the table of methods is empty');
    const { method, path, value } = wrong;
    const params = structuredClone(sampleParams(method, number) ?? {});
    const place = path.slice(0, -1).reduce((inner, name) => (inner[name] ??= {}) as Json, params);
    // Put in as text, for what JSON.stringify would not write.
    place[path.at(-1) ?? ''] = '@@';
    const text = JSON.stringify({ id: number, method, params }).replace('"@@"', () => value);
    const kind = `wrong ${method} ${path.join('.')} ${value.slice(0, 40)}`;
    return finish(kind, { text, expect: 'answer', binary: chance.below(4) === 0 }, number);
  }
}

function finish(kind: string, mutated: Mutated, number: number): Malformed {
  const frame = mutated.bytes ?? Buffer.from(mutated.text ?? '');
  // A text frame that is not UTF-8 is the WebSocket's own affair.
  const binary = (mutated.binary ?? false) || !isUtf8(frame);
  const judged = judge(frame);
  return {
    kind,
    frame,
    binary,
    expect: mutated.expect ?? judged.expect,
    id: judged.id ?? String(number),
    code: mutated.code,
  };
}

/** What a message deserves, by a parser that is not the executor's. */
function judge(frame: Buffer): { expect: Expectation; id?: string } {
  if (!isUtf8(frame)) return { expect: 'refusal' };
  let message: unknown;
  try {
    message = JSON.parse(frame.toString());
  } catch {
    return { expect: 'refusal' };
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return { expect: 'refusal' };
  const own = message as Json;
  const { id, method } = own;
  const usable = typeof id === 'string' || (typeof id === 'number' && Number.isInteger(id));
  if (!Object.hasOwn(own, 'method')) {
    const answers = Object.hasOwn(own, 'result') || Object.hasOwn(own, 'error');
    return { expect: answers && usable ? 'close' : 'refusal' };
  }
  if (typeof method !== 'string') return { expect: 'refusal' };
  if (!Object.hasOwn(own, 'id')) return { expect: method === 'initialized' ? 'silence' : 'close' };
  return usable ? { expect: 'answerOrRefusal', id: String(id) } : { expect: 'refusal' };
}
