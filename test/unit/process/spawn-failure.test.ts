import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RpcError } from '../../../src/protocol/errors.ts';
import { type TemporaryFolder, openFiles, temporaryFolder } from '../../support/unit-folder.ts';
import { type Launch, RunningChild } from '../../support/unit-process.ts';

const { ENOENT, EACCES, ENOTDIR, E2BIG, ENAMETOOLONG, ELOOP } = constants.errno;

let folder: TemporaryFolder;
const inFolder = (path: string): string => join(folder.path, path);

beforeAll(async () => {
  folder = await temporaryFolder();
  await mkdir(inFolder('bin'));
  const programs: [string, string, number][] = [
    ['plain.txt', 'text', 0o644],
    ['bin/denied', '#!/bin/sh\n', 0o644],
    ['bin/script', 'echo "$#:$1:$2"; exit 7\n', 0o755],
    ['bin/orphan', '#!/nonexistent/interpreter\n', 0o755],
  ];
  for (const [path, text, mode] of programs) {
    await writeFile(inFolder(path), text);
    await chmod(inFolder(path), mode);
  }
  await symlink('loop', inFolder('loop'));
});

afterAll(() => folder[Symbol.asyncDispose]());

/** Pipes and terminals that this process holds. */
function openEnds(): number {
  return openFiles().filter((path) => /^pipe:|\/ptmx$|\/pts\//.test(path)).length;
}

async function failure(argv: readonly string[], launch: Launch): Promise<RpcError> {
  try {
    await using running = await RunningChild.start(argv, { cwd: folder.path, ...launch });
    throw new Error(`It runs, as ${running.child.pid}.`);
  } catch (error) {
    return error as RpcError;
  }
}

describe.each([
  ['pipes', false],
  ['a PTY', true],
])('a start on %s', (_mode, tty) => {
  it.each([
    ['a missing bare program', ['no-such-program'], {}, 'notFound', ENOENT, 'in no directory of the PATH'],
    ['a bare program without PATH', ['no-such-program'], { env: {} }, 'notFound', ENOENT, 'in no directory'],
    ['a bare program that PATH hides', ['sh'], { env: { PATH: '/nowhere' } }, 'notFound', ENOENT, 'PATH'],
    ['a missing absolute program', ['/no/such/program'], {}, 'notFound', ENOENT, 'does not exist'],
    ['a missing relative program', ['bin/none'], {}, 'notFound', ENOENT, 'does not exist'],
    ['a missing interpreter', ['bin/orphan'], {}, 'notFound', ENOENT, 'does not exist'],
    ['a file used as a directory', ['./plain.txt/x'], {}, 'notFound', ENOTDIR, 'does not exist'],
    ['a file that is not executable', ['./plain.txt'], {}, 'permissionDenied', EACCES, 'cannot be executed'],
    ['a directory', ['./bin'], {}, 'permissionDenied', EACCES, 'cannot be executed'],
    [
      'a bare name not executable',
      ['denied'],
      { env: { PATH: 'bin:/bin' } },
      'permissionDenied',
      EACCES,
      'executed',
    ],
    [
      'an argument that is too long',
      ['/bin/true', 'x'.repeat(200_000)],
      {},
      'argumentsTooLong',
      E2BIG,
      'executed',
    ],
    ['a name that is too long', [`/${'x'.repeat(300)}`], {}, 'failed', ENAMETOOLONG, 'cannot be executed'],
    ['a loop of links', ['./loop'], {}, 'failed', ELOOP, 'cannot be executed'],
    ['a missing cwd', ['/bin/true'], { cwd: '/no/such/folder' }, 'badCwd', ENOENT, 'working directory'],
    ['a cwd that is a file', ['/bin/true'], { cwd: '/etc/passwd' }, 'badCwd', ENOTDIR, 'working directory'],
    [
      'a missing cwd and program',
      ['/none'],
      { cwd: '/no/such/folder' },
      'badCwd',
      ENOENT,
      'working directory',
    ],
  ] as [string, string[], Launch, string, number, string][])(
    'names what is wrong with %s',
    async (_, argv, launch, kind, errno, text) => {
      const before = openEnds();
      const error = await failure(argv, { ...launch, tty, pipeStdin: true });
      expect(error).toMatchObject({ name: 'RpcError', code: -32603, data: { kind, errno } });
      expect(error.message).toContain(text);
      expect(error.message).toMatch(new RegExp(`: [^:]+ \\(os error ${errno}\\)$`));
      expect(openEnds()).toBe(before);
    },
  );

  it.each([
    ['an empty program', [''], {}],
    ['a NUL in the program', ['/bin/\0true'], {}],
    ['a NUL in an argument', ['/bin/true', 'a\0b'], {}],
    ['a NUL in a variable', ['/bin/true'], { env: { A: 'a\0b' } }],
    ['a NUL in arg0', ['/bin/true'], { arg0: '\0' }],
  ] as [string, string[], Launch][])('refuses %s', async (_, argv, launch) => {
    const error = await failure(argv, { ...launch, tty });
    expect(error).toMatchObject({ name: 'RpcError', code: -32603, data: { kind: 'badArguments' } });
  });

  it.each([
    ['that is relative with a slash', 'bin/script'],
    ['that begins with a dot', './bin/script'],
    ['that is absolute', '{folder}/bin/script'],
    ['that is in the PATH', 'script'],
  ])('runs a script without an interpreter line %s by sh', async (_, program) => {
    const argv = [program.replace('{folder}', folder.path), 'a b', '*'];
    await using running = await RunningChild.start(argv, {
      cwd: folder.path,
      env: { PATH: `/nowhere:${inFolder('bin')}:/usr/bin:/bin` },
      tty,
    });
    expect((await running.ended())?.code).toBe(7);
    expect(running.text().trim()).toBe('2:a b:*');
  });

  it('looks a bare name up in the PATH of the process, relative folders against its cwd', async () => {
    await using running = await RunningChild.start(['script'], {
      cwd: folder.path,
      env: { PATH: 'bin' },
      tty,
    });
    expect((await running.ended())?.code).toBe(7);
  });

  it('goes on in the PATH behind a file that is not executable', async () => {
    await using other = await temporaryFolder();
    await writeFile(join(other.path, 'denied'), 'exit 9');
    await chmod(join(other.path, 'denied'), 0o755);
    const env = { PATH: `${inFolder('bin')}:${other.path}` };
    await using running = await RunningChild.start(['denied'], { env, tty });
    expect((await running.ended())?.code).toBe(9);
  });

  it('finds a standard program without a PATH', async () => {
    await using running = await RunningChild.start(['sh', '-c', 'exit 4'], { env: {}, tty });
    expect((await running.ended())?.code).toBe(4);
  });

  it('takes arg0 for what the program sees, and argv[0] for the program', async () => {
    await using running = await RunningChild.start(['/bin/sh', '-c', 'cat /proc/$$/cmdline'], {
      arg0: '-other',
      tty,
    });
    await running.ended();
    expect(running.text().split('\0')[0]).toBe('-other');
  });
});
