import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, lstat, mkdir, open, readFile, readdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { createSocket } from 'node:dgram';
import { getPriority, hostname } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { LocalExecutor } from '../../src/environments/local.ts';
import {
  type Enforcer,
  arena,
  confinedExecutor,
  requireSandbox,
  runConfined,
} from '../support/sandbox-arena.ts';
import { type Escape, escapes, preamble } from '../support/sandbox-escapes.ts';
import { at, projectRoots, restricted, root } from '../support/sandbox-profiles.ts';

const python = '/usr/bin/python3';
const abstract = `exec-server-escape-${process.pid}`;
const sharedMemoryKey = 0x65780000 + (process.pid & 0xffff);

/** Listens where Node cannot: a datagram socket and a FIFO; and holds shared memory. It says what comes. */
const listener = `
import ctypes, os, select, socket, sys
folder, key = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(folder + '/datagram'); os.chmod(folder + '/datagram', 0o777)
os.mkfifo(folder + '/fifo', 0o666); os.chmod(folder + '/fifo', 0o666); f = os.open(folder + '/fifo', os.O_RDWR)
libc = ctypes.CDLL(None); m = libc.shmget(key, 4096, 0o1666)
print('ready', flush=True)
try:
    while True:
        r, _, _ = select.select([s, f, 0], [], [])
        if 0 in r: break
        for x in r: (s.recv(99) if x is s else os.read(f, 99)); print('heard', flush=True)
finally: libc.shmctl(m, 0, None)
`;

/** What is outside of the grants, and notices what reaches it. */
class World implements AsyncDisposable {
  readonly folder: string;
  readonly outside: string;
  readonly heard: string[] = [];
  readonly #disposals: (() => Promise<unknown>)[] = [];
  #victim: ChildProcess | undefined;
  #before: readonly string[] = [];
  port = 0;
  udpPort = 0;

  constructor(folder: string) {
    this.folder = folder;
    this.outside = path.join(folder, 'outside');
  }

  get victim(): ChildProcess {
    if (this.#victim === undefined) throw new Error('The world has not been opened.');
    return this.#victim;
  }

  async open(): Promise<void> {
    await mkdir(this.outside);
    await writeFile(path.join(this.outside, 'file'), 'kept');
    await copyFile('/usr/bin/id', path.join(this.outside, 'suid'));
    await chmod(path.join(this.outside, 'suid'), 0o4755);
    const file = await open(path.join(this.outside, 'file'), 'r+');
    this.#victim = spawn('/bin/sleep', ['600'], {
      cwd: this.outside,
      env: { MARK: 'MARK_OF_THE_VICTIM' },
      stdio: ['ignore', 'ignore', 'ignore', file.fd],
    });
    await file.close();
    this.#disposals.push(() => ended(this.victim, 'SIGKILL'));
    for (const target of [
      path.join(this.outside, 'stream'),
      `\0${abstract}`,
      { port: 0, host: '127.0.0.1' },
    ]) {
      const server = createServer((socket) => {
        this.heard.push('a connection');
        socket.destroy();
      });
      server.listen(target);
      await once(server, 'listening');
      this.#disposals.push(() => closed(server));
      const address = server.address();
      if (typeof address === 'object' && address !== null) this.port = address.port;
    }
    const udp = createSocket('udp4', () => void this.heard.push('a packet'));
    udp.bind(0, '127.0.0.1');
    await once(udp, 'listening');
    this.udpPort = udp.address().port;
    this.#disposals.push(async () => udp.close());
    const helper = spawn(python, ['-c', listener, this.outside, String(sharedMemoryKey)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#disposals.push(() => {
      helper.stdin.end();
      return ended(helper);
    });
    const lines = createInterface({ input: helper.stdout });
    await once(lines, 'line');
    lines.on('line', (line) => this.heard.push(line));
    this.#before = await this.#state();
  }

  /** A workspace of one attempt. */
  async workspace(index: number): Promise<string> {
    const inside = path.join(this.folder, `inside-${index}`);
    await mkdir(path.join(inside, '.git'), { recursive: true });
    await writeFile(path.join(inside, '.git', 'config'), 'kept');
    await mkdir(path.join(inside, 'deep', 'er', 'denied'), { recursive: true });
    await writeFile(path.join(inside, 'deep', 'er', 'denied', 'key'), 'kept');
    return inside;
  }

  async expectUntouched(inside: string): Promise<void> {
    expect(await this.#state()).toEqual(this.#before);
    expect(this.heard).toEqual([]);
    expect(this.victim.exitCode ?? this.victim.signalCode).toBeNull();
    expect(getPriority(this.victim.pid)).toBe(0);
    expect((await readdir(inside)).filter((name) => name.startsWith('.'))).toEqual(['.git']);
    expect((await readdir(inside)).filter((name) => name.startsWith('core'))).toEqual([]);
    expect(await readdir(path.join(inside, '.git'))).toEqual(['config']);
    const config = path.join(inside, '.git', 'config');
    expect(await readFile(config, 'utf8')).toBe('kept');
    expect((await lstat(config)).mode & 0o777).toBe(0o644);
    expect(await readFile(path.join(inside, 'deep', 'er', 'denied', 'key'), 'utf8')).toBe('kept');
  }

  /** Names, modes, owners, times and contents outside, and settings of the host. */
  async #state(): Promise<string[]> {
    const state = [hostname(), await readFile('/proc/sys/kernel/core_pattern', 'utf8')];
    for (const name of (await readdir(this.outside)).toSorted()) {
      const { mode, uid, gid, size, mtimeMs, ctimeMs, nlink } = await lstat(path.join(this.outside, name));
      const changes = name === 'fifo' ? [] : [mtimeMs, ctimeMs];
      state.push([name, mode, uid, gid, size, nlink, ...changes].join(' '));
    }
    state.push(await readFile(path.join(this.outside, 'file'), 'utf8'));
    return state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const dispose of this.#disposals.toReversed()) await dispose();
  }
}

