import { describe, expect, it } from 'vitest';
import { planMounts } from '../../../src/sandbox/mounts.ts';
import { rule, shownMounts, shownPaths, sorted } from '../../support/sandbox-rules.ts';

interface Row {
  readonly title: string;
  readonly rules: readonly string[];
  readonly base?: 'read' | 'write' | 'none';
  readonly mounts: readonly string[];
  readonly placeholders?: readonly string[];
  readonly writable?: readonly string[];
}

const rows: readonly Row[] = [
  { title: 'nothing is granted by no rules', rules: [], base: 'none', mounts: [], writable: [] },
  { title: 'the whole disk is read', rules: ['/:read'], base: 'read', mounts: [], writable: [] },
  { title: 'the whole disk is written', rules: ['/:write'], base: 'write', mounts: [], writable: ['/'] },
  {
    title: 'a denial of the whole disk is where it starts from anyway',
    rules: ['/:none', '/w:read'],
    base: 'none',
    mounts: ['bind ro /w'],
  },
  {
    title: 'what is like its surroundings is not mounted',
    rules: ['/:read', '/w:read', '/w/a:read file'],
    mounts: [],
  },
  {
    title: 'a writable tree in a readable one',
    rules: ['/:read', '/w:write'],
    mounts: ['bind rw /w'],
    writable: ['/w'],
  },
  {
    title: 'a file is mounted like a directory',
    rules: ['/:read', '/w/f:write file'],
    mounts: ['bind rw /w/f'],
    writable: ['/w/f'],
  },
  {
    title: 'a writable tree in a writable one is no mount, and is named all the same',
    rules: ['/:read', '/w:write', '/w/a:write'],
    mounts: ['bind rw /w'],
    writable: ['/w', '/w/a'],
  },
  {
    title: 'what is narrower in a writable tree comes after it',
    rules: ['/:read', '/w:write', '/w/.git:read'],
    mounts: ['bind rw /w', 'bind ro /w/.git'],
    writable: ['/w'],
  },
  {
    title: 'directories between a writable tree and what is narrower in it cannot be moved',
    rules: ['/:read', '/w:write', '/w/a/b/c:read'],
    mounts: ['bind rw /w', 'bind rw /w/a', 'bind rw /w/a/b', 'bind ro /w/a/b/c'],
    writable: ['/w'],
  },
  {
    title: 'each of them once, and before all that is in it',
    rules: ['/:read', '/w:write', '/w/a/b/c:read', '/w/a/b/d:none', '/w/a/e/f:none file', '/w/a.b/c:read'],
    mounts: [
      'bind rw /w',
      'bind rw /w/a',
      'bind rw /w/a/b',
      'bind ro /w/a/b/c',
      'mask /w/a/b/d',
      'bind rw /w/a/e',
      'mask file /w/a/e/f',
      'bind rw /w/a.b',
      'bind ro /w/a.b/c',
    ],
    writable: ['/w'],
  },
  {
    title: 'also where the whole disk is written',
    rules: ['/:write', '/v/t/s:none'],
    base: 'write',
    mounts: ['bind rw /v', 'bind rw /v/t', 'mask /v/t/s'],
    writable: ['/'],
  },
  {
    title: 'nothing is moved in a readable tree, so nothing is held there',
    rules: ['/:read', '/a/b/c:none', '/a/d/e:write'],
    mounts: ['mask /a/b/c', 'bind rw /a/d/e'],
    writable: ['/a/d/e'],
  },
  {
    title: 'denied files, devices and sockets become a file that nobody can open',
    rules: ['/:read', '/w:write', '/w/.env:none file', '/w/s:none other'],
    mounts: ['bind rw /w', 'mask file /w/.env', 'mask file /w/s'],
    writable: ['/w'],
  },
  {
    title: 'a grant in a denied directory can be reached by its name',
    rules: ['/:read', '/w:write', '/w/s:none', '/w/s/a/b:read', '/w/t:none'],
    mounts: ['bind rw /w', 'mask traversable /w/s', 'bind ro /w/s/a/b', 'mask /w/t'],
    writable: ['/w'],
  },
  {
    title: 'a denied directory with a grant in it is closed also where nothing is granted around it',
    rules: ['/:none', '/w:none', '/w/a:none', '/w/a/b:read', '/x:none', '/w/a/b/c:none'],
    base: 'none',
    mounts: ['mask traversable /w', 'mask traversable /w/a', 'bind ro /w/a/b', 'mask /w/a/b/c'],
    writable: [],
  },
  {
    title: 'names that only begin alike have nothing to do with each other',
    rules: ['/:read', '/w:none', '/w.d:write', '/wx/y:write'],
    mounts: ['mask /w', 'bind rw /w.d', 'bind rw /wx/y'],
    writable: ['/w.d', '/wx/y'],
  },
  {
    title: 'each level decides about the next',
    rules: ['/:none', '/a:read', '/a/b:write', '/a/b/c:none', '/a/b/c/d:write', '/a/b/c/d/e:read'],
    base: 'none',
    mounts: [
      'bind ro /a',
      'bind rw /a/b',
      'mask traversable /a/b/c',
      'bind rw /a/b/c/d',
      'bind ro /a/b/c/d/e',
    ],
    writable: ['/a/b', '/a/b/c/d'],
  },
  {
    title: 'what is missing in a writable tree is kept from being made, by a directory of ours',
    rules: ['/:read', '/w:write', '/w/.git:read missing', '/w/s:none missing'],
    mounts: ['bind rw /w', 'bind ro /w/.git', 'mask /w/s'],
    placeholders: ['/w/.git', '/w/s'],
    writable: ['/w'],
  },
  {
    title: 'by its first missing part, below directories that cannot be moved',
    rules: ['/:read', '/w:write', '/w/a/gen/x/y:read missing /w/a/gen'],
    mounts: ['bind rw /w', 'bind rw /w/a', 'bind ro /w/a/gen'],
    placeholders: ['/w/a/gen'],
    writable: ['/w'],
  },
  {
    title: 'two with the same first missing part are one, and the stronger counts',
    rules: ['/:read', '/w:write', '/w/gen/a:read missing /w/gen', '/w/gen/b:none missing /w/gen'],
    mounts: ['bind rw /w', 'mask /w/gen'],
    placeholders: ['/w/gen'],
    writable: ['/w'],
  },
  {
    title: 'nothing is made where nobody can make anything',
    rules: ['/:read', '/a:none missing', '/b:none', '/b/c:none missing', '/d/e:read missing /d'],
    mounts: ['mask /b'],
    writable: [],
  },
  {
    title: 'what is behind a directory that the executor may not enter needs nothing',
    rules: ['/:read', '/w:none', '/w/a:none hidden'],
    mounts: ['mask /w'],
    writable: [],
  },
];

