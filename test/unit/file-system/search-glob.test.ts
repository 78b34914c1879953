import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { glob } from '../../../src/file-system/search/glob.ts';
import { GlobError } from '../../../src/file-system/search/globs.ts';
import type { FromThread, GlobJob } from '../../../src/file-system/search/messages.ts';
import { type TemporaryFolder, temporaryFolder } from '../../support/unit-folder.ts';

const files = [
  'README.md',
  'a-b',
  'a.ts',
  'a/b.ts',
  'a/b/c.ts',
  'a/node_modules/x/index.ts',
  'node_modules/y.ts',
  '.hidden.ts',
  '.github/ci.ts',
  'a/.secret/key.ts',
  'é.ts',
  'z{1}.ts',
];

async function tree(): Promise<TemporaryFolder> {
  const folder = await temporaryFolder();
  for (const file of files) {
    const path = join(folder.path, file === 'a/b.ts' ? 'a/b.ts' : file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, '');
  }
  await symlink('a', join(folder.path, 'link'));
  await symlink('nowhere', join(folder.path, 'dangling.ts'));
  return folder;
}

function run(path: string, options: Partial<GlobJob>): { paths: string[]; last: FromThread } {
  const paths: string[] = [];
  const job: GlobJob = {
    kind: 'glob',
    root: Buffer.from(path),
    form: 'plain',
    patterns: ['**'],
    exclude: [],
    includeHidden: true,
    includeDirectories: false,
    bounds: { count: 1000, bytes: 1_000_000, values: Infinity },
    ...options,
  };
  const last = glob(job, (message) => {
    if (message.kind === 'results') paths.push(...(message.results.paths ?? []));
  });
  return { paths, last };
}

const below = (path: string, paths: readonly string[]): string[] =>
  paths.map((each) => each.slice(path.length + 1));

describe('a glob search', () => {
  it.each<[string, Partial<GlobJob>, string[]]>([
    [
      'names at the top only, without a slash',
      { patterns: ['*.ts'] },
      ['.hidden.ts', 'a.ts', 'dangling.ts', 'z{1}.ts', 'é.ts'],
    ],
    [
      'hidden names not, unless asked for',
      { patterns: ['*.ts', '.github/*'], includeHidden: false },
      ['.github/ci.ts', 'a.ts', 'dangling.ts', 'z{1}.ts', 'é.ts'],
    ],
    ['files in every directory', { patterns: ['**/c.ts', '**/ci.ts'] }, ['.github/ci.ts', 'a/b/c.ts']],
    [
      'no hidden directory under a wildcard',
      { patterns: ['**/*.ts'], includeHidden: false, exclude: ['node_modules', '?.ts', 'd*'] },
      ['z{1}.ts'],
    ],
    ['what one of several patterns matches, once', { patterns: ['*.md', 'R*'] }, ['README.md']],
    [
      'braces, classes and single characters',
      { patterns: ['a/{b,x}.ts', '[a-b].ts', '?.ts'] },
      ['a.ts', 'a/b.ts', 'é.ts'],
    ],
    ['extended patterns', { patterns: ['!(a|é|z*|.*|d*).ts', 'a/+(b)/*'] }, ['a/b/c.ts']],
    ['escaped characters', { patterns: ['z\\{1\\}.ts'] }, ['z{1}.ts']],
    ['a plain path', { patterns: ['a/b/c.ts', './a.ts', 'nothing/there'] }, ['a.ts', 'a/b/c.ts']],
    [
      'directories, where asked for, before what is in them',
      { patterns: ['a*', 'a/b*', 'a/b/*'], includeDirectories: true },
      ['a', 'a-b', 'a.ts', 'a/b', 'a/b.ts', 'a/b/c.ts'],
    ],
    [
      'links, as entries that nothing is below',
      { patterns: ['link', 'link/**', 'd*'] },
      ['dangling.ts', 'link'],
    ],
    [
      'nothing below an excluded directory',
      { patterns: ['**/*.ts'], exclude: ['node_modules/', '.*', 'a/b/**'] },
      ['a.ts', 'a/b.ts', 'dangling.ts', 'z{1}.ts', 'é.ts'],
    ],
  ])('lists %s', async (_what, options, expected) => {
    await using folder = await tree();
    const { paths, last } = run(folder.path, options);
    expect(below(folder.path, paths)).toEqual(expected);
    expect(last).toMatchObject({ kind: 'done', truncatedBy: undefined });
  });

  it('is in the order of bytes all over', async () => {
    await using folder = await tree();
    const { paths } = run(folder.path, { includeDirectories: true });
    expect(paths.length).toBeGreaterThan(files.length);
    expect(paths).toEqual(
      paths.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
    );
  });

  it('writes URIs, with the bytes of names that are not UTF-8', async () => {
    await using folder = await temporaryFolder();
    const root = Buffer.from(`${folder.path}/`);
    await writeFile(Buffer.concat([root, Buffer.from([0x61, 0xff])]), '');
    await writeFile(Buffer.concat([root, Buffer.from('é b')]), '');
    const { paths } = run(folder.path, { form: 'uri' });
    expect(paths).toEqual([`file://${folder.path}/a%FF`, `file://${folder.path}/%C3%A9%20b`]);
    expect(run(folder.path, {}).paths).toEqual([`${folder.path}/a\ufffd`, `${folder.path}/é b`]);
  });

  it('stops at its bounds, and only says so where there is more', async () => {
    await using folder = await temporaryFolder();
    for (const name of ['a', 'b', 'c']) await writeFile(join(folder.path, name), '');
    const bounded = (count: number, bytes: number) =>
      run(folder.path, { bounds: { count, bytes, values: 9 } });
    expect(bounded(3, 1000).last).toMatchObject({ truncatedBy: undefined });
    expect(bounded(2, 1000)).toMatchObject({
      paths: [join(folder.path, 'a'), join(folder.path, 'b')],
      last: { truncatedBy: 'matches' },
    });
    expect(bounded(3, folder.path.length + 6)).toMatchObject({
      paths: [join(folder.path, 'a')],
      last: { truncatedBy: 'bytes' },
    });
  });

  it.each([
    ['/etc/*', 'is absolute'],
    ['../*', 'leaves the path'],
    ['a/../b', 'leaves the path'],
    ['!a', 'is a negation'],
  ])('refuses the pattern %s', async (pattern, message) => {
    await using folder = await temporaryFolder();
    expect(() => run(folder.path, { patterns: [pattern] })).toThrow(GlobError);
    expect(() => run(folder.path, { patterns: ['*'], exclude: [pattern] })).toThrow(message);
  });
});
