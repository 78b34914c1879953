import { readFile, readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { RunningChild } from '../../support/unit-process.ts';

const sh = (script: string): string[] => ['/bin/sh', '-c', script];
const tty = { tty: true } as const;
const MiB = 1024 * 1024;

/** The numbers behind the name in /proc/<pid>/stat: state, parent, group, session, terminal. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

describe('Child: the program', () => {
  it.each([
    ['its exit code', 'exit 42', 42, null],
    ['128 and the number of a signal', 'kill -KILL $$', 137, 'SIGKILL'],
    ['the same for TERM', 'kill -TERM $$', 143, 'SIGTERM'],
    ['an exit code that looks like a signal', 'exit 137', 137, null],
  ])('tells %s', async (_, script, code, signal) => {
    await using running = await RunningChild.start(sh(script));
    expect(await running.ended()).toMatchObject({ code, signal });
  });

  it.each([false, true])('tells the end of the streams behind all output, once (tty %s)', async (onTty) => {
    await using running = await RunningChild.start(sh('seq 20000; echo last'), { tty: onTty });
    await running.ended();
    expect(running.told.filter((what) => what === 'streamsEnded')).toHaveLength(1);
    expect(running.told.filter((what) => what === 'exit')).toHaveLength(1);
    const afterEnd = running.told.slice(running.told.indexOf('streamsEnded') + 1);
    expect(afterEnd.filter((what) => what !== 'exit')).toEqual([]);
    const lines = running.text().trimEnd().split(/\r?\n/);
    expect([lines.length, lines[0], lines.at(-2), lines.at(-1)]).toEqual([20_001, '1', '20000', 'last']);
  });

  it('tells the CPU time that it has used', async () => {
    await using running = await RunningChild.start(sh('i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'));
    const usage = (await running.ended())?.usage;
    expect(usage?.userCpuMs).toBeGreaterThan(10);
    expect(usage?.userCpuMs).toBeLessThan(60_000);
    expect(usage?.systemCpuMs).toBeGreaterThanOrEqual(0);
  });

  it('leads a session and a group of its own', async () => {
    for (const onTty of [false, true]) {
      await using running = await RunningChild.start(sh('echo ready; exec sleep 1000'), { tty: onTty });
      await running.until('ready');
      const [, parent, group, session, terminal] = await statOf(running.child.pid);
      const pid = String(running.child.pid);
      expect([parent, group, session]).toEqual([String(process.pid), pid, pid]);
      expect(terminal === '0').toBe(!onTty);
    }
  });

  it.each([false, true])('has no descriptors but 0, 1 and 2 (tty %s)', async (onTty) => {
    await using other = await RunningChild.start(['cat'], { pipeStdin: true });
    await using running = await RunningChild.start(sh('echo ready; read line'), {
      tty: onTty,
      pipeStdin: true,
    });
    await running.until('ready');
    const fds = await readdir(`/proc/${running.child.pid}/fd`);
    expect(fds.map(Number).sort((a, b) => a - b)).toEqual([0, 1, 2]);
    expect(other.child.pid).toBeGreaterThan(0);
  });

  it('ignores and blocks no signal', async () => {
    await using running = await RunningChild.start(['cat', '/proc/self/status']);
    await running.ended();
    expect(running.text()).toMatch(/^SigBlk:\s+0+$/m);
    expect(running.text()).toMatch(/^SigIgn:\s+0+$/m);
  });

  it('gets exactly the variables and arguments that were computed', async () => {
    const env = { PATH: '/bin:/usr/bin', A: 'x=y', EMPTY: '', Ü: 'ü\n' };
    await using running = await RunningChild.start(['env', '-0'], { env });
    await running.ended();
    expect(running.text().split('\0').slice(0, -1).sort()).toEqual(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}`)
        .sort(),
    );
    const args = ['', ' ', '*', '$HOME', '-n', 'ü', '"', '\n'];
    await using printing = await RunningChild.start(['/usr/bin/printf', '[%s]', ...args]);
    await printing.ended();
    expect(printing.text()).toBe(args.map((arg) => `[${arg}]`).join(''));
  });

  it('is told for each of many that end at the same time', async () => {
    const children = await Promise.all(
      Array.from({ length: 60 }, (_, i) => RunningChild.start(sh(`exit ${i}`))),
    );
    const codes = await Promise.all(children.map(async (running) => (await running.ended())?.code));
    expect(codes).toEqual(children.map((_, i) => i));
    for (const running of children) await running[Symbol.asyncDispose]();
  });
});

describe('Child: signals', () => {
  it('go to the group, or to the program alone', async () => {
    const script =
      "trap 'echo outer' USR1; sh -c 'trap \"echo inner\" USR1; echo ready; while :; do sleep 0.05; done' & while :; do wait; done";
    await using running = await RunningChild.start(sh(script));
    await running.until('ready');
    expect(running.child.kill('SIGUSR1', 'process')).toBe(true);
    await running.until('outer');
    expect(running.text()).not.toContain('inner');
    expect(running.child.kill('SIGUSR1', 'group')).toBe(true);
    await running.until('inner');
  });

  it('reach nobody after the child is reaped, and it leaves no zombie', async () => {
    await using running = await RunningChild.start(sh('exit 0'));
    await running.ended();
    expect((await statOf(running.child.pid))[0]).toBe('Z');
    void running.child.reap();
    void running.child.reap();
    await expect(readFile(`/proc/${running.child.pid}/stat`)).rejects.toThrow('ENOENT');
    expect(running.child.kill('SIGKILL', 'group')).toBe(false);
  });

  it('end a discarded child without a trace', async () => {
    const running = await RunningChild.start(sh('echo ready; exec sleep 1000'), { pipeStdin: true });
    await running.until('ready');
    const told = running.told.length;
    running.child.discard();
    await expect
      .poll(() => readFile(`/proc/${running.child.pid}/stat`).catch(() => 'gone'), { timeout: 10_000 })
      .toBe('gone');
    expect(running.told.slice(told)).toEqual([]);
  });
});

describe('Child on pipes', () => {
  it('keeps its two streams apart, byte for byte', async () => {
    await using running = await RunningChild.start(sh("printf 'a\\377\\000b'; printf 'c\\r\\n' >&2"));
    await running.ended();
    expect(running.bytes('stdout').toString('latin1')).toBe('a\xff\0b');
    expect(running.bytes('stderr').toString('latin1')).toBe('c\r\n');
  });

  it('gives output in chunks of at most 64 KiB', async () => {
    await using running = await RunningChild.start(['head', '-c', String(4 * MiB), '/dev/zero']);
    await running.ended();
    expect(running.bytes('stdout')).toHaveLength(4 * MiB);
    expect(running.told.length).toBeGreaterThanOrEqual((4 * MiB) / limits.chunkBytes);
  });

  it('can open its streams again by name', async () => {
    const script =
      'echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin; echo fd > /proc/self/fd/1';
    await using running = await RunningChild.start(sh(script), { pipeStdin: true });
    running.child.write(Buffer.from('in\n'));
    running.child.closeInput();
    expect((await running.ended())?.code).toBe(0);
    expect([running.text('stdout'), running.text('stderr')]).toEqual(['out\nin\nfd\n', 'err\n']);
  });

  it('has an empty input where none was asked for', async () => {
    await using running = await RunningChild.start(sh('cat; readlink /proc/self/fd/0'));
    await running.ended();
    expect(running.text()).toBe('/dev/null\n');
    expect([running.child.hasInput, running.child.inputBroken]).toEqual([false, true]);
  });

  it('has its input ended by closeInput', async () => {
    await using running = await RunningChild.start(['wc', '-c'], { pipeStdin: true });
    running.child.write(Buffer.alloc(MiB));
    running.child.closeInput();
    await running.ended();
    expect(running.text().trim()).toBe(String(MiB));
  });

  it('stops and goes on with its output', async () => {
    await using running = await RunningChild.start(['cat'], { pipeStdin: true });
    running.child.pauseOutput(true);
    running.child.write(Buffer.alloc(MiB, 'x'));
    await running.child.inputRoom(MiB);
    expect(running.told).toEqual([]);
    running.child.pauseOutput(false);
    running.child.closeInput();
    await running.ended();
    expect(running.bytes('stdout')).toHaveLength(MiB);
  });

  it('may end while a descendant holds its streams: their end comes later', async () => {
    await using running = await RunningChild.start(sh('exec 3<&0; (read line <&3; echo late) & exit 3'), {
      pipeStdin: true,
    });
    expect((await running.exited())?.code).toBe(3);
    expect(running.told).toEqual(['exit']);
    running.child.write(Buffer.from('\n'));
    await running.ended();
    expect(running.text()).toBe('late\n');
  });

  it('is cut off by detach, whoever holds its streams', async () => {
    await using running = await RunningChild.start(sh('sleep 1000 & exit 0'));
    await running.exited();
    expect(running.told).toEqual(['exit']);
    running.child.detach();
    expect(running.told).toEqual(['exit', 'streamsEnded']);
  });
});

describe('Child on a PTY', () => {
  it('has one stream, a controlling terminal and 24 rows of 80 columns', async () => {
    await using running = await RunningChild.start(sh('echo err >&2; tty; stty size; echo > /dev/tty'), tty);
    await running.ended();
    expect(running.text()).toMatch(/^err\r\n\/dev\/pts\/\d+\r\n24 80\r\n\r\n$/);
    expect(new Set(running.told)).toEqual(new Set(['pty', 'exit', 'streamsEnded']));
  });

  it('can open its streams again by name', async () => {
    await using running = await RunningChild.start(sh('echo out > /dev/stdout; echo err > /dev/stderr'), tty);
    expect((await running.ended())?.code).toBe(0);
    expect(running.text()).toBe('out\r\nerr\r\n');
  });

  it('has the size that was asked for, and hears of another one', async () => {
    const script = "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.05; done";
    await using running = await RunningChild.start(sh(script), { tty: true, size: { rows: 50, cols: 132 } });
    await running.until('50 132\r\n');
    running.child.resize(10, 20);
    await running.until('10 20\r\n');
    expect((await running.ended())?.code).toBe(0);
  });

  it('edits whole characters', async () => {
    await using running = await RunningChild.start(sh('read line; printf "[%s]" "$line"'), tty);
    running.child.write(Buffer.from('aü\x7fb\n'));
    await running.ended();
    expect(running.text()).toContain('[ab]');
  });

  it('takes a typed interrupt for one', async () => {
    await using running = await RunningChild.start(sh('echo ready; exec cat'), tty);
    await running.until('ready');
    running.child.write(Buffer.from('\x03'));
    expect(await running.ended()).toMatchObject({ code: 130, signal: 'SIGINT' });
  });

  it('gives every byte of much output', async () => {
    await using running = await RunningChild.start(sh('stty raw; head -c 3000000 /dev/zero'), tty);
    await running.ended();
    expect(running.bytes('pty')).toHaveLength(3_000_000);
  });

  it.each([
    ['without any input', '', ''],
    ['behind a whole line', 'abc\n', 'abc\r\nabc\r\n'],
    ['behind a line that a carriage return ended', 'abc\r', 'abc\r\nabc\r\n'],
    ['behind a line that has begun', 'abc', 'abcabc'],
    ['behind a typed end-of-file character', 'abc\x04', 'abcabc'],
  ])('ends the input %s for the program that reads it, and for no other', async (_, input, output) => {
    await using running = await RunningChild.start(sh('cat; echo [first]; cat; echo [second]'), tty);
    running.child.write(Buffer.from(input));
    running.child.closeInput();
    await running.until('[first]\r\n');
    expect(running.text()).toBe(`${output}[first]\r\n`);
    running.child.write(Buffer.from('more\n'));
    await running.until(/more\r\nmore\r\n|\[second\]/);
    expect(running.text()).toContain('more\r\nmore\r\n');
    running.child.closeInput();
    expect((await running.ended())?.code).toBe(0);
    expect(running.text()).toContain('[second]');
  });

  it('ends the input twice when it is asked twice', async () => {
    await using running = await RunningChild.start(sh('cat; echo [first]; cat; echo [second]'), tty);
    running.child.closeInput();
    await running.until('[first]');
    running.child.closeInput();
    expect((await running.ended())?.code).toBe(0);
  });

  it('ends the input with the character that the program has chosen', async () => {
    await using running = await RunningChild.start(sh('stty eof ^X; echo ready; cat; echo [ended]'), tty);
    await running.until('ready');
    running.child.write(Buffer.from('abc\n'));
    running.child.closeInput();
    await running.ended();
    expect(running.text()).toMatch(/abc\r\nabc\r\n.*\[ended\]/s);
  });
});
