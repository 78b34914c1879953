import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { IgnoreRules, rulesBelow } from '../../../src/disk/ignore-rules.ts';

const paths = [
  'a',
  'b',
  'a/b',
  'a/b/c',
  'a/x/b',
  'a.log',
  'logs/a.log',
  'logs/keep.log',
  'build/',
  'src/build/',
  'src/build.ts',
  'x/y/z/file.txt',
  '#comment',
  '!bang',
  'trailing ',
  'd[1].txt',
  'd1.txt',
  'dé',
  'a-b',
  'ab',
  'aXb',
  '.hidden',
  'foo/bar/baz',
  'foo/baz',
  'back\\slash',
];

/** What git makes of the same lines: whether each path itself is ignored, its parents apart. */
function askGit(lines: readonly string[]): string[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'exec-ignore-'));
  try {
    execFileSync('git', ['init', '-q', folder]);
    writeFileSync(path.join(folder, '.gitignore'), `${lines.join('\n')}\n`);
    for (const each of paths) {
      if (!each.endsWith('/')) continue;
      mkdirSync(path.join(folder, each), { recursive: true });
    }
    const asked = paths.map((each) => each.replace(/\/$/, ''));
    // Its status is 1 where nothing is ignored.
    const { stdout } = spawnSync('git', ['check-ignore', '-z', '--no-index', '--stdin', '-v', '-n'], {
      cwd: folder,
      input: `${asked.join('\0')}\0`,
      encoding: 'utf8',
    });
    const fields = stdout.split('\0');
    return asked.filter((_, index) => {
      const pattern = fields[index * 4 + 2] ?? '';
      return pattern !== '' && !pattern.startsWith('!');
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same as a walk finds it: a path below an ignored directory is never reached. */
function ignored(lines: readonly string[]): string[] {
  const rules = new IgnoreRules(lines);
  return paths
    .filter((each) => {
      const names = each.replace(/\/$/, '').split('/');
      return names.some((_, index) => {
        const isLast = index === names.length - 1;
        return rules.ignores(names.slice(0, index + 1).join('/'), !isLast || each.endsWith('/'));
      });
    })
    .map((each) => each.replace(/\/$/, ''));
}

const hasGit = spawnSync('git', ['--version']).status === 0;

describe('rules', () => {
  test
    .skipIf(!hasGit)
    .each([
      [['*.log', '!keep.log']],
      [['build/']],
      [['/a']],
      [['a/b']],
      [['a/**/b']],
      [['**/b']],
      [['a/**']],
      [['foo/**/baz']],
      [['# nothing', '', String.raw`\#comment`, String.raw`\!bang`]],
      [[String.raw`trailing\ `]],
      [['d[0-9].txt']],
      [['d[!0-9].txt', String.raw`d\[1].txt`]],
      [['a?b']],
      [['a[-X]b']],
      [['a*b']],
      [['x/*/z']],
      [['.*']],
      [['*', '!/src', '!/src/**']],
      [[String.raw`back\\slash`]],
      [['[']],
      [['/**/c']],
      [['lo*/', 'file.txt']],
    ])('%j means what it means to git', (lines) => {
    expect(ignored(lines)).toStrictEqual(askGit(lines));
  });

  test('of a file below the root hold below it only', () => {
    const lines = rulesBelow('a[1]/b', '*.log\n/top\nx/y\n!keep.log\n# comment\n\nbuild/\n');
    const rules = new IgnoreRules(lines);
    const answers = [
      ['a[1]/b/x.log', true],
      ['a[1]/b/c/d/x.log', true],
      ['a[1]/b/keep.log', false],
      ['a[1]/b/top', true],
      ['a[1]/b/c/top', false],
      ['a[1]/b/x/y', true],
      ['a[1]/x.log', false],
      ['a1/b/x.log', false],
      ['x.log', false],
    ] as const;
    expect(answers.map(([each]) => [each, rules.ignores(each, false)])).toStrictEqual(answers);
    expect(rules.ignores('a[1]/b/c/build', true)).toBe(true);
    expect(rules.ignores('a[1]/b/c/build', false)).toBe(false);
  });

  test('that are made to take long do not', () => {
    const rules = new IgnoreRules([`${'*a'.repeat(500)}*b`, `${'**/a/'.repeat(500)}b`]);
    const started = performance.now();
    expect(rules.ignores(`${'a/'.repeat(1000)}${'a'.repeat(255)}`, false)).toBe(false);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
