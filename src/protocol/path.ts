/** A path as the operating system takes it, with the form in which the client wrote it, so that an answer can use the same. */
export interface EnvironmentPath {
  /** The path's bytes: absolute, without `.` and `..` where it came as a URI. A percent escape can make them other than UTF-8. */
  readonly bytes: Buffer;
  readonly form: 'uri' | 'plain';
}

/**
 * What is wrong with a path. `elsewhere`: it is well-formed, and names something that cannot be on this executor; clients know that as
 * another error than a text that is no path.
 */
export interface PathProblem {
  readonly problem: string;
  readonly elsewhere: boolean;
}

const scheme = /^([a-z][a-z0-9+.-]*):/i;

/** Reads an absolute path or a `file:` URI. */
export function parsePath(text: string): EnvironmentPath | PathProblem {
  const trimmed = text.trimStart();
  if (text.startsWith('/')) return parsePlain(text);
  const name = scheme.exec(trimmed)?.[1]?.toLowerCase();
  if (name === undefined) return wrong('must be an absolute path or a file: URI');
  if (name !== 'file')
    return wrong(`has the scheme "${name}"; only file: URIs and absolute paths name a path here`);
  return parseFileUri(trimmed.slice('file:'.length));
}

const wrong = (problem: string): PathProblem => ({ problem, elsewhere: false });
const elsewhere = (problem: string): PathProblem => ({ problem, elsewhere: true });

function parsePlain(text: string): EnvironmentPath | PathProblem {
  if (text.includes('\0')) return elsewhere('must not contain a NUL character');
  return { bytes: removeDots(Buffer.from(text)), form: 'plain' };
}

/** Unescaped, as Windows writes it; a directory that is called so here has its colon escaped. */
const drive = /^\/?[a-z][:|](\/|$)/i;

function parseFileUri(rest: string): EnvironmentPath | PathProblem {
  if (rest.includes('?')) return wrong('must not have a query');
  if (rest.includes('#')) return wrong('must not have a fragment');
  let path = rest;
  if (rest.startsWith('//')) {
    const slash = rest.indexOf('/', 2);
    const host = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
    if (host !== '' && host.toLowerCase() !== 'localhost')
      return elsewhere('must not name a host other than localhost');
    path = slash < 0 ? '/' : rest.slice(slash);
  }
  if (drive.test(path)) return elsewhere('names a Windows drive, which does not exist on this executor');
  const bytes = percentDecode(path);
  if (bytes.includes(0)) return wrong('must not contain a NUL character');
  return { bytes: removeDots(bytes), form: 'uri' };
}

/** Absolute, without `.`, `..` and empty parts. They are resolved as text, before any link is followed. */
function removeDots(path: Buffer): Buffer {
  const kept: string[] = [];
  for (const part of path.toString('latin1').split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '.' && part !== '') kept.push(part);
  }
  return Buffer.from(`/${kept.join('/')}`, 'latin1');
}

function percentDecode(text: string): Buffer {
  const source = Buffer.from(text);
  const target = Buffer.alloc(source.length);
  let length = 0;
  for (let i = 0; i < source.length; i++) {
    const hex = source[i] === 0x25 ? source.toString('latin1', i + 1, i + 3) : '';
    const escaped = /^[0-9a-f]{2}$/i.test(hex);
    target[length++] = escaped ? Number.parseInt(hex, 16) : (source[i] ?? 0);
    if (escaped) i += 2;
  }
  return target.subarray(0, length);
}

/** Writes an absolute path as a `file:` URI. Bytes that are no UTF-8 are escaped one by one, so that the URI names the same file. */
export function toFileUri(path: string | Uint8Array): string {
  let uri = 'file://';
  for (const byte of typeof path === 'string' ? Buffer.from(path) : path) {
    const char = String.fromCharCode(byte);
    uri += /[A-Za-z0-9/._~!$&'()*+,;=:@-]/.test(char)
      ? char
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return uri.replace(/^(file:\/\/\/[a-z]):(?=\/|$)/i, '$1%3A');
}

/** A path in the form in which the request named its own; as a URI all the same where it is no UTF-8, so that it can be used again. */
export function showPath(bytes: Buffer, form: EnvironmentPath['form']): string {
  const text = bytes.toString();
  return form === 'uri' || !Buffer.from(text).equals(bytes) ? toFileUri(bytes) : text;
}
