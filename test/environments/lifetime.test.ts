import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { commandSource, failedEnvironment } from '../../src/environments/environments.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { executorVariables } from '../support/conformance-targets.ts';
import { main, manage } from '../support/environments-targets.ts';

const owner = path.resolve(import.meta.dirname, '..', 'support', 'environments-owner.ts');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'exec-lifetime-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Scripts of which each notes the executor's pid in the file "$1", and runs it with the rest. */
const wrappers = [
  ['the executor itself', 'echo $$ > "$1"; shift; exec "$@"'],
  [
    'a wrapper that ignores TERM and the end of its input',
    'trap "" TERM HUP; f=$1; shift; sh -c \'echo $$ > "$1"; shift; exec "$@"\' sh "$f" "$@"; while :; do sleep 1; done',
  ],
  [
    'a wrapper with children that ignore TERM',
    '(trap "" TERM HUP; while :; do sleep 1; done) & sleep 1000 & echo $$ > "$1"; shift; exec "$@"',
  ],
] as const;

describe.each(wrappers)('%s', (_name, script) => {
  const command = (): {
    pidFile: string;
    args: string[];
    mark: string;
    variables: Record<string, string>;
  } => {
    const pidFile = path.join(folder, randomUUID());
    const mark = randomUUID();
    const args = ['-c', script, 'sh', pidFile, process.execPath, main, 'serve', '--listen', 'stdio'];
    return { pidFile, args, mark, variables: executorVariables(mark) };
  };

  test('leaves nothing when the manager is closed', async () => {
    const { args, mark, variables } = command();
    await using managed = await manage(commandSource({ program: '/bin/sh', args, variables }));
    const environment = managed.manager.get();
    await environment.processes.start({ argv: ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1; done'] });
    await managed.manager[Symbol.asyncDispose]();
    await expectNothingLeft(mark);
    await expect(environment.files.list('/')).rejects.toMatchObject({
      code: 'closed',
      environmentId: 'there',
    });
  });

  test('leaves nothing when its client is dropped', async () => {
    const { args, mark, variables } = command();
    await using managed = await manage(commandSource({ program: '/bin/sh', args, variables }));
    const client = await managed.manager.get().client();
    await client.start({ argv: ['/bin/sleep', '1000'], cwd: '/' });
    await client.close();
    await expectNothingLeft(mark);
  });

  test.each([
    ['ends in order', 'dispose'],
    ['just exits', 'exit'],
    ['is killed', 'SIGKILL'],
  ])('leaves nothing when its owner %s', async (_how, how) => {
    const { args, mark, variables } = command();
    const child = spawn(process.execPath, [owner, '/bin/sh', ...args], {
      env: variables,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    expect(String((await once(child.stdout, 'data'))[0])).toBe('ready\n');
    if (how === 'SIGKILL') child.kill(how);
    else child.stdin.end(`${how}\n`);
    await exited;
    await expectNothingLeft(mark);
  });

  test('that crashes during a call is told by name, leaves nothing, and is started anew', async () => {
    const { args, mark, variables, pidFile } = command();
    // A wrapper that holds the pipes open hides the end of what it has started, except from who asks for signs of life.
    const source = commandSource({ program: '/bin/sh', args, variables });
    await using managed = await manage(source, { pingIntervalMs: 500 });
    const environment = managed.manager.get();
    const child = await environment.processes.start({ argv: ['/bin/sleep', '1000'] });
    const client = await environment.client();
    const reading = client.call('process/read', { processId: child.id, waitMs: 60_000 });
    const settled = Promise.allSettled([reading, child.exited]);
    process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL');
    for (const outcome of await settled) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { name: 'ConnectionError', reason: 'closed' },
      });
      const { reason } = outcome as PromiseRejectedResult;
      expect(failedEnvironment(reason)).toBe('there');
      expect(String(reason)).toContain('Environment "there": ');
    }
    await client.closed;
    await expectNothingLeft(mark);
    expect(await environment.health()).toMatchObject({ status: 'failed', sessions: 1 });
    // The next operation, and only that, starts another one.
    expect(await environment.files.list('/')).not.toEqual([]);
    expect(await environment.health()).toMatchObject({ status: 'ready', sessions: 2 });
    await managed.manager[Symbol.asyncDispose]();
    await expectNothingLeft(mark);
  });
});
