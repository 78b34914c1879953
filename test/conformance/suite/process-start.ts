import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import { toFileUri } from '../../../src/protocol/path.ts';
import type { WireClient, WireStart } from '../../support/conformance-wire.ts';
import type { Topic } from '../case.ts';

/** Refused with -32602: none names a folder of this executor. */
const badFolders: readonly unknown[] = [
  'dir',
  './dir',
  '',
  'http://x/dir',
  'C:\\x',
  'c:/x',
  'file:///?query',
  'file:///#fragment',
  'file://host/dir',
  'file:///C:/x',
  'file:///a%00b',
  '/a\0b',
  7,
  null,
];

/** A start that fails, over pipes and on a PTY with the same error. */
async function failures(client: WireClient, start: WireStart): Promise<[unknown, unknown]> {
  const errors = [false, true].map(async (tty) => {
    const params = client.startParams({ ...start, tty });
    const error = await client.refused('process/start', params);
    // Its id is free at once.
    await client.call('process/start', { ...params, argv: ['/bin/true'], cwd: '/', arg0: null, env: {} });
    return error;
  });
  const [pipe, pty] = await Promise.all(errors);
  return [pipe, pty];
}

async function expectFailure(
  client: WireClient,
  start: WireStart,
  data: { kind: string; errno?: number },
): Promise<void> {
  const [pipe, pty] = await failures(client, start);
  expect(pipe).toMatchObject({ code: -32603, data });
  if (data.errno !== undefined)
    expect(pipe).toHaveProperty(
      'message',
      expect.stringMatching(new RegExp(`\\(os error ${data.errno}\\)$`)),
    );
  expect(pty).toEqual(pipe);
}

