import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { native } from '../../src/support/native.ts';
import { expectSoon } from './unit-wait.ts';

export const launcherPath = join(
  dirname(createRequire(import.meta.url).resolve('../../package.json')),
  'build/Release/exec_server_confine',
);

/** `bubblewrap`: pid 1 of a sandbox in which the host is writable. `alone`: as the executor would start it without namespaces. */
export type Way = 'bubblewrap' | 'alone';

export interface Start {
  readonly way: Way;
  readonly argv: readonly string[];
  readonly candidates?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly tty?: boolean;
  /** Beside what the members above say. */
  readonly entries?: readonly (readonly [string, string])[];
  /** The specification as it is, instead of all that. */
  readonly spec?: Buffer;
  readonly unsealed?: boolean;
  readonly mounts?: readonly string[];
}

export interface Running extends AsyncDisposable {
  /** Of what was spawned: bubblewrap or the launcher. */
  readonly launcher: number;
  /** Every message so far, and who sent it. */
  readonly messages: readonly { readonly text: string; readonly pid: number }[];
  /** The command's pid here, from the message `pid`. */
  readonly pid: () => number;
  readonly message: (word: string) => Promise<string>;
  readonly output: () => string;
  /** Waits until the output has this in it. */
  readonly shows: (text: string | RegExp) => Promise<void>;
  readonly streamsEnded: Promise<void>;
  readonly write: (text: string) => void;
  readonly closeStatus: () => void;
  /** Lets the launcher end. Answers its exit code and signal. */
  readonly acknowledge: () => Promise<readonly [number, number]>;
  readonly launcherEnd: () => Promise<readonly [number, number]>;
}

const zeroed = (strings: readonly string[]): Buffer =>
  Buffer.from(strings.map((text) => `${text}\0`).join(''));

export function encode(entries: readonly (readonly [string, string])[]): Buffer {
  return zeroed(entries.flat());
}

export async function startLauncher(start: Start): Promise<Running> {
  const { way, argv, cwd = '/', env = [`PATH=${process.env['PATH']}`], tty = false } = start;
  const entries: (readonly [string, string])[] = [
    ...(start.candidates ?? argv.slice(0, 1)).map((path) => ['candidate', path] as const),
    ...argv.map((arg) => ['arg', arg] as const),
    ...env.map((variable) => ['env', variable] as const),
    ['cwd', cwd],
    ...(tty ? [['tty', '1'] as const] : []),
    ...(start.entries ?? []),
  ];
  const bytes = start.spec ?? encode(entries);
  const spec = start.unsealed === true ? openSync('/dev/null', 'r') : native().sealedFile(bytes);
  const pair = native().statusPair();
  if (typeof pair === 'number') throw new Error(`statusPair: ${pair}`);
  const [ours, theirs] = pair;
  const launcher = openSync(launcherPath, 'r');
  const args = native().sealedFile(
    zeroed([
      '--unshare-user',
      '--unshare-pid',
      '--as-pid-1',
      '--die-with-parent',
      ...(start.mounts ?? ['--bind', '/', '/', '--proc', '/proc', '--dev', '/dev']),
    ]),
  );
  const bubblewrap = way === 'bubblewrap';
  const child = await native().spawn({
    candidates: zeroed([bubblewrap ? '/usr/bin/bwrap' : launcherPath]),
    argv: zeroed(bubblewrap ? ['bwrap', '--args', '6', '--', '/proc/self/fd/5'] : ['launcher']),
    env: Buffer.alloc(0),
    cwd: zeroed(['/']),
    pipeStdin: 1,
    rows: tty ? 24 : 0,
    cols: tty ? 80 : 0,
    pass: bubblewrap ? [spec, theirs, launcher, args] : [spec, theirs],
    leadTerminal: 0,
  });
  for (const fd of [spec, theirs, launcher, args]) closeSync(fd);
  if ('errno' in child) {
    closeSync(ours);
    throw new Error(`Not started: ${child.stage} ${child.errno}`);
  }
  return watch(child, ours, tty);
}

