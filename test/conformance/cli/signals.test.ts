import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Server, main, startCli, startServer } from '../../support/cli-program.ts';
import { type Terminals, openTerminals } from '../../support/cli-terminal.ts';
import { expectNothingLeft, untilGone } from '../../support/conformance-leftovers.ts';

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

/** Names each signal that it gets, and ends with status 9 at the end of its input. */
const counting = `
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => console.log('got ' + name));
  process.stdin.on('end', () => process.exit(9)).resume();
  console.log('ready ' + process.pid);
`;
const program = [process.execPath, '-e', counting];

const targets: readonly [string, () => readonly string[]][] = [
  ['an executor of its own', () => []],
  ['--url', () => ['--url', server.url]],
  ['--command', () => ['--command', `'${process.execPath}' '${main}' serve --listen stdio`]],
];

describe.each(targets)('run with %s', (_name, flags) => {
  test('passes each signal on to the program once, and goes on', async () => {
    await using child = startCli(['run', ...flags(), '--', ...program], { mark });
    const [ready = ''] = (await child.stdout.shows('\n')).split('\n');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      child.kill(signal);
      await child.stdout.shows(`got ${signal}\n`);
    }
    child.kill('SIGINT');
    await child.stdout.shows(/(got SIGINT\n[^]*){2}/);
    child.stdin.end();
    expect(await child.outcome()).toEqual({
      status: 9,
      stdout: `${ready}\ngot SIGINT\ngot SIGTERM\ngot SIGHUP\ngot SIGINT\n`,
      stderr: '',
    });
  });

  test('passes a typed Ctrl-C on to the program once', async () => {
    const terminal = await terminals.cli(['run', ...flags(), '--', ...program], { mark });
    await terminal.shows('ready');
    await terminal.type('\x03');
    await terminal.shows('got SIGINT');
    await terminal.type('\x04');
    expect(await terminal.ended()).toBe(9);
    expect(terminal.text().match(/got SIG\w+/g)).toEqual(['got SIGINT']);
  });
});

describe('run', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('exits as the program does that %s ends', async (signal, status) => {
    await using child = startCli(['run', '--', '/bin/sh', '-c', 'echo $$; exec sleep 600'], { mark });
    const pid = Number(await child.stdout.shows('\n'));
    child.kill(signal);
    expect(await child.outcome()).toMatchObject({ status, stderr: '' });
    await untilGone(pid);
  });

  test('leaves no program of its own executor behind when it is killed', async () => {
    await using child = startCli(['run', '--', '/bin/sh', '-c', 'echo $$; exec sleep 600'], { mark });
    const pid = Number(await child.stdout.shows('\n'));
    child.kill('SIGKILL');
    await child.outcome();
    await untilGone(pid);
  });

  test('leaves no program of an executor that it has started behind when it is killed', async () => {
    const command = ['--command', `'${process.execPath}' '${main}' serve --listen stdio`];
    await using child = startCli(['run', ...command, '--', '/bin/sh', '-c', 'echo $$; exec sleep 600'], {
      mark,
    });
    const pid = Number(await child.stdout.shows('\n'));
    child.kill('SIGKILL');
    await child.outcome();
    await untilGone(pid);
  });
});
