import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { cli } from '../support/cli-program.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { TestRendezvous } from '../support/rendezvous-process.ts';
import { type DialledExecutor, startDialledExecutor } from '../support/rendezvous-target.ts';

const mark = randomUUID();
let rendezvous: TestRendezvous;
let executor: DialledExecutor;
let folder: string;
let flags: string[];

beforeAll(async () => {
  rendezvous = await TestRendezvous.start();
  executor = await startDialledExecutor(rendezvous, mark);
  folder = await mkdtemp(path.join(tmpdir(), 'exec-rendezvous-cli-'));
  const tokenFile = path.join(folder, 'token');
  await writeFile(tokenFile, rendezvous.token, { mode: 0o600 });
  const { environmentId } = executor.address;
  flags = ['--rendezvous', rendezvous.url, '--environment-id', environmentId, '--token-file', tokenFile];
});

afterAll(async () => {
  await executor.ended();
  await rendezvous[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
  await expectNothingLeft(mark);
});

describe('commands by way of a rendezvous', () => {
  test('run a program and exit with its status', async () => {
    const outcome = await cli(['run', ...flags, '--', '/bin/sh', '-c', 'echo out; echo err >&2; exit 7'], {
      mark,
    });
    expect(outcome).toEqual({ status: 7, stdout: 'out\n', stderr: 'err\n' });
  });

  test('copy files in both directions', async () => {
    const [from, there, back] = ['from', 'there', 'back'].map((name) => path.join(folder, name)) as [
      string,
      string,
      string,
    ];
    const content = Buffer.alloc(3_000_000, 'content ');
    await writeFile(from, content);
    expect(await cli(['cp', ...flags, from, `env:${there}`], { mark })).toMatchObject({ status: 0 });
    expect(await cli(['cp', ...flags, `env:${there}`, back], { mark })).toMatchObject({ status: 0 });
    expect((await readFile(back)).equals(content)).toBe(true);
  });

  test('say what is missing, and nothing of the token', async () => {
    const [, url = '', , id = ''] = flags;
    const outcomes = [
      [['--rendezvous', url], 'go together'],
      [['--environment-id', id], 'go together'],
      [['--rendezvous', url, '--environment-id', id, '--command', 'x'], 'give one of them'],
      [['--rendezvous', url, '--environment-id', id], 'refuses the token: 401'],
      [[...flags.slice(0, 3), 'nowhere', ...flags.slice(4)], 'has no environment "nowhere"'],
      [['--rendezvous', 'http://192.0.2.1', '--environment-id', id], 'plain http'],
    ] as const;
    for (const [args, text] of outcomes) {
      const outcome = await cli(['run', ...args, '--', '/bin/true'], { mark });
      expect(outcome).toMatchObject({ status: 1, stdout: '' });
      expect(outcome.stderr).toContain(text);
      expect(outcome.stderr).not.toContain(rendezvous.token);
      expect(outcome.stderr).not.toContain('ticket=');
    }
  });
});
