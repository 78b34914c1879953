import { mkdirSync, mkdtempSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { SyncOptions, SyncResult } from '../../src/environments/sync/options.ts';
import { syncDirectory } from '../../src/environments/sync/sync.ts';
import { gatherTree } from '../../src/environments/sync/tree.ts';
import { type HostileAnswers, fileLine, hostilePeer, lines } from '../support/sync-hostile.ts';
import { endOfTar, tarArchive, tarEntry } from '../support/transfer-tar.ts';
import { differences, removeTree, snapshotOf } from '../support/transfer-trees.ts';

let folder: string;
let before: Map<string, string>;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'exec-sync-hostile-')));
  mkdirSync(path.join(folder, 'local'));
  writeFileSync(path.join(folder, 'local/mine'), 'mine');
  // A link of the user's own, which leads out.
  symlinkSync('../outside', path.join(folder, 'local/out'));
  mkdirSync(path.join(folder, 'outside'));
  writeFileSync(path.join(folder, 'outside/file'), 'must stay');
  before = snapshotOf(folder);
});

afterEach(() => removeTree(folder));

async function down(answers: HostileAnswers, options: Partial<SyncOptions> = {}): Promise<SyncResult> {
  const local = path.join(folder, 'local');
  return syncDirectory(hostilePeer(answers), { local, remote: '/remote', direction: 'down', ...options });
}

/** Nothing but what is below `local`, apart from what was there, is another one than before. */
function changes(): string[] {
  return differences(before, snapshotOf(folder)).filter((line) => !line.startsWith('"local":'));
}

describe('a manifest', () => {
  const file = (name: string): object => fileLine(name, 'x');
  const link = (name: string, target: string): object => ({ path: name, kind: 'link', target });

  test.each([
    ['a path that leads up', [file('../x')]],
    [
      'a path that leads up in its middle',
      [{ path: 'a', kind: 'directory', mode: 0o755 }, file('a/../../x')],
    ],
    ['an absolute path', [file('/tmp/x')]],
    ['an empty name', [file('a//b')]],
    ['a dot', [file('./a')]],
    ['a NUL', [file('a\0b')]],
    ['a name that is too long', [file('x'.repeat(5000))]],
    ['something in no directory', [file('a/b')]],
    ['something in a file', [file('a'), file('a/b')]],
    ['something in a link', [link('l', 'dir'), file('l/b')]],
    ['one path twice', [file('a'), file('a')]],
    ['a file without size', [{ path: 'a', kind: 'file', mode: 0o644 }]],
    ['a directory without mode', [{ path: 'a', kind: 'directory' }]],
    ['a kind that is not known', [{ path: 'a', kind: 'device' }]],
    ['a mode beyond all bits', [{ path: 'a', kind: 'directory', mode: 0o177777 }]],
  ])('with %s is refused, and nothing is changed', async (_title, entries) => {
    await expect(down({ manifest: lines(...entries) })).rejects.toMatchObject({ name: 'ConnectionError' });
    expect(changes()).toEqual([]);
  });

  test.each([
    ['no JSON', `${lines()}{"path":\n`],
    ['a line without an end', `${lines()}{"path":"a"`],
    ['a line that never ends', lines() + 'x'.repeat(1024 * 1024)],
  ])('of %s is refused', async (_title, manifest) => {
    await expect(down({ manifest })).rejects.toMatchObject({ name: 'ConnectionError' });
    expect(changes()).toEqual([]);
  });

  test('without an end is bounded', async () => {
    let told = 0;
    async function* endless(): AsyncGenerator<{ path: string; kind: 'other' }[]> {
      for (;;) {
        told += 10_000;
        yield Array.from({ length: 10_000 }, () => ({ path: 'x', kind: 'other' as const }));
      }
    }
    await expect(gatherTree(endless())).rejects.toThrow('one too many');
    expect(told).toBeLessThan(1_100_000);
  });

  test('with links that lead out makes none of them', async () => {
    const links = [link('up', '../outside'), link('root', '/etc/passwd'), link('through', 'a/../../b')];
    const result = await down({ manifest: lines(...links) });
    expect(result.skipped.map(({ path: name }) => name)).toEqual(['root', 'through', 'up']);
    expect(changes()).toEqual([]);
  });

  test('cannot make a sync delete what it has not brought', async () => {
    const result = await down({ manifest: lines() }, { delete: true });
    expect(result).toMatchObject({ deleted: [], extra: 2 });
    expect(changes()).toEqual([]);
  });

  test('cannot make a sync write through a link that is there', async () => {
    const manifest = lines({ path: 'out', kind: 'directory', mode: 0o755 }, fileLine('out/file', 'theirs'));
    const archive = tarArchive(
      tarEntry({ name: 'out/', type: '5' }),
      tarEntry({ name: 'out/file' }, 'theirs'),
    );
    const result = await down({ manifest, archive });
    expect(result.conflicts).toEqual([{ path: 'out', source: 'created', target: 'created' }]);
    expect(changes()).toEqual([]);
    // With the source's say the link itself goes, and not what it leads to.
    await down({ manifest, archive }, { onConflict: 'source' });
    expect(differences(before, snapshotOf(folder)).filter((line) => line.startsWith('"outside'))).toEqual([]);
    expect(readdirSync(path.join(folder, 'local/out'))).toEqual(['file']);
  });
});

describe('an archive', () => {
  const manifest = lines(fileLine('a', 'asked'), fileLine('b', 'asked'));

  test.each([
    ['what nobody has asked for', [tarEntry({ name: 'mine' }, 'theirs')]],
    ['a path that leads up', [tarEntry({ name: '../outside/file' }, 'theirs')]],
    ['an absolute path', [tarEntry({ name: '/tmp/x' }, 'theirs')]],
    ['a link in the place of a file', [tarEntry({ name: 'a', type: '2', linkname: '../outside/file' })]],
    ['a hard link', [tarEntry({ name: 'a', type: '1', linkname: 'mine' })]],
    ['a device', [tarEntry({ name: 'a', type: '3' })]],
    ['a directory in the place of a file', [tarEntry({ name: 'a/', type: '5' })]],
    ['a file below one', [tarEntry({ name: 'a/b' }, 'x')]],
  ])('with %s is refused, and nothing of it is there', async (_title, entries) => {
    await expect(down({ manifest, archive: tarArchive(...entries) })).rejects.toThrow();
    expect(changes()).toEqual([]);
  });

  test.each([
    ['of another size than told', 'much more than was told', []],
    ['whose content is not what its digest says', 'ASKED', ['a']],
  ])('with a file %s leaves it out of step', async (_title, content, placed) => {
    const result = await down({
      manifest,
      archive: (entries) =>
        tarArchive(...entries.map((name) => tarEntry({ name }, name === 'a' ? content : 'asked'))),
    });
    expect(result.sent).toEqual(['b']);
    expect(result.unsettled.map(({ path: name }) => name)).toEqual(['a']);
    expect(readdirSync(path.join(folder, 'local')).sort()).toEqual([...placed, 'b', 'mine', 'out']);
  });

  test('that ends in the middle of a file leaves none of it', async () => {
    const whole = Buffer.concat([
      tarEntry({ name: 'a' }, 'asked'),
      tarEntry({ name: 'b' }, 'asked'),
      endOfTar,
    ]);
    await expect(down({ manifest, archive: whole.subarray(0, 512 + 512 + 512 + 2) })).rejects.toThrow();
    expect(readdirSync(path.join(folder, 'local')).sort()).toEqual(['a', 'mine', 'out']);
  });
});
