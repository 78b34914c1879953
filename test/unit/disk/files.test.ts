import { execFileSync } from 'node:child_process';
import { constants, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { chmod, readFile, readlink, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { createDirectory } from '../../../src/disk/create-directory.ts';
import { fileTime } from '../../../src/disk/file-time.ts';
import { openEmptied, openRegular } from '../../../src/disk/open-regular.ts';
import { Replacement } from '../../../src/disk/replacement.ts';
import { fileSource } from '../../../src/disk/transfer.ts';
import { errorCodes } from '../../../src/protocol/errors.ts';
import { openFilesIn, temporaryFolder } from '../../support/unit-folder.ts';
import { expectSoon } from '../../support/unit-wait.ts';

const b = (text: string): Buffer => Buffer.from(text);

describe('a time', () => {
  test('keeps its millisecond on the way to the kernel and back', async () => {
    await using temporary = await temporaryFolder();
    const file = join(temporary.path, 'f');
    writeFileSync(file, '');
    const wrong: number[] = [];
    for (let index = 0; index < 2000; index++) {
      const wanted = Math.imul(index, 2_654_435_761) ** 2 % 4_102_444_800_000;
      const milliseconds = Math.floor(Math.abs(wanted));
      await utimes(file, fileTime(milliseconds), fileTime(milliseconds));
      const { mtimeNs } = await stat(file, { bigint: true });
      if (Number(mtimeNs / 1_000_000n) !== milliseconds) wrong.push(milliseconds);
    }
    expect(wrong).toEqual([]);
  });

  test('may be before 1970', async () => {
    await using temporary = await temporaryFolder();
    const file = join(temporary.path, 'f');
    writeFileSync(file, '');
    for (const milliseconds of [-1000, -1500, -1, -86_400_000]) {
      await utimes(file, fileTime(milliseconds), fileTime(milliseconds));
      const { mtimeNs } = await stat(file, { bigint: true });
      expect(Math.floor(Number(mtimeNs) / 1e6)).toBe(milliseconds);
    }
  });
});

describe('the opening of a regular file', () => {
  test('refuses a FIFO, a device, a directory and a socket without waiting, and leaves nothing open', async () => {
    await using temporary = await temporaryFolder();
    const fifo = join(temporary.path, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const open = async (path: string, flags: number): Promise<unknown> =>
      expectSoon(
        `the refusal of ${path}`,
        openRegular(b(path), flags, true).catch((error: unknown) => error),
      );
    for (const flags of [constants.O_RDONLY, constants.O_WRONLY]) {
      expect(await open(fifo, flags)).toMatchObject({ code: errorCodes.invalidRequest });
      expect(await open('/dev/null', flags)).toMatchObject({ code: errorCodes.invalidRequest });
    }
    expect(await open(temporary.path, constants.O_RDONLY)).toMatchObject({ code: errorCodes.invalidRequest });
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test('refuses a link at the end and on the way where none is followed', async () => {
    await using temporary = await temporaryFolder();
    const at = (name: string): Buffer => b(join(temporary.path, name));
    mkdirSync(at('d'));
    writeFileSync(at('d/f'), 'x');
    symlinkSync('d', at('l'));
    symlinkSync('f', at('d/g'));
    for (const [name, code] of [
      ['l/f', 'ENOTDIR'],
      ['d/g', 'ELOOP'],
    ] as const) {
      await expect(openRegular(at(name), constants.O_RDONLY, false)).rejects.toMatchObject({ code });
      const { file } = await openRegular(at(name), constants.O_RDONLY, true);
      await file.close();
    }
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test('empties a file that is there and keeps its mode, and gives a new one its own', async () => {
    await using temporary = await temporaryFolder();
    const at = (name: string): Buffer => b(join(temporary.path, name));
    writeFileSync(at('old'), 'content');
    await chmod(at('old'), 0o751);
    for (const name of ['old', 'new']) {
      const file = await openEmptied(at(name), true, 0o604);
      await file.close();
    }
    const [old, made] = [await stat(at('old')), await stat(at('new'))];
    expect([old.size, old.mode & 0o777, made.mode & 0o777]).toEqual([0, 0o751, 0o604]);
  });

  test('is undone when a source of blocks is given up', async () => {
    await using temporary = await temporaryFolder();
    writeFileSync(join(temporary.path, 'f'), Buffer.alloc(1 << 20));
    const { blocks } = await fileSource(b(join(temporary.path, 'f')), { offset: 0, length: Infinity }, true);
    for await (const block of blocks) {
      expect(block.length).toBeGreaterThan(0);
      break;
    }
    expect(openFilesIn(temporary.path)).toBe(0);
  });
});

describe('a replacement', () => {
  test('appears at its commit, and hands down the mode of the file before', async () => {
    await using temporary = await temporaryFolder();
    const file = join(temporary.path, 'f');
    writeFileSync(file, 'old');
    await chmod(file, 0o640);
    {
      await using replacement = await Replacement.open(b(file), true, 0o777);
      await replacement.file.writeFile('new');
      expect(await readFile(file, 'utf8')).toBe('old');
      await replacement.commit();
    }
    expect(await readFile(file, 'utf8')).toBe('new');
    expect((await stat(file)).mode & 0o7777).toBe(0o640);
    expect(readdirSync(temporary.path)).toEqual(['f']);
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test('leaves nothing where it is not committed', async () => {
    await using temporary = await temporaryFolder();
    {
      await using replacement = await Replacement.open(b(join(temporary.path, 'f')), true, undefined);
      await replacement.file.writeFile('new');
      expect(readdirSync(temporary.path)).toHaveLength(1);
    }
    expect(readdirSync(temporary.path)).toEqual([]);
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test('goes to where a link leads, also a dangling one, and keeps the link', async () => {
    await using temporary = await temporaryFolder();
    const at = (...names: string[]): string => join(temporary.path, ...names);
    mkdirSync(at('d'));
    symlinkSync('d/there', at('l'));
    symlinkSync('l', at('m'));
    for (const text of ['one', 'two']) {
      await using replacement = await Replacement.open(b(at('m')), true, undefined);
      await replacement.file.writeFile(text);
      await replacement.commit();
    }
    expect(await readFile(at('d', 'there'), 'utf8')).toBe('two');
    expect([await readlink(at('m')), await readlink(at('l'))]).toEqual(['l', 'd/there']);
    await expect(Replacement.open(b(at('m')), false, undefined)).rejects.toMatchObject({ code: 'ELOOP' });
  });
});

describe('a directory', () => {
  test('is made with its parents, and a link on the way is refused where none is followed', async () => {
    await using temporary = await temporaryFolder();
    const at = (...names: string[]): Buffer => b(join(temporary.path, ...names));
    await createDirectory(at('a', 'b', 'c'), true, false);
    await createDirectory(at('a', 'b', 'c'), true, false);
    await expect(createDirectory(at('a'), false, false)).rejects.toMatchObject({ code: 'EEXIST' });
    symlinkSync('a', at('l'));
    await expect(createDirectory(at('l', 'x', 'y'), true, false)).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(createDirectory(at('l'), true, false)).rejects.toMatchObject({ code: 'EEXIST' });
    await createDirectory(at('l', 'x', 'y'), true, true);
    expect((await stat(at('a', 'x', 'y'))).isDirectory()).toBe(true);
  });
});
