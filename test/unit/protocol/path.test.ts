import { describe, expect, it } from 'vitest';
import { parsePath, showPath, toFileUri } from '../../../src/protocol/path.ts';
import { Random, seeds } from '../../support/unit-random.ts';

function pathOf(text: string): string {
  const path = parsePath(text);
  if ('problem' in path) throw new Error(`${JSON.stringify(text)} ${path.problem}`);
  return path.bytes.toString('latin1');
}

describe('parsePath', () => {
  it.each([
    ['file:///dir', '/dir'],
    ['file:/dir', '/dir'],
    ['FILE:///dir', '/dir'],
    ['File:/dir', '/dir'],
    ['file://localhost/dir', '/dir'],
    ['file://LocalHost/dir', '/dir'],
    ['file://localhost', '/'],
    ['file://', '/'],
    ['file:///', '/'],
    ['file:/', '/'],
    ['file:dir', '/dir'],
    [' file:///dir', '/dir'],
    ['\tFile:/dir', '/dir'],
    ['file:///with space/ü', '/with space/Ã¼'],
    ['file:///c', '/c'],
    ['file:///cc:/x', '/cc:/x'],
    ['file:///x/C:/y', '/x/C:/y'],
  ])('reads %s as %s', (uri, path) => {
    expect(pathOf(uri)).toBe(path);
    expect(parsePath(uri)).toMatchObject({ form: 'uri' });
  });

  it.each([
    ['file:///a/./b', '/a/b'],
    ['file:///a/b/../c', '/a/c'],
    ['file:///a/./b/../', '/a'],
    ['file:///a/%2e/b/%2e%2e/', '/a'],
    ['file:///a/b/%2E%2E', '/a'],
    ['file:///a/.%2e/b', '/b'],
    ['file:///../../a', '/a'],
    ['file:///..', '/'],
    ['file:///.', '/'],
    ['file:///...', '/...'],
    ['file:///.a/..b', '/.a/..b'],
  ])('removes the dot segments of %s', (uri, path) => {
    expect(pathOf(uri)).toBe(path);
  });

  it.each([
    ['file:///a%20b', '/a b'],
    ['file:///%FF', '/ÿ'],
    ['file:///%ff%FE', '/ÿþ'],
    ['file:///a%2Fb', '/a/b'],
    ['file:///a%2fb', '/a/b'],
    ['file:///100%25', '/100%'],
    ['file:///a%3Fb%23c', '/a?b#c'],
    ['file:///a%', '/a%'],
    ['file:///a%4', '/a%4'],
    ['file:///a%zz', '/a%zz'],
    ['file:///a%252F', '/a%2F'],
  ])('decodes the escapes of %s into the bytes %s', (uri, bytes) => {
    expect(pathOf(uri)).toBe(bytes);
  });

  it('answers no dot segments for a URI, even where an escaped separator makes them', () => {
    expect(pathOf('file:///a/b%2F..%2Fc').split('/')).not.toContain('..');
    expect(pathOf('file:///a%2F.%2Fc').split('/')).not.toContain('.');
  });

  it.each([
    ['', 'an absolute path or a file: URI'],
    ['dir', 'an absolute path or a file: URI'],
    ['./dir', 'an absolute path or a file: URI'],
    ['~/dir', 'an absolute path or a file: URI'],
    [' /dir', 'an absolute path or a file: URI'],
    ['http://x/dir', 'scheme "http"'],
    ['HTTPS://x/dir', 'scheme "https"'],
    ['C:\\x', 'scheme "c"'],
    ['file:///dir?query', 'query'],
    ['file:///dir?', 'query'],
    ['file:///dir#fragment', 'fragment'],
    ['file:///dir#', 'fragment'],
    ['file:///a%00b', 'NUL'],
    ['file:///a\0b', 'NUL'],
  ])('refuses %j, which is no path, and says why', (text, problem) => {
    expect(parsePath(text)).toEqual({
      problem: expect.stringContaining(problem) as string,
      elsewhere: false,
    });
  });

  it.each([
    ['file://host/dir', 'host'],
    ['file://host', 'host'],
    ['file://user@localhost/dir', 'host'],
    ['file://localhost:80/dir', 'host'],
    ['file://127.0.0.1/dir', 'host'],
    ['file:///C:/x', 'Windows drive'],
    ['file:///c:', 'Windows drive'],
    ['file:///C|/x', 'Windows drive'],
    ['file:/C:/x', 'Windows drive'],
    ['file:C:/x', 'Windows drive'],
    ['/a\0b', 'NUL'],
  ])('refuses %j, which cannot be here, and says why', (text, problem) => {
    expect(parsePath(text)).toEqual({ problem: expect.stringContaining(problem) as string, elsewhere: true });
  });

  it.each([
    ['/', '/'],
    ['/dir', '/dir'],
    ['/dir/', '/dir'],
    ['//a///b//', '/a/b'],
    ['/a/./b/../c', '/a/c'],
    ['/../..', '/'],
    ['/100%25', '/100%25'],
    ['/%2Fa', '/%2Fa'],
    ['/a?b#c', '/a?b#c'],
    ['/C:/x', '/C:/x'],
    ['/ü ', '/ü '],
    ['/back\\slash', '/back\\slash'],
  ])('reads the plain path %s as %s', (path, read) => {
    expect(parsePath(path)).toEqual({ bytes: Buffer.from(read), form: 'plain' });
  });

  it.each(['/a/%2e', '/a/%2e%2e', '/a/%2E%2E/b', '/a/.%2e/b'])(
    'takes the escapes of the plain path %s for the name that they are',
    (path) => {
      expect(parsePath(path)).toEqual({ bytes: Buffer.from(path), form: 'plain' });
    },
  );
});

