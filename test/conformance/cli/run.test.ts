import { createHash, randomBytes, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Server, cli, cliFolder, main, startCli, startServer } from '../../support/cli-program.ts';
import { expectNothingLeft, untilGone } from '../../support/conformance-leftovers.ts';

const mark = randomUUID();
const large = 50 * 1024 * 1024;
let server: Server;

beforeAll(async () => {
  server = await startServer([], { mark });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});

/** Everything that `run` can reach, with the flags that name it. */
const targets: readonly [string, () => readonly string[]][] = [
  ['an executor of its own', () => []],
  ['--url', () => ['--url', server.url]],
  ['--command', () => ['--command', `'${process.execPath}' '${main}' serve --listen stdio`]],
];

describe.each(targets)('run with %s', (_name, flags) => {
  test('keeps standard output and standard error apart and exits with the status of the program', async () => {
    expect(await sh('echo out; echo err >&2; exit 7')).toEqual({
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  test('pipes standard input to the program, and its end', async () => {
    expect(await sh('cat; echo end', { input: 'one\ntwo' })).toMatchObject({
      status: 0,
      stdout: 'one\ntwoend\n',
    });
  });

  test('moves 50 MiB in and out without a change', async () => {
    const input = randomBytes(large);
    await using child = startCli(['run', ...flags(), '--', 'tee', '/dev/stderr'], { mark });
    child.stdin.end(input);
    expect((await child.outcome()).status).toBe(0);
    expect([digest(child.stdout.bytes()), digest(child.stderr.bytes())]).toEqual([
      digest(input),
      digest(input),
    ]);
  });

  async function sh(script: string, options: { input?: string } = {}) {
    return cli(['run', ...flags(), '--', '/bin/sh', '-c', script], { mark, ...options });
  }
});

describe('the exit status of run', () => {
  test.each([
    ['KILL', 137],
    ['TERM', 143],
    ['SEGV', 139],
  ])('is 128 and the number of the signal %s that has ended the program', async (signal, status) => {
    expect(await cli(['run', '--', '/bin/sh', '-c', `kill -${signal} $$`], { mark })).toEqual({
      status,
      stdout: '',
      stderr: '',
    });
  });

  test('is 143 after --timeout, which is told on standard error', async () => {
    await using child = startCli([
      'run',
      '--timeout',
      '0.3',
      '--',
      '/bin/sh',
      '-c',
      'echo $$; exec sleep 600',
    ]);
    expect(await child.outcome()).toMatchObject({
      status: 143,
      stderr: 'exec-server: the program was ended after 0.3 s\n',
    });
    await untilGone(Number(child.stdout.bytes().toString()));
  });

  test('is that of a program which ends in time', async () => {
    expect(await cli(['run', '--timeout', '600', '--', '/bin/sh', '-c', 'exit 4'], { mark })).toEqual({
      status: 4,
      stdout: '',
      stderr: '',
    });
  });
});

describe('the standard input of run', () => {
  test('may be empty', async () => {
    expect(await cli(['run', '--', 'cat'], { mark })).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('may stay open when the program ends', async () => {
    await using child = startCli(['run', '--', '/bin/sh', '-c', 'read line; echo "got $line"; exit 5'], {
      mark,
    });
    child.stdin.write('one\n');
    expect(await child.outcome()).toEqual({ status: 5, stdout: 'got one\n', stderr: '' });
  });

  test('may be more than the program reads', async () => {
    const input = Buffer.alloc(large / 2);
    expect(await cli(['run', '--', 'head', '-c', '3'], { mark, input })).toEqual({
      status: 0,
      stdout: '\0\0\0',
      stderr: '',
    });
  });

  test('reaches the program as it is typed', async () => {
    await using child = startCli(['run', '--url', server.url, '--', 'cat'], { mark });
    for (const line of ['first\n', 'second\n']) {
      child.stdin.write(line);
      await child.stdout.shows(line);
    }
    child.stdin.end();
    expect(await child.outcome()).toMatchObject({ status: 0, stdout: 'first\nsecond\n' });
  });
});

describe('the output of run', () => {
  test.each(targets.slice(0, 2))(
    'ends the program when nobody reads it any more: %s',
    async (_name, flags) => {
      const script = 'echo $$ >&2; exec yes';
      await using child = startCli(['run', ...flags(), '--', '/bin/sh', '-c', script], { mark });
      const pid = Number(await child.stderr.shows('\n'));
      await child.stdout.shows('y\n');
      child.abandonStdout();
      const { stderr } = await child.outcome();
      await untilGone(pid);
      expect(stderr).not.toMatch(/^\s+at |Unhandled|node:internal/m);
    },
  );
});

describe('the program of run', () => {
  test('gets the variables of --env, and none that the executor keeps to itself', async () => {
    const script = 'echo "$ONE|$TWO|$THREE|$API_KEY|$HOME"';
    const flags = ['--env', 'ONE=1', '--env', 'TWO=a=b c', '--env', 'THREE=', '--env', 'HOME=/nowhere'];
    expect(
      await cli(['run', ...flags, '--', '/bin/sh', '-c', script], { mark, env: { API_KEY: 'secret' } }),
    ).toEqual({ status: 0, stdout: '1|a=b c|||/nowhere\n', stderr: '' });
  });

  test('starts in --cwd, and without it where the command was started', async () => {
    await using folder = await cliFolder();
    const there = await cli(['run', '--cwd', folder.path, '--', 'pwd'], { mark });
    expect(there).toMatchObject({ status: 0, stdout: `${folder.path}\n` });
    const here = await cli(['run', '--', 'pwd'], { mark, cwd: folder.path });
    expect(here).toMatchObject({ status: 0, stdout: `${folder.path}\n` });
  });

  test('starts where a remote executor is, without --cwd', async () => {
    await using folder = await cliFolder();
    await using other = await startServer([], { mark, cwd: folder.path });
    expect(await cli(['run', '--url', other.url, '--', 'pwd'], { mark })).toMatchObject({
      status: 0,
      stdout: `${folder.path}\n`,
    });
  });

  test('gets its own flags without --, once it is named', async () => {
    expect(await cli(['run', 'printf', '%s|', '-x', '--url', '--', '--help'], { mark })).toMatchObject({
      status: 0,
      stdout: '-x|--url|--|--help|',
    });
  });
});

describe('run fails with status 1 and one line', () => {
  test.each([
    [
      'where there is no such program',
      ['no-such-program'],
      /The program is in no directory of the PATH.*\(os error 2\)/,
    ],
    ['where there is no such path', ['/no/such/program'], /The program, .*does not exist.*\(os error 2\)/],
    ['where the program is a folder', ['/tmp'], /The program cannot be executed.*\(os error 13\)/],
    [
      'where there is no such working directory',
      ['--cwd', '/no/such', '--', 'true'],
      /The working directory cannot be entered.*\(os error 2\)/,
    ],
    [
      'where nothing listens',
      ['--url', 'ws://127.0.0.1:1', '--', 'true'],
      /The executor cannot be reached: .*ECONNREFUSED/,
    ],
    [
      'where the URL is no WebSocket',
      ['--url', 'http://127.0.0.1:1', '--', 'true'],
      /The URL of an executor begins with ws:\/\//,
    ],
    ['where the command speaks another language', ['--command', 'echo hello', '--', 'true'], /./],
    [
      'where the command ends at once',
      ['--command', 'true', '--', 'true'],
      /The command ended, or closed its output/,
    ],
  ])('%s', async (_what, args, message) => {
    const { status, stdout, stderr } = await cli(['run', ...args], { mark });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*\n$/);
    expect(stderr).toMatch(message);
  });

  test('where the executor goes away', async () => {
    await using other = await startServer([], { mark });
    await using child = startCli(
      ['run', '--url', other.url, '--reconnect', '1', '--', '/bin/sh', '-c', 'echo ready; exec sleep 600'],
      { mark },
    );
    await child.stdout.shows('ready');
    other.kill('SIGKILL');
    expect(await child.outcome()).toEqual({
      status: 1,
      stdout: 'ready\n',
      stderr: expect.stringMatching(
        /^exec-server: the connection is lost.*\r\nError: The connection has ended.*\n$/,
      ) as unknown,
    });
  });
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
