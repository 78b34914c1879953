import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesWithMatches, ripgrepFinder } from '../../../src/file-system/search/ripgrep.ts';
import { eventually, untilGone } from '../../support/conformance-leftovers.ts';
import { requireRipgrep } from '../../support/search-programs.ts';
import { type TemporaryFolder, temporaryFolder } from '../../support/unit-folder.ts';
import { expectSoon } from '../../support/unit-wait.ts';

const version = '[ "$2" = --version ] && echo "ripgrep 14.1.0" && exit';

async function program(folder: TemporaryFolder, script: string): Promise<string> {
  const file = path.join(folder.path, 'rg');
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

const never = new AbortController().signal;

describe('ripgrep', () => {
  it('is found in PATH, once', async (test) => {
    const found = requireRipgrep(test);
    const finder = ripgrepFinder(undefined, `relative:/nowhere:${path.dirname(found)}`);
    expect(await finder()).toBe(found);
    expect(finder()).not.toBe(undefined);
    expect(await ripgrepFinder(found, undefined)()).toBe(found);
  });

  it('is not there where it is off, missing, older or another program', async () => {
    await using folder = await temporaryFolder();
    expect(await ripgrepFinder('off', process.env['PATH'])()).toBeUndefined();
    expect(await ripgrepFinder(undefined, undefined)()).toBeUndefined();
    expect(await ripgrepFinder('', undefined)()).toBeUndefined();
    expect(await ripgrepFinder('/nowhere/rg', process.env['PATH'])()).toBeUndefined();
    await program(folder, 'echo "ripgrep 11.0.2"');
    expect(await ripgrepFinder(undefined, folder.path)()).toBeUndefined();
    await program(folder, 'echo "rg of another kind"');
    expect(await ripgrepFinder(undefined, folder.path)()).toBeUndefined();
    const file = await program(folder, version);
    expect(await ripgrepFinder(undefined, folder.path)()).toBe(file);
  });

  it('tells the files with matches by their indexes', async (test) => {
    const found = requireRipgrep(test);
    await using folder = await temporaryFolder();
    const names = ['a', '-', '--files', 'b c', 'd\ne', 'none', '\xc3\xa9', '\xff'];
    for (const name of names)
      await writeFile(
        Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from(name, 'latin1')]),
        name === 'none' ? 'y' : 'x\0',
      );
    const options = { directory: folder.path, pattern: '(?-u)\\x78\\x00' };
    expect(await filesWithMatches(found, names, options, never)).toEqual([0, 1, 2, 3, 4, 6, 7]);
    expect(await filesWithMatches(found, ['none'], options, never)).toEqual([]);
  });

  it('does not tell where it fails or could not read a file', async (test) => {
    const found = requireRipgrep(test);
    await using folder = await temporaryFolder();
    const options = { directory: folder.path, pattern: 'x' };
    expect(await filesWithMatches(found, ['missing'], options, never)).toBeUndefined();
    expect(await filesWithMatches('/nowhere/rg', ['a'], options, never)).toBeUndefined();
    expect(await filesWithMatches(found, ['a'], { ...options, pattern: '(' }, never)).toBeUndefined();
    expect(
      await filesWithMatches(found, ['a'], { ...options, directory: '/nowhere' }, never),
    ).toBeUndefined();
  });

  it('is killed when the search ends', async () => {
    await using folder = await temporaryFolder();
    const fake = await program(folder, `${version}\necho $$ > pid.new; mv pid.new pid; exec sleep 1000`);
    const stop = new AbortController();
    const options = { directory: folder.path, pattern: 'x' };
    const answer = filesWithMatches(fake, ['rg'], options, stop.signal);
    const pid = await eventually('the program', async () => {
      const text = await readFile(path.join(folder.path, 'pid'), 'utf8').catch(() => '');
      return text === '' ? undefined : Number(text);
    });
    stop.abort();
    expect(await expectSoon('the answer', answer)).toBeUndefined();
    await untilGone(pid);
  });
});
