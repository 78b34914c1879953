import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';

import { beforeEach, describe, expect, test } from 'vitest';

import { cliArena } from '../../support/cli-arena.ts';
import { cli, startCli } from '../../support/cli-program.ts';

const arena = cliArena();
const { mark } = arena;
const old = new Date('2021-03-04T05:06:07.500Z');
const large = 50 * 1024 * 1024;

async function remote(command: string, ...args: readonly string[]) {
  return cli([command, '--url', arena.server.url, ...args], { mark });
}

async function put(name: string, content: string | Uint8Array = '', mode = 0o640): Promise<string> {
  await writeFile(arena.folder.at(name), content);
  await chmod(arena.folder.at(name), mode);
  await utimes(arena.folder.at(name), old, old);
  return arena.folder.at(name);
}

const silence = { status: 0, stdout: '', stderr: '' };

describe('ls', () => {
  beforeEach(async () => {
    await put('b.txt', 'four');
    await put('.hidden', 'x'.repeat(12_345), 0o4755);
    await mkdir(arena.folder.at('a folder'), { mode: 0o700 });
    await symlink('b.txt', arena.folder.at('link'));
  });

  test('names what is in a directory in order, links and directories marked', async () => {
    const expected = { status: 0, stdout: '.hidden\na folder/\nb.txt\nlink@\n', stderr: '' };
    expect(await remote('ls', arena.folder.path)).toEqual(expected);
    expect(await remote('ls', `env:${arena.folder.path}`)).toEqual(expected);
    expect(await cli(['ls', arena.folder.path], { mark })).toEqual(expected);
  });

  test('adds mode, size and time with -l, those of a link itself', async () => {
    const { status, stdout, stderr } = await remote('ls', '-l', arena.folder.path);
    expect([status, stderr]).toEqual([0, '']);
    const [hidden, inner, file, link, ...rest] = stdout.split('\n');
    expect(hidden).toBe('4755        12345 2021-03-04T05:06:07.500Z .hidden');
    expect(inner).toMatch(/^0700 +\d+ \d{4}-\d\d-\d\dT\S+Z a folder\/$/);
    expect(file).toBe('0640            4 2021-03-04T05:06:07.500Z b.txt');
    expect(link).toMatch(/^0777 {12}5 \d{4}-\d\d-\d\dT\S+Z link@$/);
    expect(rest).toEqual(['']);
  });

  test('prints nothing for an empty directory', async () => {
    expect(await remote('ls', arena.folder.at('a folder'))).toEqual(silence);
  });

  test('fails for a file', async () => {
    const { status, stdout, stderr } = await remote('ls', arena.folder.at('b.txt'));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*\(os error 20\)\n$/);
  });
});

describe('cat', () => {
  test('writes files one after the other, byte by byte', async () => {
    const bytes = randomBytes(1024 * 1024);
    const [one, two] = [await put('one', bytes), await put('two words', '\0ends without a line feed')];
    await using child = startCli(['cat', '--url', arena.server.url, one, `env:${two}`, one], { mark });
    expect(await child.outcome()).toMatchObject({ status: 0, stderr: '' });
    const expected = Buffer.concat([bytes, Buffer.from('\0ends without a line feed'), bytes]);
    expect(child.stdout.bytes().equals(expected)).toBe(true);
  });

  test('writes a large file whole', async () => {
    const bytes = randomBytes(large);
    await using child = startCli(['cat', await put('large', bytes)], { mark });
    expect(await child.outcome()).toMatchObject({ status: 0, stderr: '' });
    expect(digest(child.stdout.bytes())).toBe(digest(bytes));
  });

  test('writes what comes before a missing file, and fails', async () => {
    const { status, stdout, stderr } = await remote(
      'cat',
      await put('one', 'one'),
      arena.folder.at('missing'),
    );
    expect([status, stdout]).toEqual([1, 'one']);
    expect(stderr).toMatch(/^Error: .*\(os error 2\)\n$/);
  });

  test('fails for a directory', async () => {
    const { status, stdout, stderr } = await remote('cat', arena.folder.path);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*\n$/);
  });

  test('ends without a stack when nobody reads it any more', async () => {
    await using child = startCli(['cat', await put('large', Buffer.alloc(large))], { mark });
    await child.stdout.shows('\0');
    child.abandonStdout();
    const { stderr } = await child.outcome();
    expect(stderr).not.toMatch(/^\s+at |Unhandled|node:internal/m);
  });
});

describe('rm', () => {
  test('removes files and links, and not what a link leads to', async () => {
    const [one, two, kept] = [await put('one'), await put('two'), await put('kept')];
    await symlink(kept, arena.folder.at('link'));
    expect(await remote('rm', one, `env:${two}`, arena.folder.at('link'))).toEqual(silence);
    expect(await readdir(arena.folder.path)).toEqual(['kept']);
  });

  test('removes a directory with everything in it with -r, and nothing without', async () => {
    await mkdir(arena.folder.at('tree/nested'), { recursive: true });
    await put('tree/nested/file');
    const refused = await remote('rm', arena.folder.at('tree'));
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^Error: .*\n$/);
    expect(await readdir(arena.folder.path, { recursive: true })).toHaveLength(3);
    expect(await remote('rm', '-r', arena.folder.at('tree'))).toEqual(silence);
    expect(await readdir(arena.folder.path)).toEqual([]);
  });

  test('fails for a missing path, and not with -f', async () => {
    const { status, stdout, stderr } = await remote('rm', arena.folder.at('missing'));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*\(os error 2\)\n$/);
    expect(await remote('rm', '-f', arena.folder.at('missing'))).toEqual(silence);
    expect(await remote('rm', '-r', '-f', arena.folder.at('missing'), await put('there'))).toEqual(silence);
    expect(await readdir(arena.folder.path)).toEqual([]);
  });
});

describe('stat', () => {
  test('describes a file', async () => {
    const { status, stdout, stderr } = await remote('stat', await put('file', 'four'));
    expect([status, stderr]).toEqual([0, '']);
    expect(facts(stdout)).toMatchObject({
      isFile: 'true',
      isDirectory: 'false',
      isSymlink: 'false',
      size: '4',
      modifiedAtMs: String(old.getTime()),
      links: '1',
    });
  });

  test('describes a directory, and a link itself, with or without env:', async () => {
    await symlink('nowhere', arena.folder.at('link'));
    expect(facts((await remote('stat', arena.folder.path)).stdout)).toMatchObject({ isDirectory: 'true' });
    expect(facts((await remote('stat', `env:${arena.folder.at('link')}`)).stdout)).toMatchObject({
      isSymlink: 'true',
      isFile: 'false',
    });
  });

  test('prints the mode in octal, as ls -l does', async () => {
    expect(facts((await remote('stat', await put('file', '', 0o640))).stdout)).toMatchObject({
      mode: '0640',
    });
  });
});

test.each([
  ['ls', []],
  ['cat', []],
  ['rm', []],
  ['stat', []],
])('%s names the path that is not there', async (command) => {
  const { status, stderr } = await remote(command, arena.folder.at('missing'));
  expect(status).toBe(1);
  expect(stderr).toContain(arena.folder.at('missing'));
});

test.each(['ls', 'cat', 'rm', 'stat'])('%s refuses a relative path', async (command) => {
  const { status, stdout, stderr } = await remote(command, 'relative');
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^Error: .*absolute.*\n$/);
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function facts(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .trimEnd()
      .split('\n')
      .map((line) => {
        const colon = line.indexOf(': ');
        return [line.slice(0, colon), line.slice(colon + 2)];
      }),
  );
}
