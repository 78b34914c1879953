import type { Chance } from './faults-random.ts';

/** A path as text, and what it names by the rules: bytes, or undefined where it must be refused. */
export interface HostilePath {
  readonly text: string;
  readonly names: Buffer | undefined;
}

const hosts = [
  '',
  '',
  '',
  'localhost',
  'LOCALHOST',
  'example.com',
  '127.0.0.1',
  '..',
  '%2e%2e',
  'localhost:80',
  '@',
];

/** Pieces that are one name or several, in a path or in a URI. */
const pieces: readonly string[] = [
  'a',
  'b',
  'f',
  'new',
  'sub',
  'out',
  '.',
  '..',
  '...',
  '',
  '%2e',
  '%2E%2e',
  '%2e%2e%2fsentinel',
  '..%2Fsentinel',
  '..%2f..%2f',
  '%252e%252e%252fsentinel',
  '%2F',
  '%5c',
  '..\\sentinel',
  '..%5csentinel',
  '%00',
  'f%00',
  '\0',
  'f\0',
  '%c0%ae%c0%ae',
  '%c0%ae%c0%ae%c0%afsentinel',
  '%e0%80%ae',
  '%ff%fe',
  '\u2024\u2024',
  '\uff0e\uff0e',
  '\uff0e\uff0e\uff0fsentinel',
  '\u202e',
  '\ud800',
  '%',
  '%2',
  '%zz',
  '%u002e',
  '%09',
  '%0a',
  '\t',
  '\n',
  '\x7f',
  ' ',
  '~',
  '~root',
  '$HOME',
  '*',
  '-rf',
  'C:',
  'c|',
  'C%3A',
  'con',
  'nul.txt',
  'a;b',
  'a?b',
  'a#b',
  'a:b',
  '__proto__',
  'x'.repeat(255),
  'x'.repeat(256),
  'y/'.repeat(200),
  'sub/../..',
  'sub/../../sentinel',
  '../sentinel/f',
  '../sentinel',
  '../../..',
  'z'.repeat(5000),
];

/** Any path, around a directory. */
export function hostilePath(chance: Chance, fixture: string): HostilePath {
  const count = chance.below(40) === 0 ? 500 : 1 + chance.below(5);
  const tail = Array.from({ length: count }, () => chance.pick(pieces)).join(
    chance.pick(['/', '/', '/', '//', '/./']),
  );
  const path = `${chance.pick([fixture, fixture, fixture, '', `/..${fixture}`, `/%2e%2e${fixture}`, `/C:${fixture}`])}/${tail}`;
  const text =
    chance.below(2) === 0
      ? path
      : `${chance.pick(['file://', 'FILE://', 'file:', 'File://', 'http://', 'file:/'])}${chance.pick(hosts)}${path}`;
  return { text, names: named(text) };
}

/** What the text names by the rules of the protocol, found in another way than the executor does. */
function named(text: string): Buffer | undefined {
  if (text.startsWith('/')) return text.includes('\0') ? undefined : normal(Buffer.from(text));
  // Without slashes it counts from the root, as in the standard of URLs.
  const match = /^\s*file:(?:\/\/([^/]*))?(.*)$/isu.exec(text);
  if (match === null) return undefined;
  const [, host = '', path = ''] = match;
  if (/[?#]/u.test(text) || !['', 'localhost'].includes(host.toLowerCase())) return undefined;
  if (/^\/?[a-z][:|](?:\/|$)/iu.test(path)) return undefined;
  const bytes: number[] = [];
  for (const [part] of Buffer.from(path)
    .toString('latin1')
    .matchAll(/%[0-9a-f]{2}|[^]/giu))
    bytes.push(part.length === 3 ? Number.parseInt(part.slice(1), 16) : part.charCodeAt(0));
  return bytes.includes(0) ? undefined : normal(Buffer.from(bytes));
}

function normal(bytes: Buffer): Buffer {
  const names: string[] = [];
  for (const name of bytes.toString('latin1').split(/\/+/u)) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return Buffer.from(`/${names.join('/')}`, 'latin1');
}

/** Whether a path is below a directory, by its text. */
export function isBelow(path: Buffer, folder: string): boolean {
  return path.toString('latin1').startsWith(`${Buffer.from(folder).toString('latin1')}/`);
}
