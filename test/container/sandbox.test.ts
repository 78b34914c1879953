import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { ExecClient } from '../../src/client/exec-client.ts';
import type { WireParams } from '../../src/protocol/methods.ts';
import { type Container, runDoctor, startContainer } from './container.ts';
import { installHint, succeeds } from '../support/docker.ts';
import { buildImage } from '../support/docker-image.ts';

const available = await succeeds('docker', 'version');
if (!available && process.env['CI'] === 'true') throw new Error(installHint);
if (!available) process.stderr.write(`Skipped. ${installHint}\n`);

/** Debian's packages and ours are fetched, and everything is built. */
const buildDeadlineMs = 900_000;
const ownProfile = path.resolve(import.meta.dirname, '..', '..', 'docker', 'seccomp.json');
/** Root without capabilities may not enter the home of the user `executor`. */
const project = '/var/tmp/project';

type Sandbox = NonNullable<WireParams<'fs/writeFile'>['sandbox']>;
type Entries = readonly { readonly path: object; readonly access: 'read' | 'write' | 'none' }[];

const root = { type: 'special', value: { kind: 'root' } };
const minimal = { type: 'special', value: { kind: 'minimal' } };
const projectRoots = { type: 'special', value: { kind: 'project_roots' } };
const at = (place: string) => ({ type: 'path', path: place });

function profile(entries: Entries, network: 'restricted' | 'enabled' = 'restricted'): Sandbox {
  return {
    permissions: { type: 'managed', network, file_system: { type: 'restricted', entries } },
    cwd: project,
    workspaceRoots: [project],
  } as Sandbox;
}

const readOnly = profile([{ path: root, access: 'read' }]);
const workspaceWrite = profile([
  { path: root, access: 'read' },
  { path: projectRoots, access: 'write' },
]);
const restrictedRead = profile([
  { path: minimal, access: 'read' },
  { path: projectRoots, access: 'write' },
]);
const withDenial = profile([
  { path: root, access: 'read' },
  { path: projectRoots, access: 'write' },
  { path: at(`${project}/secret`), access: 'none' },
]);

