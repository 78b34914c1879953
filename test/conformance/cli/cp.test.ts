import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  readFile,
  readdir,
  readlink,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { type Folder, type Server, cli, cliFolder, startServer } from '../../support/cli-program.ts';
import { type Terminals, openTerminals } from '../../support/cli-terminal.ts';
import { expectNothingLeft } from '../../support/conformance-leftovers.ts';

const mark = randomUUID();
const old = new Date('2021-03-04T05:06:07.500Z');
let server: Server;
let terminals: Terminals;
let folder: Folder;

beforeAll(async () => {
  server = await startServer([], { mark });
  terminals = await openTerminals();
});

afterAll(async () => {
  await terminals[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});

beforeEach(async () => {
  folder = await cliFolder();
});

afterEach(async () => folder[Symbol.asyncDispose]());

/** Both ways to go: how each end is written on the command line. */
const ways = [
  { way: 'up', from: (local: string) => local, to: (remote: string) => `env:${remote}` },
  { way: 'down', from: (remote: string) => `env:${remote}`, to: (local: string) => local },
] as const;

describe.each(ways)('cp $way', ({ from, to }) => {
  test('copies a file with its mode and time, and says nothing', async () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 1);
    await put('source', bytes, 0o750);
    expect(await cp(from(folder.at('source')), to(folder.at('copy')))).toEqual(silence);
    expect(await readFile(folder.at('copy'))).toEqual(bytes);
    expect(await describeEntry(folder.at('copy'))).toEqual({ mode: 0o750, time: old.getTime() });
  });

  test('copies an empty file', async () => {
    await put('source', '');
    expect(await cp(from(folder.at('source')), to(folder.at('copy')))).toEqual(silence);
    expect(await readFile(folder.at('copy'), 'utf8')).toBe('');
  });

  test('replaces a file', async () => {
    await put('source', 'new');
    await put('copy', 'old and longer');
    expect(await cp(from(folder.at('source')), to(folder.at('copy')))).toEqual(silence);
    expect(await readFile(folder.at('copy'), 'utf8')).toBe('new');
  });

  test('copies a directory with everything in it with -r', async () => {
    await putTree('tree');
    expect(await cp('-r', from(folder.at('tree')), to(folder.at('copy')))).toEqual(silence);
    expect(await listing(folder.at('copy'))).toEqual(await listing(folder.at('tree')));
    expect(await readlink(folder.at('copy/link'))).toBe('nested/two words.txt');
    expect(await describeEntry(folder.at('copy/nested/run.sh'))).toEqual({
      mode: 0o755,
      time: old.getTime(),
    });
  });

  test('puts a file or a directory into a directory that is there under its own name', async () => {
    await putTree('tree');
    await put('source', 'content');
    await mkdir(folder.at('into'));
    expect(await cp(from(folder.at('source')), to(folder.at('into')))).toEqual(silence);
    expect(await cp('-r', from(folder.at('tree')), to(folder.at('into')))).toEqual(silence);
    expect(await readdir(folder.at('into'))).toEqual(['source', 'tree']);
    expect(await listing(folder.at('into/tree'))).toEqual(await listing(folder.at('tree')));
  });

  test('copies no directory without -r', async () => {
    await putTree('tree');
    expect(await cp(from(folder.at('tree')), to(folder.at('copy')))).toEqual({
      status: 1,
      stdout: '',
      stderr: `Error: ${from(folder.at('tree'))} is a directory; use -r\n`,
    });
    expect(await readdir(folder.path)).toEqual(['tree']);
  });

  test('fails for a source that is not there, and leaves the destination alone', async () => {
    await put('copy', 'old');
    const { status, stdout, stderr } = await cp(from(folder.at('missing')), to(folder.at('copy')));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*no such file or directory.*\n$/i);
    expect(stderr).toContain('missing');
    expect(await readFile(folder.at('copy'), 'utf8')).toBe('old');
  });

  test('fails where the directory of the destination is not there', async () => {
    await put('source', 'content');
    const { status, stdout, stderr } = await cp(from(folder.at('source')), to(folder.at('missing/copy')));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*no such file or directory.*\n$/i);
    expect(await readdir(folder.path)).toEqual(['source']);
  });

  test('leaves special files out and says how many', async () => {
    await putTree('tree');
    await promisify(execFile)('mkfifo', [folder.at('tree/fifo')]);
    const { status, stderr } = await cp('-r', from(folder.at('tree')), to(folder.at('copy')));
    expect([status, stderr]).toEqual([0, 'exec-server: 1 special files were left out\n']);
    expect(await readdir(folder.at('copy'))).toEqual(['empty', 'link', 'nested']);
  });

  test('draws its progress on a terminal', async () => {
    await put('source', randomBytes(5 * 1024 * 1024));
    await putTree('tree');
    const reach = ['--url', server.url];
    const ofFile = await terminals.cli(['cp', ...reach, from(folder.at('source')), to(folder.at('copy'))]);
    expect(await ofFile.ended()).toBe(0);
    expect(lastDrawing(ofFile.text())).toMatch(/^source {2}\[#{24}\] 100% {2}5\.0 MiB {2}\d+\.\d MiB\/s$/);
    const args = ['cp', '-r', ...reach, from(folder.at('tree')), to(folder.at('copies'))];
    const ofTree = await terminals.cli(args);
    expect(await ofTree.ended()).toBe(0);
    expect(lastDrawing(ofTree.text())).toMatch(/^tree {2}\d+\.\d MiB {2}\d+\.\d MiB\/s$/);
  });
});