function watch(
  child: { pid: number; stdin: number; stdout: number; stderr: number },
  ours: number,
  tty: boolean,
): Running {
  const messages: { text: string; pid: number }[] = [];
  let [output, changed, closed] = ['', Promise.withResolvers<void>(), false];
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const buffer = Buffer.alloc(8192);
  const polls = new Set<object>();
  const listen = (fd: number, take: () => boolean): void => {
    const poll = native().pollOpen(fd, () => {
      if (polls.has(poll) && !take()) {
        polls.delete(poll);
        native().pollClose(poll);
      }
      change();
    });
    polls.add(poll);
    native().pollSet(poll, 1);
  };
  listen(ours, () => {
    const got = native().receiveStatus(ours, buffer);
    if (typeof got === 'number') return false;
    if (got[0] === 0) return false;
    messages.push({ text: buffer.toString('utf8', 0, got[0]), pid: got[1] });
    return true;
  });
  const streams = tty ? [child.stdin] : [child.stdout, child.stderr];
  let openStreams = streams.length;
  const ended = Promise.withResolvers<void>();
  for (const fd of streams) {
    listen(fd, () => {
      const count = native().read(fd, buffer, 0, buffer.length);
      if (count > 0) {
        output += buffer.toString('utf8', 0, count);
        return true;
      }
      openStreams -= 1;
      if (openStreams === 0) ended.resolve();
      return false;
    });
  }
  const until = async <T>(what: string, look: () => T | undefined): Promise<T> => {
    for (let found = look(); ; found = look()) {
      if (found !== undefined) return found;
      await expectSoon(`${what}; so far: ${JSON.stringify(messages)} ${output}`, changed.promise);
    }
  };
  let end: readonly [number, number] | undefined;
  const launcherEnd = async (): Promise<readonly [number, number]> => {
    // The zombie of the launcher is this process's child; nothing tells of it but asking.
    for (const deadline = Date.now() + 15_000; end === undefined && Date.now() < deadline;) {
      const status = native().exitStatus(child.pid);
      if (status !== null && typeof status !== 'number') {
        end = [status[0], status[1]];
        native().reap(child.pid);
      } else await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    if (end === undefined)
      throw new Error(`The launcher has not ended; ${JSON.stringify(messages)} ${output}`);
    return end;
  };
  const closeStatus = (): void => {
    if (closed) return;
    closed = true;
    for (const poll of polls) native().pollClose(poll);
    polls.clear();
    closeSync(ours);
  };
  return {
    launcher: child.pid,
    messages,
    pid: () => messages.find(({ text }) => text === 'pid')?.pid ?? 0,
    message: (word) =>
      until(`the message ${word}`, () => messages.find(({ text }) => text.split(' ')[0] === word)?.text),
    output: () => output,
    shows: (text) =>
      until(`output with ${text}`, () =>
        (typeof text === 'string' ? output.includes(text) : text.test(output)) ? true : undefined,
      ).then(() => {}),
    streamsEnded: ended.promise,
    write: (text) => {
      const bytes = Buffer.from(text);
      native().write(child.stdin, bytes, 0, bytes.length);
    },
    closeStatus,
    acknowledge: () => {
      native().write(ours, Buffer.from('.'), 0, 1);
      return launcherEnd();
    },
    launcherEnd,
    [Symbol.asyncDispose]: async () => {
      closeStatus();
      await launcherEnd();
      for (const fd of new Set([child.stdin, child.stdout, child.stderr])) if (fd >= 0) closeSync(fd);
    },
  };
}

/** Runs it to its end. */
export async function runLauncher(
  start: Start,
): Promise<{ output: string; exited: string; launcher: readonly [number, number] }> {
  await using running = await startLauncher(start);
  const exited = await running.message('exited');
  const launcher = await running.acknowledge();
  await expectSoon('the end of the output', running.streamsEnded);
  return { output: running.output(), exited: exited.split(' ')[1] ?? '', launcher };
}