describe.skipIf(!available)('sandboxes in a container', () => {
  let image = '';
  let folder = '';

  beforeAll(async () => {
    image = await buildImage();
    folder = await mkdtemp(path.join(tmpdir(), 'exec-server-seccomp-'));
    await writeFile(path.join(folder, 'nothing.json'), await profileForNothing());
  }, buildDeadlineMs);

  afterAll(async () => rm(folder, { recursive: true, force: true }));

  const hosts = [
    { title: 'of a default kind', options: [], enforcer: 'landlock' },
    {
      title: 'with our seccomp profile',
      options: ['--security-opt', `seccomp=${ownProfile}`],
      enforcer: 'bubblewrap',
    },
    {
      title: 'with our seccomp profile and all of /proc',
      options: ['--security-opt', `seccomp=${ownProfile}`, '--security-opt', 'systempaths=unconfined'],
      enforcer: 'bubblewrap',
    },
    {
      title: 'with our seccomp profile, as root',
      options: ['--security-opt', `seccomp=${ownProfile}`, '--user', 'root'],
      enforcer: 'bubblewrap',
    },
    { title: 'of a default kind, as root', options: ['--user', 'root'], enforcer: 'landlock' },
  ] as const;

  describe.each(hosts)('$title', ({ options, enforcer }) => {
    let container: Container;
    let client: ExecClient;

    beforeAll(async () => {
      container = await startContainer(image, options);
      ({ client } = container);
      await run(
        client,
        `mkdir -p ${project}/.git && cd ${project} && echo kept | tee .git/config secret read.txt`,
      );
    });

    afterAll(async () => container[Symbol.asyncDispose]());

    test('doctor and the facts of the environment say what enforces', async () => {
      const denial = enforcer === 'bubblewrap';
      const { status, report } = await runDoctor(image, options);
      expect(status).toBe(denial ? 0 : 1);
      for (const name of ['readOnly', 'workspaceWrite', 'restrictedRead']) {
        expect(report.profiles[name]).toEqual({ enforced: true, enforcer, givenUp: [] });
      }
      expect(report.profiles['denial']?.enforced).toBe(denial);
      expect(client.environment?.capabilities?.execServer?.sandbox?.profiles).toEqual(report.profiles);
    });

    test('a command writes in its workspace, and neither outside nor to the metadata', async () => {
      const script = `echo in > inside.txt && mv inside.txt moved.txt && mkdir -p a/b && echo x > a/b/c && cat moved.txt`;
      expect(await run(client, script, workspaceWrite)).toMatchObject({ status: 0, stdout: 'in\n' });
      for (const write of [
        'echo out > /var/tmp/outside.txt',
        'echo out > /tmp/outside.txt',
        'echo changed > .git/config',
        'rm -rf .git/config',
        'mkdir .agents && touch .agents/x && test -e .agents/x',
        'mv .git elsewhere',
        'ln .git/config linked && echo changed > linked',
        'cd .git && echo new > new',
      ]) {
        expect(await run(client, write, workspaceWrite)).not.toMatchObject({ status: 0 });
      }
      expect(await run(client, 'cat .git/config && ls -A . .git')).toMatchObject({
        stdout: 'kept\n.:\n.git\na\nmoved.txt\nread.txt\nsecret\n\n.git:\nconfig\n',
      });
      expect(await run(client, 'ls /var/tmp/outside.txt /tmp/outside.txt')).toMatchObject({
        stdout: '',
      });
      await run(client, 'rm -r a moved.txt');
    });

    test('a command reads only what it may, and writes nowhere in read-only', async () => {
      expect(await run(client, 'cat read.txt; echo x > inside.txt', readOnly)).toMatchObject({
        status: expect.any(Number) as number,
        stdout: 'kept\n',
        stderr: expect.stringMatching(/Read-only file system|Permission denied/) as string,
      });
      const reading = 'cat read.txt; cat /opt/exec-server/package.json; ls /opt';
      expect(await run(client, reading, restrictedRead)).toMatchObject({ stdout: 'kept\n' });
      expect(await run(client, 'ls', undefined)).toMatchObject({ stdout: 'read.txt\nsecret\n' });
    });

    test('a command reaches no network', async () => {
      const connect = 'exec 3<>/dev/tcp/127.0.0.1/1';
      expect((await run(client, connect)).stderr).toContain('Connection refused');
      const { stderr } = await run(client, connect, workspaceWrite);
      expect(stderr).toMatch(/Operation not permitted|Network is unreachable/);
    });

    test('a command has neither privileges nor power over others', async () => {
      const victim = await client.start({ argv: ['sleep', '1000'], cwd: '/' });
      const pid = (await client.call('process/list', {})).processes.find(
        (one) => one.processId === victim.id,
      )?.pid;
      const script = `grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; kill -KILL ${pid}; echo $?`;
      const { stdout } = await run(client, script, workspaceWrite);
      expect(stdout).toMatch(/^CapEff:\t0{16}\nNoNewPrivs:\t1\n1$/m);
      await victim.signal('SIGTERM');
      expect((await victim.exited).signal).toBe('SIGTERM');
    });

    test('file methods are held to the same', async () => {
      const write = async (place: string, sandbox: Sandbox): Promise<unknown> =>
        client.call('fs/writeFile', {
          path: place,
          dataBase64: Buffer.from('by a method').toString('base64'),
          sandbox,
        });
      await write(`${project}/method.txt`, workspaceWrite);
      expect(await run(client, 'cat method.txt && rm method.txt')).toMatchObject({ stdout: 'by a method' });
      for (const place of ['/var/tmp/outside.txt', `${project}/.git/config`, `${project}/.agents`]) {
        await expect(write(place, workspaceWrite)).rejects.toThrow();
      }
      await expect(write(`${project}/inside.txt`, readOnly)).rejects.toMatchObject({
        data: { sandbox: { access: 'read', rule: 'entry 1 (root read)' } },
      });
      const read = await client.call('fs/readFile', { path: `${project}/read.txt`, sandbox: restrictedRead });
      expect(read.dataBase64.toString()).toBe('kept\n');
      const outside = client.call('fs/readFile', {
        path: '/opt/exec-server/package.json',
        sandbox: restrictedRead,
      });
      await expect(outside).rejects.toThrow();
      // What stands in for missing names of metadata is there as long as the workers are.
      expect(await run(client, 'cat .git/config; ls -A . .git | grep -v "^\\.[a-z]*$"')).toMatchObject({
        stdout: 'kept\n.:\nread.txt\nsecret\n\n.git:\nconfig\n',
      });
    });

    test('a denial inside of a grant is enforced, or refused with its rule', async () => {
      const reading = client.call('fs/readFile', { path: `${project}/secret`, sandbox: withDenial });
      const running = run(client, 'cat secret', withDenial);
      await Promise.allSettled([reading, running]);
      if (enforcer === 'bubblewrap') {
        expect(await running).toMatchObject({ stdout: '', stderr: 'cat: secret: Permission denied\n' });
        await expect(reading).rejects.toMatchObject({ data: { sandbox: { access: 'none' } } });
        return;
      }
      const refused = {
        code: -32_600,
        message: expect.stringContaining('entry 3 (path none)') as string,
        data: { sandbox: { refused: true, rule: 'entry 3 (path none)', fix: expect.any(String) as string } },
      };
      await expect(running).rejects.toMatchObject(refused);
      await expect(reading).rejects.toMatchObject(refused);
    });
  });

  test('where neither enforcer works every sandbox is refused with the reason', async () => {
    const options = ['--security-opt', `seccomp=${path.join(folder, 'nothing.json')}`];
    const { status, report } = await runDoctor(image, options);
    expect(status).toBe(1);
    expect([report.host.bubblewrap.usable, report.host.landlock.usable]).toEqual([false, false]);
    expect(Object.values(report.profiles).filter(({ enforced }) => enforced)).toHaveLength(1);

    await using container = await startContainer(image, options);
    const { client } = container;
    await run(client, `mkdir -p ${project}`);
    const refused = {
      code: -32_600,
      data: { sandbox: { refused: true, fix: expect.any(String) as string } },
    };
    await expect(run(client, 'true', readOnly)).rejects.toMatchObject(refused);
    await expect(run(client, 'touch x', workspaceWrite)).rejects.toMatchObject(refused);
    const write = { path: `${project}/x`, dataBase64: 'eA==', sandbox: workspaceWrite };
    await expect(client.call('fs/writeFile', write)).rejects.toMatchObject(refused);
    expect(await run(client, 'ls -A && echo unconfined')).toMatchObject({ stdout: 'unconfined\n' });
  });
});

