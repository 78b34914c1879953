import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Server, cli, cliFolder, startServer } from '../../support/cli-program.ts';
import { type Terminal, type Terminals, openTerminals, quoted } from '../../support/cli-terminal.ts';
import { requirePrograms } from '../../support/conformance-programs.ts';
import { expectNothingLeft } from '../../support/conformance-leftovers.ts';

const mark = randomUUID();
let server: Server;
let terminals: Terminals;

beforeAll(async () => {
  server = await startServer([], { mark });
  terminals = await openTerminals();
});

afterAll(async () => {
  await terminals[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});

const targets: readonly [string, () => readonly string[]][] = [
  ['an executor of its own', () => []],
  ['--url', () => ['--url', server.url]],
];

describe.each(targets)('shell with %s', (_name, flags) => {
  test('runs what is typed, and exits as the shell does', async () => {
    const terminal = await terminals.cli(['shell', ...flags(), '--', '/bin/sh'], { mark });
    await terminal.type('echo "answer $((6 * 7))"\n');
    await terminal.shows('answer 42');
    await terminal.type('test -t 0 && test -t 1 && test -t 2 && echo "tty $((40 + 2))"\n');
    await terminal.shows('tty 42');
    await terminal.type('exit 7\n');
    expect(await terminal.ended()).toBe(7);
  });

  test('starts with the size of this terminal, and passes its changes on', async (context) => {
    requirePrograms(['stty'], context);
    const script = `trap 'echo "now $(stty size)"' WINCH; echo "first $(stty size)"; while read line; do :; done`;
    const size = { rows: 33, cols: 101 };
    const terminal = await terminals.cli(['shell', ...flags(), '--', '/bin/sh', '-c', script], {
      mark,
      size,
    });
    await terminal.shows('first 33 101');
    await terminal.resize({ rows: 44, cols: 132 });
    // dash runs the trap when the read is over.
    await terminal.type('\n');
    await terminal.shows('now 44 132');
    await terminal.type('\x04');
    expect(await terminal.ended()).toBe(0);
  });
});

describe('shell', () => {
  test('needs a terminal', async () => {
    expect(await cli(['shell'], { mark })).toEqual({
      status: 1,
      stdout: '',
      stderr: 'Error: shell needs a terminal; use `exec-server run` for pipes\n',
    });
  });

  test('runs the shell of the user without a program', async () => {
    const terminal = await terminals.cli(['shell'], { mark });
    await terminal.type('echo "answer $((6 * 7))"\n');
    await terminal.shows('answer 42');
    await terminal.type('exit 3\n');
    expect(await terminal.ended()).toBe(3);
  });

  test("sends Ctrl-C, Ctrl-Z and Ctrl-D as bytes: the signals are the other terminal's", async () => {
    const script = `trap 'echo got INT' INT; trap 'echo got TSTP' TSTP; echo ready; cat; cat; cat; echo end`;
    const terminal = await terminals.cli(['shell', '--', '/bin/sh', '-c', script], { mark });
    await terminal.shows('ready');
    await terminal.type('\x03');
    await terminal.shows('got INT');
    await terminal.type('typed\n');
    await terminal.shows(/typed\r+\n[^]*typed/);
    await terminal.type('\x04');
    await terminal.type('\x04');
    await terminal.shows('end');
    expect(await terminal.ended()).toBe(0);
  });

  test('starts in --cwd, with the TERM of this terminal', async () => {
    await using folder = await cliFolder();
    const args = ['shell', '--cwd', folder.path, '--', '/bin/sh', '-c', 'echo "$TERM in $PWD"'];
    const terminal = await terminals.cli(args, { mark, env: { TERM: 'vt220' } });
    expect(await terminal.ended()).toBe(0);
    expect(terminal.text().trimEnd()).toBe(`vt220 in ${folder.path}`);
  });

  test('shows every byte, UTF-8 and control sequences included', async () => {
    const script = String.raw`printf '\033[1mgr\303\274n \360\237\214\262\033[0m\000\377'`;
    const terminal = await terminals.cli(['shell', '--', '/bin/sh', '-c', script], { mark });
    expect(await terminal.ended()).toBe(0);
    expect(terminal.text()).toBe('\x1b[1mgrün 🌲\x1b[0m\0\uFFFD');
  });

  test('shows a line feed as it is, which moves straight down for programs that draw with it', async (context) => {
    requirePrograms(['stty'], context);
    const script = String.raw`stty -opost; printf 'one\ntwo\r\nthree'`;
    const terminal = await terminals.cli(['shell', '--', '/bin/sh', '-c', script], { mark });
    expect(await terminal.ended()).toBe(0);
    expect(terminal.text()).toBe('one\ntwo\r\nthree');
  });

  test('exits with 128 and the number of the signal', async () => {
    const terminal = await terminals.cli(['shell', '--', '/bin/sh', '-c', 'kill -KILL $$'], { mark });
    expect(await terminal.ended()).toBe(137);
  });

  test('exits with 1 where there is no such program', async () => {
    const terminal = await terminals.cli(['shell', '--', '/no/such/shell'], { mark });
    expect(await terminal.ended()).toBe(1);
    expect(terminal.text()).toMatch(/^Error: .*\(os error 2\)\r\n$/);
  });
});

describe('the terminal around shell', () => {
  test('is raw meanwhile, and as before when the program has ended', async (context) => {
    requirePrograms(['stty'], context);
    const terminal = await around(['shell', '--', '/bin/sh', '-c', 'echo ready; read line; exit 6']);
    await terminal.shows('ready');
    await terminal.type('secret\r');
    await expectRestored(terminal, 6);
    // The far terminal echoes the line; a near one that is not raw would do so as well.
    expect(terminal.text().match(/secret/g)).toHaveLength(1);
  });

  test('is as before when the program cannot be started', async (context) => {
    requirePrograms(['stty'], context);
    await expectRestored(await around(['shell', '--', '/no/such/shell']), 1);
  });

  test('is as before when the executor goes away', async (context) => {
    requirePrograms(['stty'], context);
    await using other = await startServer([], { mark });
    const terminal = await around([
      'shell',
      '--url',
      other.url,
      '--reconnect',
      '0',
      '--',
      '/bin/sh',
      '-c',
      'echo ready; exec sleep 600',
    ]);
    await terminal.shows('ready');
    other.kill('SIGKILL');
    await expectRestored(terminal, 1);
    expect(terminal.text()).toContain('Error: The connection has ended');
  });

  test('is as before when TERM ends the command', async (context) => {
    requirePrograms(['stty'], context);
    const terminal = await around([
      'shell',
      '--',
      '/bin/sh',
      '-c',
      'echo ready; read line; kill -TERM $PPID; exec sleep 600',
    ]);
    await terminal.shows('ready');
    await terminal.type('\r');
    await expectRestored(terminal, 143);
  });

  /** The command between two looks at its terminal. */
  async function around(args: readonly string[]): Promise<Terminal> {
    const script = `echo "before $(stty -g)"; ${quoted(args)}; echo "status $?"; echo "after $(stty -g)"`;
    return terminals.open(['/bin/sh', '-c', script], { mark });
  }

  async function expectRestored(terminal: Terminal, status: number): Promise<void> {
    await terminal.ended();
    const text = terminal.text();
    expect(text).toContain(`status ${status}\r\n`);
    const [, before] = /before (\S+)/.exec(text) ?? [];
    const [, after] = /after (\S+)/.exec(text) ?? [];
    expect(before).toMatch(/^[\da-f:]+$/);
    expect(after).toBe(before);
  }
});
