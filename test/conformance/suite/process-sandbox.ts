import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';

import { expect } from 'vitest';

import { toFileUri } from '../../../src/protocol/path.ts';
import { expectSoon } from '../../support/unit-wait.ts';
import {
  type WireEntry,
  type WireSandbox,
  at,
  projectRoots,
  restricted,
  root,
  special,
} from '../../support/sandbox-profiles.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import type { Context, Topic } from '../case.ts';

interface Workspace {
  readonly client: WireClient;
  readonly inside: string;
  readonly outside: string;
  readonly sandbox: WireSandbox;
}

/** A workspace that may be written to, beside a folder that may only be read. */
async function workspace(context: Context, more: readonly WireEntry[] = []): Promise<Workspace> {
  const folder = await context.folder();
  const [inside, outside] = [path.join(folder, 'inside'), path.join(folder, 'outside')];
  await mkdir(path.join(inside, '.git'), { recursive: true });
  await mkdir(outside);
  await writeFile(path.join(inside, '.git', 'config'), 'kept');
  await writeFile(path.join(outside, 'file'), 'kept');
  const sandbox = {
    permissions: restricted([root('read'), projectRoots('write'), ...more]),
    cwd: toFileUri(inside),
  };
  return { client: await context.open(), inside, outside, sandbox };
}

/** The helper that clients of May 2026 put in front of a command. */
function wrapped(
  place: Workspace,
  command: readonly string[],
  profile: unknown = place.sandbox.permissions,
): string[] {
  const helper = '/home/nobody/.home/tmp/arg0/codex-linux-sandbox';
  const folders = ['--sandbox-policy-cwd', place.inside, '--command-cwd', place.inside];
  return [helper, ...folders, '--permission-profile', JSON.stringify(profile), '--', ...command];
}