describe('mounts', () => {
  it.each(rows.map((row) => [row.title, row] as const))('%s', (_title, row) => {
    const plan = planMounts(sorted(row.rules.map((text) => rule(text))));
    expect(shownMounts(plan)).toEqual(row.mounts);
    expect(plan.base).toBe(row.base ?? (row.rules.includes('/:read') ? 'read' : 'none'));
    expect(shownPaths(plan.placeholders)).toEqual(row.placeholders ?? []);
    if (row.writable !== undefined) expect(shownPaths(plan.writable)).toEqual(row.writable);
  });

  it('compare what is mounted with what was planned, but for what is only held in its place', () => {
    const { mounts } = planMounts(sorted(['/:read', '/w:write', '/w/a/b:read'].map((text) => rule(text))));
    const seen = mounts.map((mount) => mount.kind === 'bind' && [mount.path.toString(), mount.identity]);
    expect(seen).toEqual([
      ['/w', '1:2'],
      ['/w/a', undefined],
      ['/w/a/b', '1:6'],
    ]);
  });

  it('keep other names of what is granted, where the trees that hold the links are not seen', () => {
    const aliases = ['/elsewhere/link', '/w/inner'].map((path) => Buffer.from(path));
    const granted = [rule('/w:write', { aliases }), rule('/x:none', { aliases: [Buffer.from('/y')] })];
    expect(shownMounts(planMounts(granted))).toEqual(['bind rw /w', 'link /elsewhere/link -> /w']);
    expect(shownMounts(planMounts([rule('/:read'), ...granted]))).toEqual(['bind rw /w', 'mask /x']);
  });

  it('take names as bytes', () => {
    const path = Buffer.from([0x2f, 0xff, 0x2f, 0xfe]);
    const [first, second] = planMounts([
      rule('/:read'),
      rule('/x:write', { path: path.subarray(0, 2), place: path.subarray(0, 2) }),
      rule('/x:read', { path, place: path }),
    ]).mounts;
    expect(first?.path).toEqual(path.subarray(0, 2));
    expect(second?.path).toEqual(path);
  });
});
