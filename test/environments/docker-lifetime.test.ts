import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ownVariables } from '../../src/config.ts';
import {
  type DockerSourceOptions,
  type EnvironmentStart,
  dockerSource,
} from '../../src/environments/environments.ts';
import { eventually } from '../support/conformance-leftovers.ts';
import { docker, succeeds } from '../support/docker.ts';
import { tinyImage } from '../support/docker-image.ts';
import {
  type TestContainer,
  hasDocker,
  idleContainer,
  imageWithoutNode,
  preparationMs,
} from '../support/environments-docker.ts';
import { testBundle } from '../support/environments-bundle.ts';
import { type Managed, manage } from '../support/environments-targets.ts';

const owner = path.resolve(import.meta.dirname, '..', 'support', 'environments-docker-owner.ts');
const label = `exec-server-test=${randomUUID()}`;
const [labelName = '', labelValue = ''] = label.split('=');
/** Starts under load. */
const connect = { connectTimeoutMs: 60_000 };

describe.skipIf(!(await hasDocker()))('executors in containers', () => {
  let image = '';
  let bundle = '';
  let tiny = '';
  const containers: TestContainer[] = [];

  beforeAll(async () => {
    bundle = await testBundle();
    image = await imageWithoutNode();
    tiny = await tinyImage();
  }, preparationMs);

  afterAll(async () => {
    for (const container of containers) await container[Symbol.asyncDispose]();
    if (tiny !== '') await docker('rmi', '--force', tiny);
  });

  async function idle(options: readonly string[] = []): Promise<string> {
    const container = await idleContainer(image, options);
    containers.push(container);
    return container.name;
  }

  function open(options: Partial<DockerSourceOptions>): Promise<Managed> {
    return manage(dockerSource({ bundle, variables: ownVariables(), ...options }), connect);
  }

  const created = (more: Partial<DockerSourceOptions> = {}): Partial<DockerSourceOptions> => ({
    image,
    labels: { [labelName]: labelValue },
    ...more,
  });
  const ours = async (): Promise<string> => docker('ps', '--all', '--quiet', '--filter', `label=${label}`);
  const programs = async (name: string): Promise<string[]> =>
    (await docker('exec', name, 'sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" "\\n"')).split('\n');
  const untilIdle = async (name: string): Promise<void> => {
    await eventually('the end of the executor and its processes', async () =>
      (await programs(name)).some((line) => /exec-server|main\.js|1234567/.test(line)) ? undefined : true,
    );
  };

  async function outputOf(managed: Managed, script: string): Promise<string> {
    const started = await managed.manager.get().processes.start({ argv: ['/bin/sh', '-c', script] });
    const output = (await started.stdout.collect()).toString();
    expect((await started.exited).exitCode).toBe(0);
    return output;
  }

  test('a container is created as it is described, and is removed with the environment', async () => {
    await using managed = await open(
      created({
        user: '1000:1000',
        workdir: '/var',
        network: 'none',
        env: { GREETING: 'hello world' },
        mounts: [{ source: import.meta.dirname, target: '/tests', readOnly: true }],
      }),
    );
    const script =
      'id -u; ls /tests/docker.test.ts; touch /tests/x 2> /dev/null || echo read-only; ls /sys/class/net';
    expect(await outputOf(managed, script)).toBe('1000\n/tests/docker.test.ts\nread-only\nlo\n');
    const { environment } = await managed.manager.get().client();
    expect(environment?.cwd).toBe('file:///var');
    const id = await ours();
    expect(
      await docker('inspect', '--format', '{{index .Config.Labels "exec-server.environment"}}', id),
    ).toBe('there');
    await managed.manager[Symbol.asyncDispose]();
    expect(await ours()).toBe('');
  });

  test('a container is removed when its executor cannot be put there or started', async () => {
    await using managed = await open(created({ user: 'nobody-here' }));
    await expect(managed.manager.get().client()).rejects.toThrow(/has no such user/);
    await using other = await open(created({ folder: '/no-such' }));
    await expect(other.manager.get().client()).rejects.toThrow(/folder for the executor is not there/);
    expect(await ours()).toBe('');
  });

  test('an image with glibc and a shell is enough, and Landlock confines there', async () => {
    await using managed = await open(created({ image: tiny }));
    const { processes, files } = managed.manager.get();
    await files.writeFile('/tmp/in', 'x');
    const started = await processes.start({
      argv: ['/bin/sh', '-c', 'echo y > /tmp/in; echo z > /outside; echo $?'],
      cwd: '/tmp',
      sandbox: writesBelow('/tmp'),
    });
    expect((await started.stdout.collect()).toString()).toBe('2\n');
    expect((await files.readFile('/tmp/in')).toString()).toBe('y\n');
  });

  test.each([
    ['is killed', 'SIGKILL'],
    ['just exits', 'exit'],
  ])('nothing is left in a container, and none that was created, when the owner %s', async (_how, how) => {
    const name = await idle();
    const descriptions = [{ container: name }, created()];
    for (const description of descriptions) {
      const text = JSON.stringify({ bundle, ...description });
      const child = spawn(process.execPath, [owner, text], { stdio: ['pipe', 'pipe', 'inherit'] });
      const exited = once(child, 'exit');
      expect(String((await once(child.stdout, 'data'))[0])).toBe('ready\n');
      if (how === 'SIGKILL') child.kill(how);
      else child.stdin.end(`${how}\n`);
      await exited;
    }
    await untilIdle(name);
    await eventually('the removal of the container', async () => ((await ours()) === '' ? true : undefined));
  });

  test('the executor is put into a container once, and ends with the environment', async () => {
    const name = await idle();
    const listing = async (): Promise<string> =>
      docker('exec', name, 'sh', '-c', 'ls -A / | grep exec-server; stat -c "%U %a %Z" /.exec-server-*');
    for (const before of ['', await listing().catch(() => '')]) {
      await using managed = await open({ container: name });
      await managed.manager.get().processes.start({ argv: ['/bin/sleep', '1234567'] });
      await managed.manager[Symbol.asyncDispose]();
      await untilIdle(name);
      const after = await listing();
      expect(after).toMatch(/^\.exec-server-[0-9a-f]{64}\nroot 755 \d+$/);
      if (before !== '') expect(after).toBe(before);
    }
  });

  test('an executor that has stopped is ended all the same', async () => {
    const name = await idle();
    await using managed = await open({ container: name });
    await managed.manager.get().client();
    const stop = 'kill -STOP $(grep -lE "^exec-server-[0-9a-f]{8}-" /proc/[0-9]*/cmdline | cut -d/ -f3)';
    await docker('exec', name, 'sh', '-c', stop);
    await managed.manager[Symbol.asyncDispose]();
    await untilIdle(name);
  });

  test('a folder that somebody else has made is not trusted', async () => {
    const name = await idle();
    {
      await using managed = await open({ container: name, folder: '/tmp' });
      await managed.manager.get().client();
    }
    await docker('exec', name, 'sh', '-c', 'chown -R 1000 /tmp/.exec-server-*');
    await using managed = await open({ container: name, folder: '/tmp' });
    await expect(managed.manager.get().client()).rejects.toThrow(/is not root's alone, and is not trusted/);
  });

  test('what is wrong is told, with what to do', async () => {
    const stopped = await idle();
    await docker('stop', '--time', '0', stopped);
    const paused = await idle();
    await docker('pause', paused);
    const readOnly = await idle(['--read-only']);
    const full = await idle(['--mount', 'type=tmpfs,destination=/small,tmpfs-size=1048576']);
    const alien = await idle();
    await docker('exec', alien, 'sh', '-c', 'rm /lib64');
    const wrong: readonly (readonly [Partial<DockerSourceOptions>, RegExp])[] = [
      [{ container: 'no-such' }, /there is no container "no-such"\. `docker ps/],
      [{ image: 'no-such-image:1' }, /the engine has no image "no-such-image:1"\. `docker pull`/],
      [{ container: stopped }, /is exited, and not running; `docker start`/],
      [{ container: paused }, /is paused, and not running; `docker unpause`/],
      [{ container: readOnly }, /read-only root.*`folder`/],
      [{ container: full, folder: '/no-such' }, /the folder for the executor is not there/],
      [{ container: alien }, /needs glibc 2\.28 or later/],
      [created({ user: 'nobody-here' }), /has no such user/],
      [created({ network: 'no-such-net' }), /no such network/],
      [{ container: stopped, engine: 'unix:///no/such.sock' }, /cannot be reached\. Start dockerd/],
      [{ container: stopped, bundle: '/no/such.tar.gz' }, /\/?is exited/],
      [{ container: full, bundle: '/no/such.tar.gz' }, /`npm run bundle`/],
    ];
    for (const [options, message] of wrong) {
      await using managed = await open(options);
      await expect(managed.manager.get().client(), JSON.stringify(options)).rejects.toThrow(message);
    }
    expect(await ours()).toBe('');
    expect(await succeeds('docker', 'unpause', paused)).toBe(true);
    // Nothing of what could not be used stays in a container.
    expect(await docker('exec', full, 'ls', '-A', '/')).not.toContain('.exec-server-new');
  });
});

function writesBelow(folder: string): EnvironmentStart['sandbox'] {
  const entries = [
    { path: { type: 'special' as const, value: { kind: 'root' as const } }, access: 'read' as const },
    { path: { type: 'path' as const, path: folder }, access: 'write' as const },
  ];
  const permissions = {
    type: 'managed' as const,
    network: 'restricted' as const,
    file_system: { type: 'restricted' as const, entries },
  };
  return { permissions, cwd: folder, workspaceRoots: [folder] };
}
