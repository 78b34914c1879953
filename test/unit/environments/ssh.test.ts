import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { describe, expect, test } from 'vitest';

import { EnvironmentConfigError } from '../../../src/environments/environment-error.ts';
import { sshArguments } from '../../../src/environments/ssh/arguments.ts';
import { remoteCommand, startInstalled, startProgram } from '../../../src/environments/ssh/scripts.ts';

const run = promisify(execFile);

describe('the command for the other machine', () => {
  test.each(['/bin/sh', '/bin/bash'])('reaches its script as it was given, through %s', async (shell) => {
    const args = [
      'plain',
      "it's",
      '$(touch /tmp/never)',
      '`id`',
      'a\nb',
      '',
      '"',
      '\\',
      '!x',
      '*',
      '-n',
      'é',
    ];
    const command = remoteCommand('printf "<%s>" "$@"', args);
    expect((await run(shell, ['-c', command])).stdout).toBe(args.map((arg) => `<${arg}>`).join(''));
  });

  test('is one line, so that shells of the csh family take it', () => {
    for (const script of [startInstalled, startProgram])
      expect(remoteCommand(script, ['m', 'd'])).not.toContain('\n');
  });

  test('says by the mark that a program is missing, and ends with status 127', async () => {
    const command = remoteCommand(startProgram, ['mark', '/no/such program']);
    const failed = await run('/bin/sh', ['-c', command]).catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: 127,
      stdout: expect.stringMatching(/^\nmark missing Linux \S+\n$/) as string,
    });
  });
});

describe('the arguments of ssh', () => {
  test('ask nobody, forward nothing and leave nothing behind', () => {
    const args = sshArguments({ host: 'build' }, 'run');
    expect(args.slice(-3)).toEqual(['--', 'build', 'run']);
    for (const option of ['BatchMode=yes', 'ControlMaster=no', 'ClearAllForwardings=yes', 'ForwardAgent=no'])
      expect(args).toContain(option);
  });

  test('take what is given, in which options win over what is usual', () => {
    const target = {
      host: 'build',
      user: 'me',
      port: 2222,
      identityFile: '/k',
      configFile: '/c',
      options: { connecttimeout: '3', ProxyJump: 'front' },
    };
    const args = sshArguments(target, 'run');
    expect(args.slice(0, 2)).toEqual(['-F', '/c']);
    expect(args.slice(-9)).toEqual(['-p', '2222', '-l', 'me', '-i', '/k', '--', 'build', 'run']);
    expect(args).toEqual(
      expect.arrayContaining(['connecttimeout=3', 'ProxyJump=front', 'IdentitiesOnly=yes']),
    );
    expect(args).not.toContain('ConnectTimeout=10');
  });

  test.each([
    [{ host: '-oProxyCommand=touch /tmp/never' }, 'host'],
    [{ host: '' }, 'host'],
    [{ host: 'a b' }, 'host'],
    [{ host: 'h', user: '-x' }, 'user'],
    [{ host: 'h', options: { batchmode: 'no' } }, 'options'],
    [{ host: 'h', options: { 'A B': 'x' } }, 'options'],
    [{ host: 'h', options: { User: 'a\nProxyCommand b' } }, 'options'],
  ])('refuse %j', (target, where) => {
    expect(() => sshArguments(target, '')).toThrow(EnvironmentConfigError);
    expect(() => sshArguments(target, '')).toThrow(new RegExp(`^${where}: `));
  });
});