/** Ours without namespaces, mounts and Landlock. */
async function profileForNothing(): Promise<string> {
  const ours = JSON.parse(await readFile(ownProfile, 'utf8')) as {
    readonly syscalls: readonly { readonly names: readonly string[] }[];
  };
  const withheld = /^(?:landlock_.*|mount|umount2|pivot_root|unshare)$/;
  const namespaces = 0x7e02_0000;
  const syscalls = ours.syscalls.map((rule) => ({
    ...rule,
    names: rule.names.filter((name) => name !== 'clone' && !withheld.test(name)),
  }));
  const clone = {
    names: ['clone'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 0, value: namespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
  };
  return JSON.stringify({ ...ours, syscalls: [...syscalls.filter(({ names }) => names.length > 0), clone] });
}

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script of bash in the project, if that is there yet. */
async function run(client: ExecClient, script: string, sandbox?: Sandbox): Promise<Outcome> {
  const started = await client.start({
    argv: ['bash', '-c', script],
    cwd: (await exists(client)) ? project : '/',
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    timeoutMs: 30_000,
    ...(sandbox === undefined ? {} : { sandbox }),
  });
  const [stdout, stderr] = await Promise.all([started.stdout.collect(), started.stderr.collect()]);
  const { exitCode, endReason } = await started.exited;
  expect({ script, endReason }).toStrictEqual({ script, endReason: 'exited' });
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

async function exists(client: ExecClient): Promise<boolean> {
  return client.call('fs/getMetadata', { path: project }).then(
    () => true,
    () => false,
  );
}
