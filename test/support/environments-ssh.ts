import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { promisify } from 'node:util';

import { type SshSourceOptions, sshSource } from '../../src/environments/environments.ts';
import { ownVariables } from '../../src/config.ts';
import { eventually } from './conformance-leftovers.ts';
import { executorVariables, flags } from './conformance-targets.ts';
import { succeeds } from './docker.ts';
import { testBundle } from './environments-bundle.ts';
import { type ReachedKind, executors, manage } from './environments-targets.ts';

const run = promisify(execFile);
const daemon = '/usr/sbin/sshd';
const installHint = 'These tests need a server of ssh: apt-get install -y openssh-server openssh-client.';

/** Whether there is a server of ssh to start; with CI=true there must be one. */
export async function hasSsh(): Promise<boolean> {
  const available = (await succeeds('test', '-x', daemon)) && (await succeeds('ssh', '-V'));
  if (!available && process.env['CI'] === 'true') throw new Error(installHint);
  if (!available) process.stderr.write(`Skipped. ${installHint}\n`);
  return available;
}

export interface SshServer extends AsyncDisposable {
  /** Its files, and what tests add to them. */
  readonly folder: string;
  /** How it is reached. */
  readonly options: Pick<
    SshSourceOptions,
    'host' | 'user' | 'port' | 'identityFile' | 'configFile' | 'options' | 'variables'
  >;
}

/** A server on this machine with keys of its own. Nothing of the user's configuration is read or changed. */
export async function sshServer(settings: readonly string[] = []): Promise<SshServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'exec-server-ssh-'));
  const at = (name: string): string => path.join(folder, name);
  for (const name of ['host', 'user'])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', at(name)]);
  await writeFile(at('authorized_keys'), await readFile(at('user.pub')));
  const port = await freePort();
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${at('host')}`,
    `AuthorizedKeysFile ${at('authorized_keys')}`,
    'PidFile none',
    'UsePAM no',
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'StrictModes no',
    // Connections of all cases come from one address.
    'MaxStartups 200',
    ...settings,
  ];
  await writeFile(at('config'), `${config.join('\n')}\n`);
  await writeFile(at('known'), `[127.0.0.1]:${port} ${await readFile(at('host.pub'), 'utf8')}`);
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const child = spawn(daemon, ['-D', '-e', '-f', at('config')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'exit');
  await eventually('the server of ssh', () => {
    if (child.exitCode !== null) throw new Error(`sshd has ended: ${said}`);
    return said.includes('Server listening') ? true : undefined;
  });
  return {
    folder,
    options: {
      host: '127.0.0.1',
      user: userInfo().username,
      port,
      identityFile: at('user'),
      configFile: '/dev/null',
      options: { UserKnownHostsFile: at('known'), StrictHostKeyChecking: 'yes' },
      variables: ownVariables(),
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Puts the bundle there, as the source does. Answers its folder. */
export async function installOver(server: SshServer): Promise<string> {
  const folder = path.join(server.folder, 'cache');
  const source = sshSource({ ...server.options, install: true, folder, bundle: await testBundle() });
  await using managed = await manage(source, { connectTimeoutMs: 60_000 });
  await managed.manager.get().client();
  const [digest = ''] = await readdir(folder);
  return path.join(folder, digest);
}

/** Executors of the bundle in that folder, started over ssh. They have exactly the variables that the cases count on, and none of the server's. */
export function sshKind(server: () => SshServer | undefined, bundle: () => string): ReachedKind {
  return {
    kind: 'ssh',
    name: 'stdio',
    sharesSessions: false,
    reach: async (mark, options) => {
      const there = server();
      if (there === undefined) throw new Error('There is no server of ssh.');
      const program = path.join(there.folder, `executor-${mark}`);
      const variables = Object.entries(executorVariables(mark)).map(([name, value]) => `'${name}=${value}'`);
      const start = `'${bundle()}/bin/node' '${bundle()}/lib/main.js'`;
      const script = `#!/bin/sh\nexec env -i ${variables.join(' ')} ${start} "$@"\n`;
      await writeFile(program, script);
      await chmod(program, 0o755);
      const kill = async (signal: NodeJS.Signals): Promise<void> => {
        for (const pid of await executors(mark)) process.kill(pid, signal);
      };
      return {
        source: sshSource({ ...there.options, program, args: flags(options) }),
        shutDown: () => kill('SIGTERM'),
        lose: () => kill('SIGKILL'),
        [Symbol.asyncDispose]: async () => {},
      };
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
