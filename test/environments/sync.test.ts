import {
  chmod,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { EnvironmentManager } from '../../src/environments/environment-manager.ts';
import { staticProvider } from '../../src/environments/static-provider.ts';
import type { SyncConflict, SyncProgress } from '../../src/environments/sync/options.ts';
import { syncDirectory } from '../../src/environments/sync/sync.ts';
import { syncPair } from '../support/sync-pair.ts';
import { differences, makeTree, snapshotOf, variedEntries } from '../support/transfer-trees.ts';

/** Files with their contents, below a directory that is made. */
async function fill(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
}

const nothing = { sent: [], deleted: [], modes: [], conflicts: [], kept: [], skipped: [], unsettled: [] };

describe.each(['memory', 'websocket'] as const)('sync over %s', (road) => {
  test.each(['up', 'down'] as const)(
    '%s makes the same tree, and finds nothing to do afterwards',
    async (direction) => {
      await using pair = await syncPair(road);
      const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
      makeTree(from, variedEntries);
      const before = snapshotOf(from);
      const first = await pair.sync({ direction });
      expect(differences(before, snapshotOf(from))).toEqual([]);
      expect(differences(before, snapshotOf(to))).toEqual([]);
      expect(first).toMatchObject({ ...nothing, sent: expect.any(Array) as string[] });
      expect(first.sent).toHaveLength(before.size);
      expect(await pair.sync({ direction })).toMatchObject({ ...nothing, sentBytes: 0 });
    },
  );

  test.each(['up', 'down'] as const)('%s moves what has changed, and nothing else', async (direction) => {
    await using pair = await syncPair(road);
    const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
    await fill(from, { 'a.txt': 'one', 'b.txt': 'two', 'dir/c.txt': 'three', 'dir/deep/d.txt': 'four' });
    await pair.sync({ direction });
    await fill(from, { 'a.txt': 'ONE', 'new/e.txt': 'five' });
    await chmod(path.join(from, 'b.txt'), 0o755);
    await rm(path.join(from, 'dir/deep'), { recursive: true });
    const without = await pair.sync({ direction });
    expect(without).toMatchObject({
      sent: ['a.txt', 'new', 'new/e.txt'],
      sentFiles: 2,
      sentBytes: 7,
      extra: 2,
    });
    expect(without.modes).toEqual(['b.txt']);
    const deleting = await pair.sync({ direction, delete: true });
    expect(deleting).toMatchObject({ ...nothing, deleted: ['dir/deep/d.txt', 'dir/deep'] });
    expect(
      differences(snapshotOf(from), snapshotOf(to)).filter((line) => !/"(dir|new)":/.test(line)),
    ).toEqual([]);
  });

  test.each(['up', 'down'] as const)(
    '%s never overwrites what was changed on both sides',
    async (direction) => {
      await using pair = await syncPair(road);
      const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
      await fill(from, { both: '0', mine: '0', theirs: '0', gone: '0', 'deleted here': '0' });
      await pair.sync({ direction });
      await fill(from, { both: 'source', mine: 'source', gone: 'source' });
      await fill(to, { both: 'target', theirs: 'target', 'deleted here': 'target' });
      await rm(path.join(to, 'gone'));
      await rm(path.join(from, 'deleted here'));
      const conflicts: SyncConflict[] = [
        { path: 'both', source: 'changed', target: 'changed' },
        { path: 'deleted here', source: 'deleted', target: 'changed' },
        { path: 'gone', source: 'changed', target: 'deleted' },
      ];
      await expect(pair.sync({ direction, delete: true, onConflict: 'fail' })).rejects.toMatchObject({
        name: 'SyncConflictError',
        conflicts,
      });
      const told = await pair.sync({ direction, delete: true });
      expect(told).toMatchObject({ sent: ['mine'], conflicts, kept: ['theirs'], deleted: [] });
      expect(await readFile(path.join(to, 'both'), 'utf8')).toBe('target');
      expect(await readFile(path.join(from, 'both'), 'utf8')).toBe('source');
      // It stays one until somebody decides.
      const asked: SyncConflict[] = [];
      const decided = await pair.sync({
        direction,
        delete: true,
        onConflict: (conflict) => {
          asked.push(conflict);
          return conflict.path === 'both' ? 'source' : 'keep';
        },
      });
      expect(asked).toEqual(conflicts);
      expect(decided).toMatchObject({ sent: ['both'], kept: ['theirs'] });
      expect(await readFile(path.join(to, 'both'), 'utf8')).toBe('source');
      const forced = await pair.sync({ direction, delete: true, onConflict: 'source' });
      expect(forced).toMatchObject({ sent: ['gone', 'theirs'], deleted: ['deleted here'], conflicts: [] });
      expect((await readdir(to)).sort()).toEqual((await readdir(from)).sort());
    },
  );

  test('changes go up and down in turns', async () => {
    await using pair = await syncPair(road);
    await fill(pair.local, { 'a.txt': '1', 'b.txt': '1' });
    await pair.sync();
    await fill(pair.remote, { 'a.txt': '2' });
    await fill(pair.local, { 'b.txt': '2' });
    expect(await pair.sync({ direction: 'down' })).toMatchObject({ sent: ['a.txt'], kept: ['b.txt'] });
    expect(await pair.sync({ direction: 'up' })).toMatchObject({ sent: ['b.txt'], kept: [] });
    expect(await readFile(path.join(pair.local, 'a.txt'), 'utf8')).toBe('2');
    expect(await readFile(path.join(pair.remote, 'b.txt'), 'utf8')).toBe('2');
  });
});

describe('sync', () => {
  test('without a last run takes equal files as equal, and different ones as conflicts', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { same: 'x', other: 'a', length: 'abc' });
    await fill(pair.remote, { same: 'x', other: 'b', length: 'ab', own: '' });
    expect(await pair.sync()).toMatchObject({
      sent: [],
      conflicts: [
        { path: 'length', source: 'created', target: 'created' },
        { path: 'other', source: 'created', target: 'created' },
      ],
      hashed: { source: 2, target: 2 },
      extra: 1,
    });
    expect(await pair.sync({ onConflict: 'source', delete: 'extra' })).toMatchObject({
      sent: ['length', 'other'],
      deleted: ['own'],
    });
  });

  test('says what it would do, and does nothing', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { a: '1', 'dir/b': '22' });
    const plan = await pair.sync({ dryRun: true });
    expect(plan).toMatchObject({ sent: ['a', 'dir', 'dir/b'], sentFiles: 2, sentBytes: 3 });
    await expect(stat(pair.remote)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('leaves out what is ignored, on both sides, by given rules and by those of files', async () => {
    await using pair = await syncPair();
    const files = {
      'a.txt': '',
      'a.log': '',
      'node_modules/x/y': '',
      'sub/.gitignore': '/own\n',
      'sub/own': '',
      'sub/keep.log': '',
      '.gitignore': '*.log\nnode_modules/\n',
    };
    await fill(pair.local, files);
    const options = { ignoreFiles: ['.gitignore'], ignore: ['!keep.log'] };
    const up = await pair.sync(options);
    expect(up.sent).toEqual(['.gitignore', 'a.txt', 'sub', 'sub/.gitignore', 'sub/keep.log']);
    await fill(pair.remote, { 'b.log': '', 'node_modules/z': '', 'c.txt': '' });
    const down = await pair.sync({ ...options, direction: 'down', delete: 'extra' });
    expect(down).toMatchObject({ sent: ['c.txt'], deleted: [] });
    const mirrored = await pair.sync({ ...options, delete: 'extra' });
    expect(mirrored.deleted).toEqual([]);
    expect(await readdir(path.join(pair.remote, 'node_modules'))).toEqual(['z']);
  });

  test('treats links as it is told', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { 'file.txt': 'content', 'dir/inner': 'x' });
    await symlink('file.txt', path.join(pair.local, 'inside'));
    await symlink('../../../etc/passwd', path.join(pair.local, 'dir/out'));
    await symlink('dir', path.join(pair.local, 'to dir'));
    await expect(pair.sync({ symlinks: 'refuse' })).rejects.toThrow('is a symbolic link');
    await expect(stat(pair.remote)).rejects.toMatchObject({ code: 'ENOENT' });
    const kept = await pair.sync();
    expect(kept.skipped).toEqual([{ path: 'dir/out', why: 'It is a link that leads out of the directory.' }]);
    expect(kept.sent).toEqual(['dir', 'dir/inner', 'file.txt', 'inside', 'to dir']);
    const skipping = { remote: `${pair.remote}-skip`, symlinks: 'skip' } as const;
    expect((await pair.sync(skipping)).sent).toEqual(['dir', 'dir/inner', 'file.txt']);
    await rm(path.join(pair.local, 'dir/out'));
    for (const direction of ['up', 'down'] as const) {
      const remote = direction === 'up' ? `${pair.remote}-follow` : pair.local;
      const local = direction === 'up' ? pair.local : `${pair.local}-follow`;
      const followed = await pair.sync({ local, remote, direction, symlinks: 'follow' });
      expect(followed.sent).toEqual(['dir', 'dir/inner', 'file.txt', 'inside', 'to dir', 'to dir/inner']);
      const to = direction === 'up' ? remote : local;
      expect((await stat(path.join(to, 'to dir/inner'))).isFile()).toBe(true);
      expect(await readFile(path.join(to, 'inside'), 'utf8')).toBe('content');
      expect(await pair.sync({ local, remote, direction, symlinks: 'follow' })).toMatchObject(nothing);
    }
  });

  test.each(['up', 'down'] as const)('%s puts one kind in the place of another one', async (direction) => {
    await using pair = await syncPair();
    const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
    await fill(from, { 'was file': 'x', 'was dir/a': '', 'was dir/sub/b': '', 'was link target': '' });
    await symlink('was link target', path.join(from, 'was link'));
    await pair.sync({ direction });
    await rm(path.join(from, 'was file'));
    await rm(path.join(from, 'was dir'), { recursive: true });
    await rm(path.join(from, 'was link'));
    await fill(from, { 'was file/now/dir': 'y', 'was dir': 'now a file', 'was link': 'now a file' });
    const without = await pair.sync({ direction });
    expect(without.conflicts).toEqual([{ path: 'was dir', source: 'changed', target: 'changed' }]);
    const result = await pair.sync({ direction, delete: true });
    expect(result).toMatchObject({ conflicts: [], sent: ['was dir'] });
    expect(await readFile(path.join(to, 'was file/now/dir'), 'utf8')).toBe('y');
    expect(await readFile(path.join(to, 'was dir'), 'utf8')).toBe('now a file');
    expect((await stat(path.join(to, 'was link'))).isFile()).toBe(true);
    expect(await pair.sync({ direction, delete: true })).toMatchObject(nothing);
  });

  test.each(['up', 'down'] as const)(
    '%s works in read-only directories, and leaves them so',
    async (direction) => {
      await using pair = await syncPair();
      const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
      await fill(from, { 'closed/deep/a': '1', 'closed/deep/b': '1' });
      for (const name of ['closed/deep', 'closed']) await chmod(path.join(from, name), 0o555);
      await chmod(path.join(from, 'closed/deep/a'), 0o444);
      await pair.sync({ direction });
      await writeFile(path.join(from, 'closed/deep/new'), 'x').catch(async () => {
        await chmod(path.join(from, 'closed/deep'), 0o755);
        await writeFile(path.join(from, 'closed/deep/new'), 'x');
        await chmod(path.join(from, 'closed/deep'), 0o555);
      });
      expect(await pair.sync({ direction })).toMatchObject({ ...nothing, sent: ['closed/deep/new'] });
      for (const [name, mode] of [
        ['closed', 0o555],
        ['closed/deep', 0o555],
        ['closed/deep/a', 0o444],
      ] as const) {
        expect([name, (await stat(path.join(to, name))).mode & 0o777]).toEqual([name, mode]);
      }
    },
  );

  test('deletes nothing because the source is another directory than the last time', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { a: '1', b: '2' });
    await pair.sync();
    // A container that was made anew: the same path, and nothing in it.
    await rm(pair.remote, { recursive: true });
    await mkdir(pair.remote);
    expect(await pair.sync({ direction: 'down', delete: true })).toMatchObject({ ...nothing, extra: 2 });
    expect((await readdir(pair.local)).sort()).toEqual(['a', 'b']);
    // And what it has not is not taken for deleted there.
    expect((await pair.sync()).sent).toEqual(['a', 'b']);
    await rename(pair.local, `${pair.local}-away`);
    await expect(pair.sync({ delete: true })).rejects.toThrow('nothing to sync from');
    expect((await readdir(pair.remote)).sort()).toEqual(['a', 'b']);
  });

  test('sees a change that kept size and time', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { a: '1' });
    await utimes(path.join(pair.local, 'a'), 1000, 1000);
    await pair.sync();
    await writeFile(path.join(pair.local, 'a'), '2');
    await utimes(path.join(pair.local, 'a'), 1000, 1000);
    expect((await pair.sync()).sent).toEqual(['a']);
  });

  test('tells how far it is', async () => {
    await using pair = await syncPair();
    await fill(
      pair.local,
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, 'x'.repeat(1000)])),
    );
    const seen: SyncProgress[] = [];
    await pair.sync({ onProgress: (progress) => void seen.push(progress) });
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(['compare', 'transfer', 'verify', 'delete']);
    expect(seen.at(-1)).toMatchObject({ files: 20, filesTotal: 20, bytes: 20_000, bytesTotal: 20_000 });
  });

  test('of one pair runs once at a time', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { a: '' });
    const results = await Promise.allSettled([pair.sync(), pair.sync()]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('takes an environment as well as a client', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { a: '1' });
    const provider = staticProvider([], { includeLocal: true });
    await using manager = await EnvironmentManager.create(provider, { local: { env: {} } });
    const { local, remote } = pair;
    expect((await syncDirectory(manager.get('local'), { local, remote, direction: 'up' })).sent).toEqual([
      'a',
    ]);
    const other = `${pair.local}-2`;
    const down = await syncDirectory(manager.get('local'), { local: other, remote, direction: 'down' });
    expect(down.sent).toEqual(['a']);
  });

  test('needs no memory, but then takes each difference for a conflict', async () => {
    await using pair = await syncPair();
    await fill(pair.local, { a: '1' });
    const { local, remote, client } = pair;
    const options = { local, remote, direction: 'up' } as const;
    expect((await syncDirectory(client, options)).sent).toEqual(['a']);
    await fill(pair.local, { a: '2' });
    expect((await syncDirectory(client, options)).conflicts).toHaveLength(1);
    expect((await syncDirectory(client, { ...options, onConflict: 'source' })).sent).toEqual(['a']);
  });
});
