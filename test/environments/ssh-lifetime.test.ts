import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type SshSourceOptions, sshSource } from '../../src/environments/environments.ts';
import { eventually, expectNothingLeft, markVariable } from '../support/conformance-leftovers.ts';
import { testBundle } from '../support/environments-bundle.ts';
import { type SshServer, hasSsh, sshServer } from '../support/environments-ssh.ts';
import { type Managed, manage } from '../support/environments-targets.ts';

const preparationMs = 300_000;

describe.skipIf(!(await hasSsh()))('executors over ssh', () => {
  let server: SshServer;
  let bundle = '';
  const mark = randomUUID();

  beforeAll(async () => {
    bundle = await testBundle();
    server = await sshServer([`SetEnv ${markVariable}=${mark}`]);
  }, preparationMs);

  afterAll(async () => server[Symbol.asyncDispose]());

  function open(more: Partial<SshSourceOptions>, onLog?: (line: string) => void): Promise<Managed> {
    const options = { ...server.options, ...more, options: { ...server.options.options, ...more.options } };
    const source = sshSource({ ...options, bundle });
    const heard =
      onLog === undefined
        ? source
        : {
            ...source,
            open: (context: Parameters<typeof source.open>[0]) => source.open({ ...context, onLog }),
          };
    return manage(heard, { connectTimeoutMs: 60_000 });
  }

  async function greet(managed: Managed): Promise<string> {
    const started = await managed.manager.get().processes.start({ argv: ['/bin/echo', 'hello'] });
    return (await started.stdout.collect()).toString();
  }

  test('the bundle is put there once, whole, and nothing else stays there', async () => {
    const folder = path.join(server.folder, "cache of 'mine'");
    const times: number[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      await using managed = await open({ install: true, folder });
      expect(await greet(managed)).toBe('hello\n');
      const names = await readdir(folder);
      expect(names).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
      times.push((await stat(path.join(folder, names[0] ?? ''))).ctimeMs);
    }
    expect(times[1]).toBe(times[0]);
    await expectNothingLeft(mark);
  });

  test('two that come at once both get it', async () => {
    const folder = path.join(server.folder, 'both');
    await using one = await open({ install: true, folder });
    await using other = await open({ install: true, folder });
    expect(await Promise.all([greet(one), greet(other)])).toEqual(['hello\n', 'hello\n']);
    expect(await readdir(folder)).toHaveLength(1);
  });

  test('what a profile prints is left out, and is told', async () => {
    const program = path.join(server.folder, 'noisy');
    await writeFile(
      path.join(server.folder, 'profile'),
      'echo "Welcome! {\\"id\\":1}"\necho to the machine\n',
    );
    const folder = path.join(server.folder, 'both');
    const lines: string[] = [];
    // What an rc file of a login shell does.
    await writeFile(
      program,
      `#!/bin/sh\n. '${server.folder}/profile'\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n`,
    );
    await chmod(program, 0o755);
    const authorized = path.join(server.folder, 'authorized_keys');
    const key = await readFile(authorized, 'utf8');
    await writeFile(authorized, `command="${program}" ${key}`);
    try {
      await using managed = await open({ install: true, folder }, (line) => lines.push(line));
      expect(await greet(managed)).toBe('hello\n');
      expect(lines.join('\n')).toMatch(/profile has printed 33 bytes on standard output; they were left out/);
      await writeFile(path.join(server.folder, 'profile'), 'yes | head -c 100000\n');
      await using loud = await open({ install: true, folder });
      await expect(loud.manager.get().client()).rejects.toThrow(/prints more than 65536 bytes/);
    } finally {
      await writeFile(authorized, key);
    }
    await expectNothingLeft(mark);
  });

  test('an executor ends with the connection, however that ends', async () => {
    const folder = path.join(server.folder, 'both');
    await using managed = await open({ install: true, folder });
    await managed.manager
      .get()
      .processes.start({ argv: ['/bin/sh', '-c', 'trap "" TERM HUP; sleep 1234567'] });
    const ssh = await eventually('the ssh of this environment', async () =>
      childSsh(server.options.identityFile ?? ''),
    );
    process.kill(ssh, 'SIGKILL');
    await expectNothingLeft(mark);
    expect(await greet(managed)).toBe('hello\n');
  });

  test('what is wrong is told, with what to do', async () => {
    const file = path.join(server.folder, 'file');
    await writeFile(file, '');
    const { port = 0 } = server.options;
    const foreign = path.join(server.folder, 'foreign');
    await mkdir(foreign);
    const wrong: readonly (readonly [Partial<SshSourceOptions>, RegExp])[] = [
      [{}, /"127\.0\.0\.1" has no program "exec-server" \(status 127\)\. Install it there/],
      [{ program: '/bin/false' }, /ended with status 1/],
      [{ port: port === 1 ? 2 : 1 }, /ssh does not reach "127\.0\.0\.1" \(.*Connection refused\)/],
      [{ host: 'no-such-host.invalid' }, /ssh does not reach .* Check the name of the host/],
      [{ identityFile: file }, /Permission denied.*Name a key with `identity_file`/],
      [
        { options: { UserKnownHostsFile: '/dev/null' } },
        /Host key verification failed.*Connect once by hand/,
      ],
      [
        { install: true, folder: path.join(file, 'below') },
        /has no folder for the executor that can be written to/,
      ],
      [{ program: 'x; touch /tmp/exec-server-never' }, /has no program "x; touch/],
    ];
    for (const [options, message] of wrong) {
      await using managed = await open(options);
      await expect(managed.manager.get().client(), JSON.stringify(options)).rejects.toThrow(message);
    }
    await expect(stat('/tmp/exec-server-never')).rejects.toThrow('ENOENT');
    await expectNothingLeft(mark);
  });
});

async function childSsh(identity: string): Promise<number | undefined> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).split('\0');
    if (line[0] === 'ssh' && line.includes(identity)) return Number(pid);
  }
  return undefined;
}