describe('cp', () => {
  test('works with an executor of its own', async () => {
    await put('source', 'content');
    const args = ['cp', folder.at('source'), `env:${folder.at('copy')}`];
    expect(await cli(args, { mark })).toEqual(silence);
    expect(await readFile(folder.at('copy'), 'utf8')).toBe('content');
  });

  test('takes local paths as relative to where it is started, and ./env: for a local name', async () => {
    await put('env:odd', 'content');
    const up = ['cp', '--url', server.url, './env:odd', `env:${folder.at('up')}`];
    expect(await cli(up, { mark, cwd: folder.path })).toEqual(silence);
    const down = ['cp', '--url', server.url, `env:${folder.at('up')}`, 'down'];
    expect(await cli(down, { mark, cwd: folder.path })).toEqual(silence);
    expect(await readFile(folder.at('down'), 'utf8')).toBe('content');
  });

  test('makes a directory under a relative local path', async () => {
    await putTree('tree');
    const args = ['cp', '-r', '--url', server.url, `env:${folder.at('tree')}`, 'copy'];
    expect(await cli(args, { mark, cwd: folder.path })).toEqual(silence);
    expect(await listing(folder.at('copy'))).toEqual(await listing(folder.at('tree')));
  });

  test.each([
    [['/tmp/a', '/tmp/b'], 'one of the two paths must be of the environment (env:/path)'],
    [['env:/tmp/a', 'env:/tmp/b'], 'one of the two paths must be of the environment (env:/path)'],
    [['/tmp/a', 'env:b'], 'env:b: a path of the environment is absolute, as in env:/tmp/file'],
    [['env:', '/tmp/b'], 'env:: a path of the environment is absolute'],
  ])('refuses the operands %j', async (operands, why) => {
    const { status, stdout, stderr } = await cp(...operands);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`Error: ${why}`);
  });
});

const silence = { status: 0, stdout: '', stderr: '' };

async function cp(...args: readonly string[]) {
  return cli(['cp', '--url', server.url, ...args], { mark });
}

async function put(name: string, content: string | Uint8Array, mode = 0o640): Promise<void> {
  await mkdir(path.dirname(folder.at(name)), { recursive: true });
  await writeFile(folder.at(name), content);
  await chmod(folder.at(name), mode);
  await utimes(folder.at(name), old, old);
}

async function putTree(name: string): Promise<void> {
  await mkdir(folder.at(`${name}/empty`), { recursive: true });
  await put(`${name}/nested/two words.txt`, 'two words');
  await put(`${name}/nested/grün`, randomBytes(1024));
  await put(`${name}/nested/run.sh`, '#!/bin/sh\n', 0o755);
  await symlink('nested/two words.txt', folder.at(`${name}/link`));
}

/** Every path below with what is in it. */
async function listing(root: string): Promise<[string, string][]> {
  const names = (await readdir(root, { recursive: true })).toSorted();
  return Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const full = path.join(root, name);
      return [name, (await lstat(full)).isDirectory() ? 'directory' : await readFile(full, 'base64')];
    }),
  );
}

async function describeEntry(file: string): Promise<{ mode: number; time: number }> {
  const { mode, mtime } = await lstat(file);
  return { mode: mode & 0o7777, time: mtime.getTime() };
}

/** What stays on the line that is drawn again and again. */
function lastDrawing(text: string): string {
  return text.trimEnd().split('\r\u001B[K').at(-1) ?? '';
}