export const processSandbox: Topic = {
  name: 'process/start with a sandbox',
  cases: [
    {
      id: 'SBX-1',
      title: 'a confined command writes where it may, and nowhere else, over pipes and on a PTY',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside, outside, sandbox } = await workspace(context);
        for (const tty of [false, true]) {
          const script = `echo new > ${inside}/new-${tty} && echo in; echo x > ${outside}/file; echo x > ${inside}/.git/config; mkdir ${inside}/.codex/x; cat ${outside}/file`;
          const params = client.startParams({ argv: ['/bin/sh', '-c', script], tty, sandbox });
          const answer = await client.call('process/start', params);
          expect(answer).toMatchObject({
            sandboxType: 'linuxSeccomp',
            sandbox: { enforcer: 'bubblewrap', givenUp: [] },
          });
          const view = await client.end(client.process(params.processId));
          const output = tty ? view.text('pty') : view.text('stdout') + view.text('stderr');
          expect(output.match(/Read-only file system/g)).toHaveLength(3);
          expect(output).toContain('kept');
          expect(await readFile(path.join(inside, `new-${tty}`), 'utf8')).toBe('new\n');
        }
        expect(await readFile(path.join(outside, 'file'), 'utf8')).toBe('kept');
        expect(await readFile(path.join(inside, '.git', 'config'), 'utf8')).toBe('kept');
      },
    },
    {
      id: 'SBX-2',
      title: 'the exit status and the signal are those of the command itself',
      covers: ['process/start', 'process/exited', 'process/signal'],
      run: async (context) => {
        const { client, sandbox } = await workspace(context);
        const seven = await client.runShell('exit 7', { sandbox });
        expect(seven.exited).toMatchObject({ exitCode: 7, signal: null, endReason: 'exited' });
        const killed = await client.runShell('kill -KILL $$', { sandbox });
        expect(killed.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL', endReason: 'signaled' });
        const trapping = await client.shell(
          "trap 'echo trapped; exit 5' TERM; echo ready; while :; do sleep 0.05; done",
          {
            sandbox,
          },
        );
        await client.output(trapping, 'stdout', 'ready');
        expect(await client.call('process/signal', { processId: trapping.id, signal: 'TERM' })).toEqual({
          delivered: true,
        });
        await client.end(trapping);
        expect(trapping.text('stdout')).toContain('trapped');
        expect(trapping.exited).toMatchObject({ exitCode: 5, endReason: 'exited' });
      },
    },
    {
      id: 'SBX-3',
      title: 'a program or a working directory that is not there is the same error as without a sandbox',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside, sandbox } = await workspace(context);
        for (const start of [
          { argv: ['no-such-program'] },
          { argv: [`${inside}/none`] },
          { argv: [inside] },
          { argv: ['/bin/true'], cwd: `${inside}/none` },
        ]) {
          const plain = await client.refused('process/start', client.startParams(start));
          const confined = await client.refused('process/start', client.startParams({ ...start, sandbox }));
          expect(confined).toEqual(plain);
        }
      },
    },
    {
      id: 'SBX-4',
      title: 'a restricted network reaches nothing, and an enabled one reaches what the executor does',
      covers: ['process/start'],
      needs: ['python3'],
      run: async (context) => {
        const { client, sandbox } = await workspace(context);
        const server = createServer((socket) => socket.end('reached'));
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        try {
          const { port } = server.address() as { port: number };
          const script = `import socket; s = socket.create_connection(("127.0.0.1", ${port}), 5); print(s.recv(9).decode())`;
          const cut = await client.run({ argv: ['python3', '-c', script], sandbox });
          expect(cut.exited).toMatchObject({ exitCode: 1, sandboxDenied: true });
          expect(cut.text('stderr')).toMatch(/Operation not permitted|unreachable/);
          const permissions = { ...restricted([root('read')]), network: 'enabled' as const };
          const open = await client.run({ argv: ['python3', '-c', script], sandbox: { permissions } });
          expect(open.text('stdout')).toBe('reached\n');
        } finally {
          await new Promise((resolve) => void server.close(resolve));
        }
      },
    },
    {
      id: 'SBX-5',
      title: 'what no entry grants is not there, and what one denies cannot be opened',
      covers: ['process/start'],
      run: async (context) => {
        const place = await workspace(context);
        const { client, inside, outside } = place;
        await mkdir(path.join(inside, 'secret', 'open'), { recursive: true });
        await writeFile(path.join(inside, 'secret', 'key'), 'secret');
        await writeFile(path.join(inside, 'secret', 'open', 'file'), 'shown');
        await writeFile(path.join(inside, '.env'), 'secret');
        const minimal = special({ kind: 'minimal' }, 'read');
        const few = { permissions: restricted([minimal, at(inside, 'read')]) };
        const blind = await client.runShell(`ls ${outside}; cat ${inside}/.env; echo x > /new; ls /`, {
          sandbox: few,
          cwd: inside,
        });
        expect(blind.text('stderr')).toContain('No such file or directory');
        expect(blind.text('stderr')).toContain('Read-only file system');
        expect(blind.text('stdout')).toContain('secret');
        const denied = {
          permissions: restricted([
            root('read'),
            at(inside, 'write'),
            at(`${inside}/secret`, 'none'),
            at(`${inside}/secret/open`, 'read'),
            at(`${inside}/.env`, 'deny'),
          ]),
        };
        const script = `cat ${inside}/.env; cat ${inside}/secret/key; ls ${inside}/secret; rm ${inside}/.env; cat ${inside}/secret/open/file; mv ${inside}/secret ${inside}/moved`;
        const view = await client.runShell(script, { sandbox: denied });
        expect(view.text('stdout')).toBe('shown');
        expect(view.text('stderr').match(/Permission denied/g)).toHaveLength(2);
        expect(await readdir(inside)).toEqual(expect.arrayContaining(['.env', 'secret']));
      },
    },
    {
      id: 'SBX-6',
      title: 'a command behind the sandbox helper of an older client is confined as the helper was told',
      covers: ['process/start'],
      run: async (context) => {
        const place = await workspace(context);
        const { client, inside, outside } = place;
        const script = `pwd; echo new > ${inside}/new; echo x > ${outside}/file; echo x > ${inside}/.git/config; exit 3`;
        const argv = wrapped(place, ['/bin/sh', '-c', script]);
        const view = await client.run({ argv, arg0: argv[0] ?? '', cwd: '/' });
        expect(view.exited?.exitCode).toBe(3);
        expect(view.text('stdout')).toBe(`${inside}\n`);
        expect(view.text('stderr').match(/Read-only file system/g)).toHaveLength(2);
        expect(await readFile(path.join(inside, 'new'), 'utf8')).toBe('new\n');
        const refused = wrapped(place, ['/bin/true'], { type: 'managed' });
        expect(await client.refused('process/start', client.startParams({ argv: refused }))).toMatchObject({
          code: -32602,
        });
      },
    },
    {
      id: 'SBX-7',
      title: 'a profile that needs a cwd and has none is refused, and nothing runs',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside, sandbox } = await workspace(context);
        const { permissions } = sandbox;
        const script = `echo x > ${inside}/canary`;
        const start = { argv: ['/bin/sh', '-c', script] };
        const refused = async (more: Partial<WireSandbox>) =>
          client.refused(
            'process/start',
            client.startParams({ ...start, sandbox: { permissions, ...more } }),
          );
        const text = 'file system sandbox context with dynamic permissions requires cwd';
        expect(await refused({ temporaryDirectories: [] })).toMatchObject({
          code: -32602,
          message: expect.stringContaining(text),
        });
        expect(await refused({ windowsSandboxPrivateDesktop: false })).toMatchObject({
          code: -32600,
          message: expect.stringContaining(text),
        });
        expect(await readdir(inside)).toEqual(['.git']);
      },
    },
    {
      id: 'SBX-8',
      title: 'a link does not make a denial vanish',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside, outside } = await workspace(context);
        await mkdir(path.join(inside, 'src'));
        await writeFile(path.join(inside, 'src', 'secret'), 'secret');
        const link = path.join(outside, 'link');
        await symlink(inside, link);
        const sandbox = {
          permissions: restricted([root('read'), at(link, 'write'), at(`${inside}/src`, 'none')]),
        };
        const view = await client.runShell(
          `echo x > ${link}/new && echo wrote; cat ${link}/src/secret; cat ${inside}/src/secret`,
          {
            sandbox,
          },
        );
        expect(view.text('stdout')).toBe('wrote\n');
        expect(view.text('stderr').match(/Permission denied/g)).toHaveLength(2);
      },
    },
    {
      id: 'SBX-9',
      title: 'variables of the request reach the command and nothing outside of the sandbox',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside, outside, sandbox } = await workspace(context);
        // The loader of a program that is not confined would write its messages there.
        const env = {
          PATH: '/usr/bin:/bin',
          LD_DEBUG: 'files',
          LD_DEBUG_OUTPUT: `${outside}/trace`,
          SHOWN: 'yes',
        };
        const view = await client.runShell('echo $SHOWN', { env, sandbox });
        // It cannot write there itself, so its loader writes to its output.
        expect(view.text('stdout')).toMatch(/yes\n$/);
        expect(await readdir(outside)).toEqual(['file']);
        // A program of this name on the request's PATH would make the sandbox, if anybody looked there.
        await writeFile(path.join(inside, 'bwrap'), `#!/bin/sh\necho false > ${outside}/false\n`, {
          mode: 0o755,
        });
        const shadowed = await client.runShell('true', { env: { PATH: `${inside}:/usr/bin:/bin` }, sandbox });
        expect(shadowed.exited?.exitCode).toBe(0);
        expect(await readdir(outside)).toEqual(['file']);
        const plain = await client.runShell('true', { env });
        expect(plain.exited?.exitCode).toBe(0);
        expect((await readdir(outside)).length).toBeGreaterThan(1);
      },
    },
    {
      id: 'SBX-10',
      title: 'terminate ends everything in the sandbox, and nothing is left on disk',
      covers: ['process/terminate', 'process/closed'],
      needs: ['setsid'],
      run: async (context) => {
        const { client, inside, sandbox } = await workspace(context);
        const view = await client.shell('(setsid sleep 60 &) ; sleep 60 & echo ready; wait', { sandbox });
        await client.output(view, 'stdout', 'ready');
        expect((await readdir(inside)).toSorted()).toEqual(['.agents', '.aws', '.codex', '.git']);
        expect(await client.call('process/terminate', { processId: view.id })).toEqual({ running: true });
        await client.end(view);
        const clean = async (): Promise<void> => {
          while ((await readdir(inside)).length > 1)
            await new Promise((resolve) => void setImmediate(resolve));
        };
        await expectSoon('the workspace as it was', clean());
        expect(await readdir(inside)).toEqual(['.git']);
      },
    },
    {
      id: 'SBX-11',
      title: 'a disabled profile runs unconfined, and an external one without a network',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside } = await workspace(context);
        const script = `echo x > ${inside}/.git/config; grep Seccomp: /proc/self/status`;
        const open = await client.runShell(script, { sandbox: { permissions: { type: 'disabled' } } });
        expect(open.text('stdout')).toMatch(/Seccomp:\s0/);
        const external = { permissions: { type: 'external', network: 'restricted' } } as const;
        const cut = await client.runShell(script, { sandbox: external });
        expect(cut.text('stdout')).toMatch(/Seccomp:\s2/);
        expect(cut.text('stderr')).toBe('');
      },
    },
    {
      id: 'SBX-12',
      title: 'many confined commands run side by side in one workspace',
      covers: ['process/start'],
      run: async (context) => {
        const { client, inside, sandbox } = await workspace(context);
        const runs = Array.from({ length: 12 }, (_, index) =>
          client.runShell(`echo ${index} > ${inside}/f${index}; mkdir ${inside}/.codex/x; exit ${index}`, {
            sandbox,
          }),
        );
        const views = await Promise.all(runs);
        expect(views.map((view) => view.exited?.exitCode)).toEqual(
          Array.from({ length: 12 }, (_, index) => index),
        );
      },
    },
  ],
};
