import { type SpawnOptions, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { expectSoon } from '../../support/unit-wait.ts';

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs the command line with an empty standard input, as a user does. */
async function cli(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const options: SpawnOptions = {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...env },
  };
  const child = spawn(process.execPath, [`${root}src/main.ts`, ...args], options);
  try {
    const { stdout, stderr } = child;
    if (stdout === null || stderr === null) throw new Error('It has no pipes.');
    const status = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    const [out, err, code] = await expectSoon(
      `the end of ${args.join(' ')}`,
      Promise.all([text(stdout), text(stderr), status]),
    );
    return { status: code, stdout: out, stderr: err };
  } finally {
    child.kill('SIGKILL');
  }
}

describe.concurrent('the command line', () => {
  it('prints the version of the package', async ({ expect }) => {
    const { version } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { version: string };
    expect(await cli(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('prints help with examples of every command', async ({ expect }) => {
    const { status, stdout, stderr } = await cli(['--help']);
    expect([status, stderr]).toEqual([0, '']);
    const examples = stdout.slice(stdout.indexOf('Examples:'));
    for (const command of ['serve', 'run', 'shell', 'doctor', 'schema']) {
      expect(examples).toContain(`exec-server ${command}`);
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    }
  });

  it.each(['serve', 'run', 'shell', 'doctor', 'schema'])('prints help of %s', async (command) => {
    const { status, stdout, stderr } = await cli([command, '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Usage: exec-server ${command}`);
  });

  it.each([
    [['--no-such-flag'], 'unknown option'],
    [['serve', '--no-such-flag'], 'unknown option'],
    [['no-such-command'], 'no-such-command'],
    [['serve', 'extra'], 'too many arguments'],
    [['serve', '--listen'], 'argument missing'],
    [['--listen', 'stdio', '--listen', 'stdio'], '--listen may be given once'],
    [['run'], 'missing required argument'],
    [['run', '--timeout', 'soon', '--', 'true'], 'positive number of seconds'],
    [['run', '--timeout', '0', '--', 'true'], 'positive number of seconds'],
    [['run', '--timeout', '-1', '--', 'true'], 'positive number of seconds'],
    [['schema', 'extra'], 'too many arguments'],
  ])('exits with 2 for the usage error %j', async (args, named) => {
    const { status, stdout, stderr } = await cli(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(named);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it.each([
    [['--listen', 'ws://localhost:0'], {}, 'Error: --listen: "ws://localhost:0" has no literal address'],
    [['serve', '--listen', 'tcp://127.0.0.1:0'], {}, 'Error: --listen: "tcp://127.0.0.1:0" is not supported'],
    [['--log-level', 'loud'], {}, 'Error: --log-level: '],
    [['serve'], { EXEC_SERVER_LISTEN: 'off' }, 'Error: --listen: "off" is not supported'],
    [['shell'], {}, 'Error: shell needs a terminal'],
    [
      ['run', '--url', 'http://127.0.0.1:1', '--', 'true'],
      {},
      'Error: The URL of an executor begins with ws://',
    ],
    [['run', '--url', 'ws://127.0.0.1:1', '--', 'true'], {}, 'Error: The executor cannot be reached'],
    [['run', '--', '/no/such/program'], {}, '(os error 2)'],
  ] as [string[], Record<string, string>, string][])(
    'exits with 1 for %j %j, with one line and no stack',
    async (args, env, named) => {
      const { status, stdout, stderr } = await cli(args, env);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toContain(named);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    },
  );

  it('exits with the status of the program that it has run', async ({ expect }) => {
    const outcome = await cli(['run', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(outcome).toEqual({ status: 7, stdout: 'out\n', stderr: 'err\n' });
  });

  it('leaves the flags of the program to the program', async ({ expect }) => {
    expect(await cli(['run', 'printf', '%s|', '--help', '--url', '-x'])).toMatchObject({
      status: 0,
      stdout: '--help|--url|-x|',
    });
  });

  it('prints the schemas of the protocol as JSON', async ({ expect }) => {
    const { status, stdout } = await cli(['schema']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      requests: { 'process/start': { params: { type: 'object' } } },
    });
  });
});
