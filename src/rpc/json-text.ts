import { type MessageLimits, limitOption } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';

/**
 * A number or a string from the wire. An integer beyond 2^53 is a bigint, so that it is echoed exactly.
 */
export type RequestId = number | bigint | string;

export type Message =
  | { readonly kind: 'request'; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly kind: 'notification'; readonly method: string; readonly params: unknown }
  | { readonly kind: 'response'; readonly id: RequestId; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: RequestId; readonly error: unknown };

type JsonLimits = Pick<MessageLimits, 'jsonDepth' | 'jsonValues'>;

/** Reads one message. Answers a text that says what is wrong where it is none. */
export function parseMessage(text: string, bounds: JsonLimits = limits): Message | string {
  const shape = scan(text, bounds);
  if (typeof shape === 'string') return shape;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `is not JSON: ${(error as Error).message}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'must be one JSON object; batches are not supported';
  }
  if (countKeys(value) !== shape.keys) return `has the key ${duplicateKey(text)} twice in one object`;
  return classify(value as Record<string, unknown>, text, shape.plainNumbers);
}

/** The same for an other side that is a part of this executor: its messages may be as large as answers get. */
export function parseOwnMessage(text: string): Message | string {
  try {
    return classify(JSON.parse(text) as Record<string, unknown>, text, true);
  } catch (error) {
    return `is not JSON: ${(error as Error).message}`;
  }
}

interface Shape {
  /** Object keys, as written. */
  readonly keys: number;
  /** No number has a fraction or an exponent. */
  readonly plainNumbers: boolean;
}

/** Counts what the limits are about before anything is built. Works on any text; whether it is JSON is for the parser to say. */
function scan(text: string, { jsonDepth, jsonValues }: JsonLimits): Shape | string {
  let depth = 0;
  let values = 1;
  let keys = 0;
  let plainNumbers = true;
  let previous = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    switch (char) {
      case 0x22: // "
        i = endOfString(text, i);
        if (i < 0) return 'is not JSON: a string does not end';
        break;
      case 0x7b: // {
      case 0x5b: // [
        depth += 1;
        if (depth > jsonDepth)
          return `nests deeper than ${jsonDepth} objects and arrays ${limitOption('jsonDepth')}`;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth -= 1;
        if (previous !== 0x7b && previous !== 0x5b) values += 1;
        break;
      case 0x2c: // ,
        values += 1;
        break;
      case 0x3a: // :
        keys += 1;
        break;
      case 0x2e: // .
        plainNumbers = false;
        break;
      case 0x65: // e
      case 0x45: // E
        if (previous >= 0x30 && previous <= 0x39) plainNumbers = false;
        break;
      case 0x20:
      case 0x09:
      case 0x0a:
      case 0x0d:
        continue;
    }
    if (values > jsonValues) return `has more than ${jsonValues} values ${limitOption('jsonValues')}`;
    previous = char;
  }
  return { keys, plainNumbers };
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return -1;
}

/** The parser keeps one of two equal keys, so that fewer are left than were written. */
function countKeys(value: object): number {
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value)
      if (typeof item === 'object' && item !== null) count += countKeys(item as object);
    return count;
  }
  for (const item of Object.values(value)) {
    count += 1;
    if (typeof item === 'object' && item !== null) count += countKeys(item as object);
  }
  return count;
}

/** Names the key for the error text; only called when there is one. */
function duplicateKey(text: string): string {
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{') open.push(new Set());
    else if (char === '[') open.push(undefined);
    else if (char === '}' || char === ']') open.pop();
    else if (char === '"') {
      const end = endOfString(text, i);
      const string = text.slice(i, end + 1);
      i = end;
      if (!/^\s*:/.test(text.slice(end + 1, end + 64))) continue;
      const key = JSON.parse(string) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return JSON.stringify(key.slice(0, 64));
      keys?.add(key);
    }
  }
  return 'somewhere';
}

function classify(value: Record<string, unknown>, text: string, plainNumbers: boolean): Message | string {
  const has = (key: string): boolean => Object.hasOwn(value, key);
  if (has('method')) {
    const method = value['method'];
    if (typeof method !== 'string') return 'has a method that is not a string';
    if (!has('id')) return { kind: 'notification', method, params: value['params'] };
    const id = readId(value['id'], text, plainNumbers);
    if (id === undefined) return 'has an id that is neither a string nor a 64-bit integer';
    if (!isTrace(value['trace'])) return 'has a trace that is not a W3C trace context object';
    return { kind: 'request', id, method, params: value['params'] };
  }
  if (!has('result') && !has('error')) return 'has neither a method nor a result nor an error';
  const id = readId(value['id'], text, plainNumbers);
  if (id === undefined) return 'has an id that is neither a string nor a 64-bit integer';
  return has('result')
    ? { kind: 'response', id, result: value['result'] }
    : { kind: 'error', id, error: value['error'] };
}

function isTrace(trace: unknown): boolean {
  if (trace === undefined || trace === null) return true;
  if (typeof trace !== 'object' || Array.isArray(trace)) return false;
  return Object.values(trace).every((part) => typeof part === 'string' || part === null);
}

function readId(id: unknown, text: string, plainNumbers: boolean): RequestId | undefined {
  if (typeof id === 'string') return id;
  if (typeof id !== 'number') return undefined;
  if (plainNumbers && Number.isSafeInteger(id)) return id;
  const source = numberSource(text);
  if (!/^-?\d+$/.test(source)) return undefined;
  const exact = BigInt(source);
  if (BigInt.asIntN(64, exact) !== exact) return undefined;
  return Number.isSafeInteger(id) ? id : exact;
}

/** How the top-level id was written: the parsed number has lost it. */
function numberSource(text: string): string {
  const sources = new Map<unknown, string>();
  const read = function (this: unknown, key: string, value: unknown, context?: { source?: string }): unknown {
    if (key === 'id' && context?.source !== undefined) sources.set(this, context.source);
    return value;
  };
  return sources.get(JSON.parse(text, read)) ?? '';
}

export function idText(id: RequestId): string {
  return typeof id === 'string' ? JSON.stringify(id) : String(id);
}
