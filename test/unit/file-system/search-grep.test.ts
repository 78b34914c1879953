import { spawnSync } from 'node:child_process';
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { type EngineAnswer, type EngineOptions, grepWith } from '../../support/search-engines.ts';
import { requireRipgrep } from '../../support/search-programs.ts';
import { type TemporaryFolder, temporaryFolder } from '../../support/unit-folder.ts';

type Files = Readonly<Record<string, string | Uint8Array>>;

async function tree(files: Files): Promise<TemporaryFolder> {
  const folder = await temporaryFolder();
  for (const [file, content] of Object.entries(files)) {
    const path = join(folder.path, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return folder;
}

/** `path:line:text` of each match, with the path below the folder. */
const shown = (folder: TemporaryFolder, { matches }: EngineAnswer): string[] =>
  matches.map(({ path, lineNumber, line }) => `${path.slice(folder.path.length + 1)}:${lineNumber}:${line}`);

describe.each(['the own engine', 'ripgrep'] as const)('a grep search by %s', (engine) => {
  let ripgrep: string | undefined;
  beforeEach((test) => {
    ripgrep = engine === 'ripgrep' ? requireRipgrep(test) : undefined;
  });
  const grep = async (path: string, options: EngineOptions): Promise<EngineAnswer> =>
    grepWith(path, { ...options, ripgrep });

  it('finds lines with all their places', async () => {
    await using folder = await tree({ 'a.txt': 'no\nfoo bar foo\n\nfoo' });
    const { matches, last } = await grep(folder.path, { pattern: 'fo+' });
    const path = join(folder.path, 'a.txt');
    expect(matches).toEqual([
      {
        path,
        lineNumber: 2,
        line: 'foo bar foo',
        submatches: [
          { start: 0, end: 3 },
          { start: 8, end: 11 },
        ],
      },
      { path, lineNumber: 4, line: 'foo', submatches: [{ start: 0, end: 3 }] },
    ]);
    expect(last).toEqual({
      kind: 'done',
      counts: { files: 1, errors: 0, skippedBinary: 0, skippedLarge: 0 },
      truncatedBy: undefined,
    });
  });

  it('counts places in bytes and shows what is not UTF-8 as U+FFFD', async () => {
    await using folder = await tree({ a: Buffer.from('\xc3\xa9x\xff y\n', 'latin1') });
    const { matches } = await grep(folder.path, { pattern: 'x. y' });
    expect(matches).toMatchObject([{ line: 'éx\ufffd y', submatches: [{ start: 2, end: 6 }] }]);
  });

  it('takes CRLF as the end of a line', async () => {
    await using folder = await tree({ a: 'foo\r\nbar foo\r\n\r\nx\r' });
    expect(shown(folder, await grep(folder.path, { pattern: 'foo$' }))).toEqual(['a:1:foo', 'a:2:bar foo']);
    expect(shown(folder, await grep(folder.path, { pattern: '^$' }))).toEqual(['a:3:']);
    expect((await grep(folder.path, { pattern: '.\\r' })).matches.at(-1)).toMatchObject({
      line: 'x',
      submatches: [{ start: 0, end: 1 }],
    });
  });

  it('knows no line behind the last line feed, and none in an empty file', async () => {
    await using folder = await tree({ empty: '', one: 'a\n', open: 'a', two: 'a\n\n' });
    expect(shown(folder, await grep(folder.path, { pattern: 'x*' }))).toEqual([
      'one:1:a',
      'open:1:a',
      'two:1:a',
      'two:2:',
    ]);
    expect((await grep(folder.path, { pattern: 'x*' })).matches[0]?.submatches).toEqual([]);
  });

  it('gives each match its own context, also where it overlaps', async () => {
    await using folder = await tree({ a: '1\n2 x\r\n3\n4 x\n5' });
    const { matches } = await grep(folder.path, { pattern: 'x', before: 2, after: 2 });
    expect(matches).toMatchObject([
      { lineNumber: 2, before: ['1'], after: ['3', '4 x'] },
      { lineNumber: 4, before: ['2 x', '3'], after: ['5'] },
    ]);
    const [first] = (await grep(folder.path, { pattern: 'x', before: 1 })).matches;
    expect(first).toMatchObject({ before: ['1'] });
    expect(first).not.toHaveProperty('after');
  });

  it('cuts long lines, around the first match where that is far out', async () => {
    const long = limits.searchLineBytes;
    await using folder = await tree({
      early: `x${'é'.repeat(long)}`,
      late: `${'é'.repeat(long)}x${'b'.repeat(2 * long)}`,
    });
    const [early, late] = (await grep(folder.path, { pattern: 'x' })).matches;
    expect(early).toMatchObject({ lineTruncated: true, submatches: [{ start: 0, end: 1 }] });
    expect(early?.line).toBe(`x${'é'.repeat((long - 2) / 2)}`);
    expect(late).toMatchObject({ lineTruncated: true, submatches: [{ start: 2 * long, end: 2 * long + 1 }] });
    const { line = '', lineOffset = 0 } = late ?? {};
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(long);
    expect(Buffer.from(line)[2 * long - lineOffset]).toBe(0x78);
    expect(line).toMatch(/^é+xb+$/);
  });

  it('names a bounded number of places of a line', async () => {
    await using folder = await tree({ a: `${'x '.repeat(1000)}\nx` });
    const { matches } = await grep(folder.path, { pattern: 'x' });
    expect(matches.map(({ submatches }) => submatches.length)).toEqual([limits.lineSubmatches, 1]);
  });

  it('is in the order of the bytes of the paths, then of lines', async () => {
    await using folder = await tree({ 'a/z': 'x', 'a.b': 'x', 'a-b': 'x\nx', 'B/c': 'x', é: 'x' });
    expect(shown(folder, await grep(folder.path, { pattern: 'x' }))).toEqual([
      'B/c:1:x',
      'a-b:1:x',
      'a-b:2:x',
      'a.b:1:x',
      'a/z:1:x',
      'é:1:x',
    ]);
  });

  it('searches files whose names are odd', async () => {
    await using folder = await tree({
      '-': 'x',
      '--help': 'x',
      '-e': 'x',
      'a\nb': 'x',
      'a b': 'x',
      'é\ufffd': 'x',
    });
    await writeFile(Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from([0xff])]), 'x');
    const { matches } = await grep(folder.path, { pattern: 'x', form: 'uri' });
    expect(matches.map(({ path }) => path.slice(`file://${folder.path}/`.length))).toEqual([
      '-',
      '--help',
      '-e',
      'a%0Ab',
      'a%20b',
      '%C3%A9%EF%BF%BD',
      '%FF',
    ]);
  });

  it('chooses files by include, exclude and hidden names', async () => {
    await using folder = await tree({
      'a.ts': 'x',
      'a.js': 'x',
      'lib/b.ts': 'x',
      'lib/.c.ts': 'x',
      '.git/d.ts': 'x',
      'node_modules/e.ts': 'x',
    });
    const names = async (options: Partial<EngineOptions>): Promise<string[]> =>
      shown(folder, await grep(folder.path, { pattern: 'x', ...options })).map(
        (line) => line.split(':')[0] ?? '',
      );
    expect(await names({ include: ['*.ts'], exclude: ['node_modules', '.git'] })).toEqual([
      'a.ts',
      'lib/.c.ts',
      'lib/b.ts',
    ]);
    expect(await names({ include: ['lib/*'], includeHidden: false })).toEqual(['lib/b.ts']);
    expect(await names({ includeHidden: false })).toEqual(['a.js', 'a.ts', 'lib/b.ts', 'node_modules/e.ts']);
    expect(await names({ exclude: ['**/*.ts', '.git/**'] })).toEqual(['a.js']);
  });

  it('searches a file that it is pointed at, whatever its name', async () => {
    await using folder = await tree({ '.hidden.js': 'a\nx' });
    await symlink('.hidden.js', join(folder.path, 'link'));
    for (const name of ['.hidden.js', 'link']) {
      const path = join(folder.path, name);
      const { matches } = await grep(path, { pattern: 'x', include: ['*.ts'], includeHidden: false });
      expect(matches).toMatchObject([{ path, lineNumber: 2 }]);
    }
  });

  it('follows no link and opens no FIFO', async () => {
    await using folder = await tree({ 'real/a': 'x' });
    await symlink('real', join(folder.path, 'directory'));
    await symlink('real/a', join(folder.path, 'file'));
    expect(spawnSync('mkfifo', [join(folder.path, 'fifo')]).status).toBe(0);
    expect(shown(folder, await grep(folder.path, { pattern: 'x' }))).toEqual(['real/a:1:x']);
  });

  it('skips and counts binary and large files', async () => {
    const far = Buffer.alloc(limits.binaryProbeBytes + 2, 'x\n');
    far[limits.binaryProbeBytes] = 0;
    await using folder = await tree({ binary: 'x\0', far, large: 'x'.repeat(20_000), text: 'x' });
    await writeFile(join(folder.path, 'huge'), 'x');
    await truncate(join(folder.path, 'huge'), 1024 ** 4);
    const { matches, last } = await grep(folder.path, { pattern: '^x$', maxFileBytes: 10_000 });
    expect(new Set(matches.map(({ path }) => path))).toEqual(
      new Set([join(folder.path, 'far'), join(folder.path, 'text')]),
    );
    expect(last).toMatchObject({ counts: { files: 2, skippedBinary: 1, skippedLarge: 2 } });
  });

  it('stops at its bounds, and only says so where there is more', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `f${1000 + index}`);
    await using folder = await tree(
      Object.fromEntries(names.map((name) => [name, name === 'f1001' ? '\0' : 'x\nx\n'])),
    );
    const bounded = async (count: number, bytes = 1_000_000, values = Infinity) =>
      grep(folder.path, { pattern: 'x', bounds: { count, bytes, values } });
    expect((await bounded(598)).last).toMatchObject({ truncatedBy: undefined, counts: { files: 299 } });
    const cut = await bounded(3);
    expect(shown(folder, cut)).toEqual(['f1000:1:x', 'f1000:2:x', 'f1002:1:x']);
    expect(cut.last).toMatchObject({ truncatedBy: 'matches', counts: { files: 2, skippedBinary: 1 } });
    expect((await bounded(2)).last).toMatchObject({ truncatedBy: 'matches', counts: { files: 1 } });
    expect((await bounded(1000, 1000)).last).toMatchObject({ truncatedBy: 'bytes' });
    expect((await bounded(1000, 1_000_000, 24)).matches).toHaveLength(2);
  });
});
