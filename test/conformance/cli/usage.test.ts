import { describe, expect, test } from 'vitest';

import { clientNotifications, requests, serverNotifications } from '../../../src/protocol/methods.ts';
import { version } from '../../../src/version.ts';
import { type Outcome, cli, startCli } from '../../support/cli-program.ts';

const commands = ['serve', 'run', 'shell', 'cp', 'ls', 'cat', 'rm', 'stat', 'curl', 'schema'];

interface MessageSchema {
  readonly summary: string;
  readonly params: object;
  readonly result?: object;
}

interface ProtocolSchema {
  readonly requests: Readonly<Record<string, MessageSchema>>;
  readonly notificationsToServer: Readonly<Record<string, MessageSchema>>;
  readonly notificationsToClient: Readonly<Record<string, MessageSchema>>;
}

test.each(['--version', '-V'])('%s prints the version and nothing else', async (flag) => {
  expect(await cli([flag])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

test.each([['--help'], ['-h'], ['help']])('%s lists every command on standard output', async (flag) => {
  const { status, stdout, stderr } = await cli([flag]);
  expect([status, stderr]).toEqual([0, '']);
  for (const command of commands) expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
  const examples = stdout.slice(stdout.indexOf('Examples:'));
  for (const command of ['serve', 'run', 'shell', 'cp', 'cat', 'schema'])
    expect(examples).toContain(`exec-server ${command}`);
});

test.each(commands)('%s --help describes the command and does not run it', async (command) => {
  const { status, stdout, stderr } = await cli([command, '--help']);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(new RegExp(`^Usage: exec-server ${command} `));
});

describe('a usage error', () => {
  test.each([
    ['an unknown command', ['remove-everything'], 'remove-everything'],
    ['an unknown command that help is asked of', ['help', 'remove-everything'], 'Commands:'],
    ['an unknown flag', ['--no-such-flag'], "unknown option '--no-such-flag'"],
    ['an unknown flag of run', ['run', '--no-such-flag', 'true'], "unknown option '--no-such-flag'"],
    ['an unknown flag of shell', ['shell', '--no-such-flag'], "unknown option '--no-such-flag'"],
    ['an unknown flag of cp', ['cp', '--no-such-flag', 'a', 'env:/b'], "unknown option '--no-such-flag'"],
    ['an unknown flag of rm', ['rm', '-x', '/tmp/a'], "unknown option '-x'"],
    ['a flag of another command', ['cat', '-r', '/tmp/a'], "unknown option '-r'"],
    ['a cp without a destination', ['cp', 'a'], "missing required argument 'destination'"],
    ['a cp with three operands', ['cp', 'a', 'b', 'env:/c'], 'too many arguments'],
    ['a cat of nothing', ['cat'], "missing required argument 'paths'"],
    ['an rm of nothing', ['rm', '-f'], "missing required argument 'paths'"],
    ['an ls of nothing', ['ls'], "missing required argument 'path'"],
    ['a stat of two paths', ['stat', '/a', '/b'], 'too many arguments'],
    ['a run of nothing', ['run', '--'], "missing required argument 'argv'"],
    ['a timeout that is no number', ['run', '--timeout', 'soon', '--', 'true'], 'positive number of seconds'],
    ['a timeout of 0', ['run', '--timeout', '0', '--', 'true'], 'positive number of seconds'],
    ['a negative timeout', ['run', '--timeout', '-1', '--', 'true'], 'positive number of seconds'],
    ['an unknown flag of serve', ['serve', '--no-such-flag'], "unknown option '--no-such-flag'"],
    ['a serve with an operand', ['serve', 'extra'], 'too many arguments'],
    ['a schema with an operand', ['schema', 'extra'], 'too many arguments'],
    ['a flag without its value', ['run', '--url'], 'argument missing'],
  ])('exits with 2 for %s and says so on standard error', async (_what, args, named) => {
    const outcome = await cli(args);
    expect(outcome).toMatchObject({ status: 2, stdout: '' });
    expect(outcome.stderr).toContain(named);
    expectNoStack(outcome);
  });
});

describe('schema', () => {
  test('prints every message of the protocol as JSON Schema', async () => {
    const { status, stdout, stderr } = await cli(['schema']);
    expect([status, stderr]).toEqual([0, '']);
    const schema = JSON.parse(stdout) as ProtocolSchema;
    expect(Object.keys(schema.requests)).toEqual(Object.keys(requests));
    expect(Object.keys(schema.notificationsToServer)).toEqual(Object.keys(clientNotifications));
    expect(Object.keys(schema.notificationsToClient)).toEqual(Object.keys(serverNotifications));
    for (const { summary, params, result } of Object.values(schema.requests)) {
      expect(summary).not.toBe('');
      expect(params).toHaveProperty('$schema');
      expect(result).toHaveProperty('$schema');
    }
    expect(schema.requests['process/start']?.params).toMatchObject({
      type: 'object',
      required: expect.arrayContaining(['processId', 'argv']) as unknown,
    });
  });

  test('ends without a stack when nobody reads it', async () => {
    await using child = startCli(['schema']);
    child.abandonStdout();
    expectNoStack(await child.outcome());
  });
});

function expectNoStack({ stderr }: Outcome): void {
  expect(stderr).not.toMatch(/^\s+at |Unhandled|node:internal/m);
}