describe('toFileUri', () => {
  it.each([
    ['/', 'file:///'],
    ['/work', 'file:///work'],
    ['/a b', 'file:///a%20b'],
    ['/ü', 'file:///%C3%BC'],
    ['/a?b#c%d', 'file:///a%3Fb%23c%25d'],
    ['/a:b@c$d&e+f,g;h=i', 'file:///a:b@c$d&e+f,g;h=i'],
    ['/back\\slash', 'file:///back%5Cslash'],
    ['/new\nline', 'file:///new%0Aline'],
    ['/%3A', 'file:///%253A'],
    ['/C|^`{}<>"', 'file:///C%7C%5E%60%7B%7D%3C%3E%22'],
    [Buffer.from([0x2f, 0xff, 0x0a]), 'file:///%FF%0A'],
  ])('writes %j as %s', (path, uri) => {
    expect(toFileUri(path)).toBe(uri);
  });

  const parts = ['a', 'Z', '0', ' ', '.', '..', '%', '%2F', '%00', '?', '#', '\\', ':', '|', '\n', '\t'];
  const more = [
    '"',
    "'",
    '&',
    '+',
    '=',
    '@',
    '~',
    '-',
    '_',
    'ü',
    'é',
    '漢',
    '😀',
    '\u0301',
    '\ufeff',
    '\u0001',
  ];

  it.each(seeds)('is read back as the same bytes for random names (seed %i)', (seed) => {
    const random = new Random(seed);
    const name = (): string => {
      const text = Array.from({ length: 1 + random.below(8) }, () => random.pick([...parts, ...more])).join(
        '',
      );
      return /^\.{1,2}$/.test(text) ? `${text}x` : text;
    };
    for (let round = 0; round < 500; round++) {
      const path = `/top/${Array.from({ length: 1 + random.below(5) }, name).join('/')}`;
      const uri = toFileUri(path);
      expect(uri).toMatch(/^file:\/\/\/[!-~]*$/);
      expect(new URL(uri).href, `seed ${seed}: it is written as the URL standard does`).toBe(uri);
      expect(parsePath(uri), `seed ${seed}: ${uri}`).toEqual({ bytes: Buffer.from(path), form: 'uri' });
    }
  });

  it.each(seeds)('is read back as the same bytes for names that are no text (seed %i)', (seed) => {
    const random = new Random(seed);
    for (let round = 0; round < 300; round++) {
      const noise = random.bytes(20).filter((byte) => byte !== 0 && byte !== 0x2f);
      const bytes = Buffer.concat([Buffer.from('/top/x'), noise]);
      expect(parsePath(toFileUri(bytes)), `seed ${seed}`).toEqual({ bytes, form: 'uri' });
    }
  });
});

describe('showPath', () => {
  it('answers in the form of the request', () => {
    expect(showPath(Buffer.from('/a b'), 'uri')).toBe('file:///a%20b');
    expect(showPath(Buffer.from('/a b'), 'plain')).toBe('/a b');
  });
});
