import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { Folder, followLinks, joinPath, onPath, splitLast } from '../../../src/disk/folder.ts';
import { openFilesIn, temporaryFolder } from '../../support/unit-folder.ts';

const b = (text: string): Buffer => Buffer.from(text);

describe('parts of a path', () => {
  test.each([
    ['/a/b', '/a', 'b'],
    ['/a/b/', '/a', 'b'],
    ['/a/b///', '/a', 'b'],
    ['/a', '/', 'a'],
    ['/', '/', ''],
    ['//', '/', ''],
  ])('%s is split into %s and %s', (path, parent, name) => {
    const parts = splitLast(b(path));
    expect([parts.parent.toString(), parts.name.toString()]).toEqual([parent, name]);
  });

  test('a name is joined with one slash, also to the root', () => {
    expect(joinPath(b('/'), b('a')).toString()).toBe('/a');
    expect(joinPath(b('/a'), b('b')).toString()).toBe('/a/b');
  });
});

describe('a folder that is held open', () => {
  test('is opened through links where they are followed, and else refuses each of them', async () => {
    await using temporary = await temporaryFolder();
    await mkdir(join(temporary.path, 'a', 'b'), { recursive: true });
    await writeFile(join(temporary.path, 'a', 'b', 'f'), '');
    await symlink('a', join(temporary.path, 'l'));
    await using followed = await Folder.open(b(join(temporary.path, 'l', 'b')), true);
    expect(String(await followed.names())).toBe('f');
    await expect(Folder.open(b(join(temporary.path, 'l', 'b')), false)).rejects.toMatchObject({
      code: 'ENOTDIR',
    });
    await expect(Folder.open(b(join(temporary.path, 'l')), false)).rejects.toMatchObject({ code: 'ENOTDIR' });
    await using plain = await Folder.open(b(join(temporary.path, 'a', 'b')), false);
    expect(String(await plain.names())).toBe('f');
  });

  test('refuses what is no directory, and what is not there', async () => {
    await using temporary = await temporaryFolder();
    await writeFile(join(temporary.path, 'f'), '');
    for (const follow of [true, false]) {
      await expect(Folder.open(b(join(temporary.path, 'f')), follow)).rejects.toMatchObject({
        code: 'ENOTDIR',
      });
      await expect(Folder.open(b(join(temporary.path, 'x')), follow)).rejects.toMatchObject({
        code: 'ENOENT',
      });
    }
  });

  test('leaves no descriptor behind, whether it opens or not', async () => {
    await using temporary = await temporaryFolder();
    await mkdir(join(temporary.path, 'a', 'b'), { recursive: true });
    await symlink('a', join(temporary.path, 'l'));
    for (const name of ['a/b', 'l/b', 'a/x', 'a/b/x/y']) {
      const folder = await Folder.open(b(join(temporary.path, name)), false).catch(() => undefined);
      await folder?.[Symbol.asyncDispose]();
    }
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test.skipIf(process.platform !== 'linux')(
    'stays the same directory when its name leads elsewhere',
    async () => {
      await using temporary = await temporaryFolder();
      const at = (...names: string[]): string => join(temporary.path, ...names);
      await mkdir(at('real'));
      await mkdir(at('outside'));
      await writeFile(at('outside', 'f'), 'outside');
      await using folder = await Folder.open(b(at('real')), false);
      await rename(at('real'), at('moved'));
      await symlink('outside', at('real'));
      await writeFile(folder.entry(b('f')), 'inside');
      expect(await readFile(at('moved', 'f'), 'utf8')).toBe('inside');
      expect(await readFile(at('outside', 'f'), 'utf8')).toBe('outside');
    },
  );

  test('makes a folder, is satisfied with one that is there, and never takes a link for one', async () => {
    await using temporary = await temporaryFolder();
    await mkdir(join(temporary.path, 'outside'));
    await symlink('outside', join(temporary.path, 'l'));
    await writeFile(join(temporary.path, 'f'), '');
    await using folder = await Folder.open(b(temporary.path), false);
    await using made = await folder.makeFolder(b('new'));
    await using again = await folder.makeFolder(b('new'));
    expect([await made.names(), await again.names()]).toEqual([[], []]);
    await expect(folder.makeFolder(b('l'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(folder.makeFolder(b('f'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  });
});

describe('an operation on a path that follows no link', () => {
  test('never writes into the other tree while a directory and a link are swapped', async () => {
    await using temporary = await temporaryFolder();
    const at = (...names: string[]): string => join(temporary.path, ...names);
    await mkdir(at('outside'));
    await mkdir(at('dir'));
    await symlink('outside', at('link'));
    let swapping = true;
    const swaps = (async () => {
      while (isOn()) {
        await rename(at('dir'), at('aside'));
        await rename(at('link'), at('dir'));
        await rename(at('dir'), at('link'));
        await rename(at('aside'), at('dir'));
      }
    })();
    function isOn(): boolean {
      return swapping;
    }
    const seen = new Set<string>();
    try {
      for (let round = 0; round < 1500; round++) {
        const outcome = await onPath(b(at('dir', 'f')), false, (reached) =>
          writeFile(reached, `${round}`),
        ).then(
          () => 'written',
          (error: NodeJS.ErrnoException) => String(error.code),
        );
        seen.add(outcome);
      }
    } finally {
      swapping = false;
      await swaps;
    }
    await expect(readFile(at('outside', 'f'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect([...seen].filter((outcome) => !['written', 'ENOTDIR', 'ENOENT'].includes(outcome))).toEqual([]);
    expect(seen).toContain('written');
  });
});

describe('a link', () => {
  test('is followed to its end, also to what is not there, and not for ever', async () => {
    await using temporary = await temporaryFolder();
    const at = (...names: string[]): string => join(temporary.path, ...names);
    await mkdir(at('d'));
    await symlink('d/one', at('a'));
    await symlink('two', at('d', 'one'));
    await symlink(at('loop'), at('loop'));
    expect((await followLinks(b(at('a')))).toString()).toBe(at('d', 'two'));
    expect((await followLinks(b(at('none')))).toString()).toBe(at('none'));
    expect((await followLinks(b(at('loop')))).toString()).toBe(at('loop'));
    await rm(at('loop'));
  });
});