export const processStart: Topic = {
  name: 'process/start',
  cases: [
    {
      id: 'ST-1',
      title: 'a start answers the id and that nothing confines the process',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const answer = await client.request(
          'process/start',
          client.startParams({ processId: 'job', argv: ['true'] }),
        );
        expect(answer.result).toEqual({ processId: 'job', sandboxType: 'none' });
      },
    },
    {
      id: 'ST-2',
      title: 'the working directory is a path or a file URI, with dots and escapes resolved',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await mkdir(path.join(folder, 'a b', 'ü#?'), { recursive: true });
        await mkdir(path.join(folder, 'a%20b'));
        const uri = toFileUri(folder);
        const rows: readonly (readonly [string, string])[] = [
          [folder, folder],
          [uri, folder],
          [`FILE:${folder}`, folder],
          [`file:${folder}`, folder],
          [`file://localhost${folder}`, folder],
          [`${uri}/a%20b/./x/../`, `${folder}/a b`],
          [`${uri}/a%20b/%2e%2E/a%20b`, `${folder}/a b`],
          [`${folder}/a b/ü#?`, `${folder}/a b/ü#?`],
          [`${uri}/a%20b/%C3%BC%23%3f`, `${folder}/a b/ü#?`],
          [`${folder}/a%20b`, `${folder}/a%20b`],
          [`${uri}/a%2520b`, `${folder}/a%20b`],
          [`${uri}%2Fa%20b`, `${folder}/a b`],
          ['file://', '/'],
          ['/', '/'],
        ];
        for (const [cwd, expected] of rows) {
          const view = await client.run({ argv: ['/bin/pwd', '-P'], cwd });
          expect(view.text('stdout'), cwd).toBe(`${expected}\n`);
        }
      },
    },
    {
      id: 'ST-3',
      title: 'a working directory may have bytes that are no UTF-8',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await mkdir(Buffer.concat([Buffer.from(`${folder}/x`), Buffer.from([0xff])]));
        const view = await client.run({ argv: ['/bin/pwd', '-P'], cwd: `${toFileUri(folder)}/x%FF` });
        expect(view.bytes('stdout').toString('latin1')).toBe(`${folder}/x\u00ff\n`);
      },
    },
    {
      id: 'ST-4',
      title: 'a working directory that is no path of this executor is -32602',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        for (const cwd of badFolders) {
          const params = { ...client.startParams({ argv: ['/bin/true'] }), cwd };
          expect((await client.refused('process/start', params)).code, String(cwd)).toBe(-32602);
        }
        expect(await client.call('process/list', { includeClosed: true })).toEqual({ processes: [] });
      },
    },
    {
      id: 'ST-5',
      title: 'a working directory that cannot be entered is the same error with pipes and on a PTY',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await writeFile(path.join(folder, 'file'), '');
        await symlink('loop', path.join(folder, 'loop'));
        const argv = ['/bin/true'];
        await expectFailure(client, { argv, cwd: `${folder}/missing` }, { kind: 'badCwd', errno: 2 });
        await expectFailure(
          client,
          { argv, cwd: `${toFileUri(folder)}/file` },
          { kind: 'badCwd', errno: 20 },
        );
        await expectFailure(client, { argv, cwd: `${folder}/loop` }, { kind: 'badCwd', errno: 40 });
      },
    },
    {
      id: 'ST-6',
      title: 'a program that cannot be started is the same error with pipes and on a PTY',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await writeFile(path.join(folder, 'plain'), '#!/bin/sh\n');
        await writeFile(path.join(folder, 'orphan'), '#!/no/such/interpreter\n');
        await chmod(path.join(folder, 'orphan'), 0o755);
        await mkdir(path.join(folder, 'dir'));
        const missing = { kind: 'notFound', errno: 2 };
        const denied = { kind: 'permissionDenied', errno: 13 };
        await expectFailure(client, { argv: ['/no/such/program'] }, missing);
        await expectFailure(client, { argv: ['no-such-program-anywhere'] }, missing);
        await expectFailure(client, { argv: ['no-such-program'], env: {} }, missing);
        await expectFailure(client, { argv: ['./missing'] }, missing);
        await expectFailure(client, { argv: [`${folder}/plain/x`] }, { kind: 'notFound', errno: 20 });
        await expectFailure(client, { argv: [`${folder}/orphan`] }, missing);
        await expectFailure(client, { argv: [`${folder}/plain`] }, denied);
        await expectFailure(client, { argv: [`${folder}/dir`] }, denied);
        await expectFailure(client, { argv: ['plain'], env: { PATH: folder } }, denied);
      },
    },
    {
      id: 'ST-7',
      title: 'an empty program and a NUL in an argument are -32603 and start nothing',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const bad = { kind: 'badArguments' };
        await expectFailure(client, { argv: [''] }, bad);
        await expectFailure(client, { argv: ['/bin/echo', 'a\0b'] }, bad);
        await expectFailure(client, { argv: ['/bin/e\0cho'] }, bad);
        await expectFailure(client, { argv: ['/bin/echo'], env: { A: 'x\0y' } }, bad);
        await expectFailure(client, { argv: ['/bin/echo'], arg0: 'x\0y' }, bad);
      },
    },
    {
      id: 'ST-8',
      title: 'arguments that are too long for the system are an error of their own',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const argv = ['/bin/echo', 'x'.repeat(4 * 1024 * 1024)];
        await expectFailure(client, { argv }, { kind: 'argumentsTooLong', errno: 7 });
      },
    },
    {
      id: 'ST-9',
      title: 'an id is taken while its process runs, when it has exited and when it is closed',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('sleep 600 & exit 0', { processId: 'job' });
        const again = client.startParams({ processId: 'job', argv: ['/bin/true'] });
        const expectTaken = async (): Promise<void> => {
          const error = await client.refused('process/start', again);
          expect(error.code).toBe(-32600);
          expect(error.message).toMatch(/^process job already exists/);
        };
        await expectTaken();
        await client.exit(view);
        await expectTaken();
        await client.call('process/terminate', { processId: 'job' });
        await client.end(view);
        await expectTaken();
        const argvFirst = await client.refused('process/start', { ...again, argv: [] });
        expect(argvFirst.code).toBe(-32602);
      },
    },
    {
      id: 'ST-10',
      title: 'two starts with one id at the same time start one process',
      covers: ['process/start', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        const params = client.startParams({ processId: 'twin', argv: ['/bin/cat'], pipeStdin: true });
        const answers = await Promise.all([1, 2, 3].map(async () => client.request('process/start', params)));
        expect(answers.map(({ error }) => error?.code)).toEqual([undefined, -32600, -32600]);
        expect((await client.call('process/list')).processes).toHaveLength(1);
        await client.call('process/terminate', { processId: 'twin' });
      },
    },
    {
      id: 'ST-11',
      title: 'an id may be any text',
      covers: ['process/start', 'process/output', 'process/read'],
      run: async (context) => {
        const client = await context.open();
        for (const processId of ['', '__proto__', 'ü\u0000"\\\u2028', '../x', 'x'.repeat(8192)]) {
          const view = await client.run({ processId, argv: ['/bin/echo', 'hi'] });
          expect(view.text('stdout')).toBe('hi\n');
          const read = await client.call('process/read', { processId });
          expect(read.chunks).toHaveLength(1);
        }
      },
    },
    {
      id: 'ST-12',
      title: 'a bare program is looked for in the PATH of the process, and without one where the system says',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await mkdir(path.join(folder, 'bin'));
        await writeFile(path.join(folder, 'bin', 'own-tool'), '#!/bin/sh\necho "own $*"\n', { mode: 0o755 });
        for (const tty of [false, true]) {
          const stream = tty ? 'pty' : 'stdout';
          const own = await client.run({
            argv: ['own-tool', 'x'],
            env: { PATH: `/none:${folder}/bin` },
            tty,
          });
          expect(own.text(stream).trim()).toBe('own x');
          const relative = await client.run({ argv: ['bin/own-tool', 'y'], env: {}, tty });
          expect(relative.text(stream).trim()).toBe('own y');
          const here = await client.run({
            argv: ['own-tool', 'z'],
            cwd: `${folder}/bin`,
            env: { PATH: '' },
            tty,
          });
          expect(here.text(stream).trim()).toBe('own z');
          const standard = await client.run({ argv: ['echo', 'standard'], env: {}, tty });
          expect(standard.text(stream).trim()).toBe('standard');
        }
      },
    },
    {
      id: 'ST-13',
      title: 'a script without an interpreter line is run by the shell',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await writeFile(path.join(folder, 'script'), 'echo "args: $1 $2"; exit 3\n', { mode: 0o755 });
        const view = await client.run({ argv: ['./script', 'one', 'two'] });
        expect(view.text('stdout')).toBe('args: one two\n');
        expect(view.exited?.exitCode).toBe(3);
      },
    },
    {
      id: 'ST-14',
      title: 'arg0 is what the program sees as its name, with pipes and on a PTY',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        for (const [tty, stream] of [
          [false, 'stdout'],
          [true, 'pty'],
        ] as const) {
          const named = await client.runShell('echo "$0"', { arg0: 'no/such name', tty });
          expect(named.text(stream).trim()).toBe('no/such name');
          const login = await client.run({ argv: ['sh', '-c', 'echo "$0"'], arg0: '-sh', tty, env: {} });
          expect(login.text(stream).trim().split('\n').at(-1)).toBe('-sh');
          const unnamed = await client.runShell('echo "$0"', { arg0: null, tty });
          expect(unnamed.text(stream).trim()).toBe('/bin/sh');
        }
      },
    },
    {
      id: 'ST-15',
      title: 'arguments reach the program as they are',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const args = ['', ' ', '*', '$HOME', 'ü', '\n', '"\'\\', '-n'];
        const view = await client.run({ argv: ['/usr/bin/printf', '%s|', ...args] });
        expect(view.text('stdout')).toBe(args.map((arg) => `${arg}|`).join(''));
      },
    },
    {
      id: 'ST-16',
      title: 'confinement that is not understood or cannot be enforced is refused, and nothing is started',
      covers: ['process/start', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const managed = { type: 'managed', file_system: { type: 'restricted', entries: [] } };
        const refused: readonly (readonly [number, object])[] = [
          [-32602, { sandbox: {} }],
          [-32602, { sandbox: { permissions: null } }],
          [-32602, { sandbox: { permissions: 'disabled' } }],
          [-32602, { sandbox: { permissions: managed } }],
          [-32602, { sandbox: { permissions: { ...managed, network: 'some' } } }],
          [-32600, { managedNetwork: {} }],
          [-32600, { networkProxy: { proxy: { enabled: true } } }],
        ];
        for (const [code, request] of refused) {
          const params = client.startParams({ processId: 'confined', argv: ['/usr/bin/touch', 'started'] });
          const error = await client.refused('process/start', { ...params, ...request });
          expect(error.code, JSON.stringify(request)).toBe(code);
        }
        expect(await client.call('process/list', { includeClosed: true })).toEqual({ processes: [] });
        await client.run({ processId: 'confined', argv: ['/bin/true'] });
        expect(await readdir(folder)).toEqual([]);
      },
    },
    {
      id: 'ST-17',
      title: 'a process may ask for no confinement in each way that clients do',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const open = [
          { sandbox: null, managedNetwork: null, networkProxy: null, enforceManagedNetwork: false },
          {
            sandbox: { permissions: { type: 'disabled' }, windowsSandboxLevel: 'disabled', cwd: 'file:///' },
          },
          { metadata: { threadId: 'x', toolCallId: 'y' }, shellSnapshot: null, future: [1] },
        ];
        for (const request of open) {
          const answer = await client.request('process/start', {
            ...client.startParams({ argv: ['/bin/true'] }),
            ...request,
          });
          expect(answer.result).toMatchObject({ sandboxType: 'none' });
        }
      },
    },
  ],
};
