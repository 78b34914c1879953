import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  type EnvironmentEntry,
  type EnvironmentEvent,
  EnvironmentManager,
  commandSource,
  staticProvider,
} from '../../src/environments/environments.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { executorVariables } from '../support/conformance-targets.ts';
import { main } from '../support/environments-targets.ts';

let folder = '';
const mark = randomUUID();
const variables = executorVariables(mark);

beforeAll(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-manager-')));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await expectNothingLeft(mark);
});

/** An executor on standard streams, started after a script that is given the folder as "$1". */
function command(id: string, before = ''): EnvironmentEntry {
  const script = `${before}\nshift; exec "$@"`;
  const args = ['-c', script, 'sh', folder, process.execPath, main, 'serve', '--listen', 'stdio'];
  const source = commandSource({ program: '/bin/sh', args, variables });
  return { id, source, connect: { connectTimeoutMs: 60_000 } };
}

async function managerOf(
  entries: readonly EnvironmentEntry[],
  options: { default?: string | null; includeLocal?: boolean } = {},
): Promise<{ manager: EnvironmentManager; events: EnvironmentEvent[] } & AsyncDisposable> {
  const events: EnvironmentEvent[] = [];
  const manager = await EnvironmentManager.create(staticProvider(entries, options), {
    local: { env: variables },
    onEvent: (event) => void events.push(event),
  });
  return { manager, events, [Symbol.asyncDispose]: () => manager[Symbol.asyncDispose]() };
}

async function starts(file: string): Promise<number> {
  return (await readFile(path.join(folder, file), 'utf8').catch(() => '')).length;
}

