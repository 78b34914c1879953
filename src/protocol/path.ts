/** A path as the operating system takes it, with the form in which the client wrote it, so that an answer can use the same. */
export interface EnvironmentPath {
  /** The path's bytes: absolute, without `.` and `..` where it came as a URI. A percent escape can make them other than UTF-8. */
  readonly bytes: Buffer;
  readonly form: 'uri' | 'plain';
}

const scheme = /^([a-z][a-z0-9+.-]*):/i;

/** Reads an absolute path or a `file:` URI. Answers a text that says what is wrong where it is neither. */
export function parsePath(text: string): EnvironmentPath | string {
  if (text.includes('\0')) return 'must not contain a NUL character';
  if (text.startsWith('/')) return { bytes: Buffer.from(text), form: 'plain' };
  const name = scheme.exec(text)?.[1]?.toLowerCase();
  if (name === undefined) return 'must be an absolute path or a file: URI';
  if (name !== 'file') return `has the scheme "${name}"; only file: URIs and absolute paths name a path here`;
  return parseFileUri(text.slice('file:'.length));
}

function parseFileUri(rest: string): EnvironmentPath | string {
  if (rest.includes('?')) return 'must not have a query';
  if (rest.includes('#')) return 'must not have a fragment';
  let path = rest;
  if (rest.startsWith('//')) {
    const slash = rest.indexOf('/', 2);
    const host = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
    if (host !== '' && host.toLowerCase() !== 'localhost') return 'must not name a host other than localhost';
    path = slash < 0 ? '/' : rest.slice(slash);
  }
  if (!path.startsWith('/')) return 'must be an absolute file: URI, such as file:///work';
  if (/^\/[a-z](:|%3a|\|)(\/|$)/i.test(path))
    return 'names a Windows drive, which does not exist on this executor';
  // Dot segments go before decoding: an escaped separator (%2F) is part of the path that it decodes to, not of the URI's structure.
  const bytes = percentDecode(removeDotSegments(path));
  if (bytes.includes(0)) return 'must not contain a NUL character';
  return { bytes, form: 'uri' };
}

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/').slice(1)) {
    const plain = segment.replace(/%2e/gi, '.');
    if (plain === '..') kept.pop();
    else if (plain !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
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

/** Writes an absolute path as a `file:` URI. */
export function toFileUri(path: string): string {
  const escaped = path
    .split('/')
    .map((segment) => encodeURIComponent(segment).replace(/%(3A|40|24|26|2B|2C|3B|3D)/g, decodeURIComponent))
    .join('/');
  return `file://${escaped}`;
}