async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  if (signal !== undefined) child.kill(signal);
  await exit;
}

async function closed(server: Server): Promise<void> {
  await new Promise((resolve) => void server.close(resolve));
}

describe.each(['bubblewrap', 'landlock'] as const)('a process confined by %s', (enforcer: Enforcer) => {
  let executor: LocalExecutor;
  let folder: Awaited<ReturnType<typeof arena>>;
  let world: World;
  beforeAll(async () => {
    executor = await confinedExecutor(enforcer);
    folder = await arena();
    world = new World(folder.path);
    await world.open();
  });
  afterAll(async () => {
    await executor[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test.for(escapes.map((escape, index) => [escape.name, escape, index] as const))(
    'reaches nothing when it %s',
    async ([, escape, index], context) => {
      requireSandbox(context);
      const inside = await world.workspace(index);
      const { output } = await attempt(executor, world, inside, escape, enforcer);
      expect(output).not.toContain('ESCAPED');
      // A script that was not understood has attempted nothing.
      expect(output).not.toMatch(/SyntaxError|NameError|TypeError|AttributeError|ImportError/);
      await world.expectUntouched(inside);
    },
  );
});

async function attempt(
  executor: LocalExecutor,
  world: World,
  inside: string,
  escape: Escape,
  enforcer: Enforcer,
): Promise<{ output: string }> {
  // Landlock cannot deny inside of a grant; what it can is to keep a path as it is.
  const narrow = at(path.join(inside, 'deep', 'er', 'denied'), enforcer === 'bubblewrap' ? 'none' : 'read');
  const permissions = restricted([root('read'), projectRoots('write'), narrow], {
    network: escape.network ?? 'restricted',
  });
  const args = [
    inside,
    world.outside,
    String(world.victim.pid),
    String(world.port),
    String(world.udpPort),
    abstract,
    String(sharedMemoryKey),
    path.join(world.outside, 'suid'),
  ];
  const argv = [python, '-c', `${preamble}\n${escape.script}`, ...args];
  return runConfined(
    executor,
    '',
    { permissions, cwd: inside },
    { argv, cwd: inside, tty: escape.tty ?? false },
  );
}