describe('local and a command', () => {
  test.each(['local', 'command'])('%s has processes, files, HTTP and facts', async (id) => {
    await using held = await managerOf([command('command')]);
    const environment = held.manager.get(id);
    expect(environment).toBe(held.manager.get(id));
    expect(await environment.health()).toEqual({ id, status: 'idle', sessions: 0 });

    const child = await environment.processes.start({
      argv: ['/bin/sh', '-c', 'pwd; cat'],
      cwd: folder,
      pipeStdin: true,
    });
    expect(environment.processes.running()).toEqual([child]);
    await child.write('typed');
    await child.closeStdin();
    expect((await child.stdout.collect()).toString()).toBe(`${folder}\ntyped`);
    expect((await child.exited).exitCode).toBe(0);

    const file = path.join(folder, `${id}.txt`);
    await environment.files.writeFile(file, 'one\ntwo\n');
    expect(Buffer.from(await environment.files.readFile(file)).toString()).toBe('one\ntwo\n');
    const found = [];
    for await (const match of environment.files.grep({ path: folder, pattern: 'tw[o]' }))
      found.push(match.line);
    expect(found).toEqual(expect.arrayContaining(['two']));
    const writer = environment.files.writeStream(file).getWriter();
    await writer.write(Buffer.from('streamed'));
    await writer.close();
    expect(await new Response(environment.files.readStream(file)).text()).toBe('streamed');
    await expect(environment.files.readFile(`${file}.no`)).rejects.toMatchObject({ name: 'RpcError' });

    const origin = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/`;
    expect(await (await environment.fetch(url)).text()).toBe('hello');
    expect((await environment.http.request({ url })).status).toBe(200);
    origin.closeAllConnections();
    origin.close();

    expect((await environment.info())?.capabilities?.execServer).toBeDefined();
    expect(await environment.cwd()).toBe(process.cwd());
    expect(await environment.health({ probe: true })).toMatchObject({ status: 'ready', sessions: 1 });
    expect(held.events.filter(({ kind }) => kind === 'opened')).toHaveLength(1);
  });

  test('processes are confined as the environment says, unless they say something themselves', async () => {
    await using held = await managerOf([
      { ...command('confined'), sandbox: 'read-only', cwd: folder },
      { ...command('writable'), sandbox: 'workspace-write', cwd: folder },
    ]);
    const touch = async (id: string, more: object = {}): Promise<number> => {
      const environment = held.manager.get(id);
      expect(await environment.cwd()).toBe(folder);
      const child = await environment.processes.start({ argv: ['/usr/bin/touch', 'touched'], ...more });
      return (await child.exited).exitCode;
    };
    expect(await touch('confined')).not.toBe(0);
    expect(await touch('writable')).toBe(0);
    expect(await touch('confined', { sandbox: null })).toBe(0);
  });
});

describe('an environment is opened', () => {
  test('at the first operation, once for everybody', async () => {
    await using held = await managerOf([command('counted', 'printf x >> "$1/counted"')]);
    const environment = held.manager.get('counted');
    await held.manager.health();
    expect(await starts('counted')).toBe(0);
    await Promise.all(Array.from({ length: 8 }, async () => environment.files.list(folder)));
    await environment.info();
    expect(await starts('counted')).toBe(1);
  });

  test('again by the operation after one that failed, and not by itself', async () => {
    const before = 'printf x >> "$1/failing"; [ -e "$1/repaired" ] || exit 7';
    await using held = await managerOf([command('failing', before)], { default: 'failing' });
    const environment = held.manager.get();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 4 }, async () => environment.files.list(folder)),
    );
    expect(await starts('failing')).toBe(1);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        reason: { name: 'EnvironmentError', code: 'unavailable', environmentId: 'failing' },
      });
      expect(String((outcome as PromiseRejectedResult).reason)).toContain(
        'Environment "failing" (a command on this machine) cannot be opened: The command ended with status 7',
      );
    }
    expect(await environment.health()).toMatchObject({ status: 'failed', sessions: 0 });
    await expect(environment.info()).rejects.toMatchObject({ code: 'unavailable' });
    await writeFile(path.join(folder, 'repaired'), '');
    expect(await environment.files.list(folder)).not.toEqual([]);
    expect(await starts('failing')).toBe(3);
    expect(await environment.health()).toMatchObject({ status: 'ready', sessions: 1 });
  });

  test('or says why its program cannot be started', async () => {
    const source = commandSource({ program: '/no/such/program', args: ['secret'], variables });
    await using held = await managerOf([{ id: 'missing', source }]);
    const opening = held.manager.get('missing').info();
    await expect(opening).rejects.toThrow(
      'Environment "missing" (a command on this machine) cannot be opened: The program, or the interpreter that it names, does not exist: No such file or directory (os error 2)',
    );
    await expect(opening).rejects.not.toThrow('secret');
  });
});

describe('at run time', () => {
  test('environments are added, replaced and removed, and the default stays', async () => {
    await using held = await managerOf([command('first')], { default: 'first' });
    const { manager } = held;
    const first = manager.get();
    await first.info();
    const added = manager.add(command('second'));
    expect(manager.list().map(({ id }) => id)).toEqual(['local', 'first', 'second']);
    expect(() => manager.add(command('second'))).toThrow('"second" is the id of another environment already');
    for (const id of ['', ' ', 'local', 'NONE', 'a b']) {
      expect(() => manager.add(command(id))).toThrow(
        expect.objectContaining({ name: 'EnvironmentConfigError' }),
      );
      expect(() => manager.replace(command(id))).toThrow(
        expect.objectContaining({ name: 'EnvironmentConfigError' }),
      );
    }
    await added.info();
    const replaced = manager.replace(command('first', 'echo other >&2'));
    expect(manager.get()).toBe(replaced);
    expect(manager.list().map(({ id }) => id)).toEqual(['local', 'first', 'second']);
    await expect(first.files.list('/')).rejects.toMatchObject({ code: 'replaced', environmentId: 'first' });
    await replaced.info();
    expect(held.events).toContainEqual({ kind: 'log', environmentId: 'first', line: 'other' });
    manager.replace(command('third'));
    expect(manager.defaultId).toBe('first');
    await manager.remove('first');
    expect(manager.defaultId).toBeUndefined();
    expect(() => manager.get()).toThrow('There is no default environment.');
    expect(() => manager.get('first')).toThrow(
      'No environment has the id "first". There are "local", "second", "third".',
    );
    await expect(replaced.info()).rejects.toMatchObject({ code: 'removed' });
  });

  test('one inside another is started there, and ends before it', async () => {
    const inner = commandSource({
      program: process.execPath,
      args: [main, 'serve', '--listen', 'stdio'],
      via: 'outer',
      variables: {},
    });
    await using held = await managerOf([command('outer'), { id: 'inner', source: inner }]);
    const { manager } = held;
    const child = await manager.get('inner').processes.start({ argv: ['/bin/sh', '-c', 'echo $PPID'] });
    const parent = Number((await child.stdout.collect()).toString());
    expect(manager.get('outer').processes.running()).toHaveLength(1);
    const command0 = await readFile(`/proc/${parent}/cmdline`, 'utf8');
    expect(command0).toContain('serve');
    await expect(manager.remove('outer')).rejects.toThrow('environment "inner" is reached through "outer"');
    await manager.remove('inner');
    expect(
      (
        await Promise.all(
          manager
            .get('outer')
            .processes.running()
            .map((one) => one.closed),
        )
      ).length,
    ).toBeLessThan(2);
    await manager.remove('outer');
  });
});

test('draining takes no new work, waits for what runs, and closes', async () => {
  await using held = await managerOf([command('drained')], { default: 'drained' });
  const environment = held.manager.get();
  const child = await environment.processes.start({
    argv: ['/bin/sh', '-c', 'read line; echo $line'],
    pipeStdin: true,
  });
  const drained = held.manager.drain(60_000);
  expect(await environment.health()).toMatchObject({ status: 'draining' });
  await expect(environment.processes.start({ argv: ['/bin/true'] })).rejects.toMatchObject({
    code: 'draining',
    environmentId: 'drained',
  });
  await child.write('goes on\n');
  expect((await child.stdout.collect()).toString()).toBe('goes on\n');
  await drained;
  expect(() => held.manager.get()).toThrow('The environment manager is closed.');
});
