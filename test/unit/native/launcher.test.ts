import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { native } from '../../../src/support/native.ts';
import { encode, runLauncher, startLauncher, type Way } from '../../support/native-launcher.ts';
import { openFile, openFiles, temporaryFolder } from '../../support/unit-folder.ts';
import { expectSoon } from '../../support/unit-wait.ts';

const ways: readonly Way[] = ['alone', 'bubblewrap'];
const shell = (script: string): string[] => ['/bin/sh', '-c', script];
const command = { argv: ['/bin/true'], entries: [['seccomp', 'base']] as const };

/** Host pids whose chain of parents leads to this one. */
function descendants(ancestor: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const below = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === ancestor || below(parent));
  };
  return [...parents.keys()].filter(below);
}

function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe.each(ways)('the launcher (%s)', (way) => {
  it('reports how the command starts and ends, and ends with its code', async () => {
    await using running = await startLauncher({
      ...command,
      way,
      argv: shell('echo out; echo err >&2; exit 7'),
    });
    expect(await running.message('exited')).toMatch(/^exited 1792 \d+ \d+ 0$/);
    expect(running.messages.map(({ text }) => text.split(' ')[0])).toStrictEqual([
      'pid',
      'started',
      'exited',
    ]);
    expect(await running.acknowledge()).toStrictEqual([7, 0]);
    await expectSoon('the end of the output', running.streamsEnded);
    expect(running.output().split('\n').toSorted()).toStrictEqual(['', 'err', 'out']);
  });

  it('names a pid that leads a session and a group, and keeps it until it is told', async () => {
    await using running = await startLauncher({ ...command, way, argv: shell('echo up; exec sleep 1000') });
    await running.shows('up');
    const pid = running.pid();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    expect(
      stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(2, 4),
    ).toStrictEqual([`${pid}`, `${pid}`]);
    process.kill(-pid, 'SIGTERM');
    expect((await running.message('exited')).split(' ')[1]).toBe('15');
    expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) Z/);
    expect(await running.acknowledge()).toStrictEqual([143, 0]);
  });

  it('lets a command handle its signals', async () => {
    const script = 'trap "echo got; exit 3" TERM; echo up; while :; do read line; done';
    await using running = await startLauncher({ ...command, way, argv: shell(script) });
    await running.shows('up');
    process.kill(-running.pid(), 'SIGTERM');
    await running.shows('got');
    expect((await running.message('exited')).split(' ')[1]).toBe('768');
    expect((await running.acknowledge())[0]).toBe(3);
  });

  it('says which step failed, and runs nothing', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'plain'), 'echo script "$@"');
    const outcome = async (more: object): Promise<string> => {
      await using running = await startLauncher({ ...command, way, ...more });
      return await running.message('failed');
    };
    expect(await outcome({ candidates: ['/no/such', '/no/such/either'] })).toBe('failed exec 2 ');
    expect(await outcome({ candidates: ['/no/such', join(folder.path, 'plain')] })).toBe('failed exec 13 ');
    expect(await outcome({ cwd: '/no/such' })).toBe('failed cwd 2 ');
    expect(await outcome({ cwd: '/etc/passwd' })).toBe('failed cwd 20 ');
    expect(await outcome({ entries: [['landlock-write', '/no/such']] })).toBe('failed setup 2 /no/such');
  });

  it('starts the first candidate that is there, and a script without an interpreter line', async () => {
    await using folder = await temporaryFolder();
    const script = join(folder.path, 'script');
    await writeFile(script, 'echo script "$@"');
    await chmod(script, 0o755);
    await chmod(folder.path, 0o755);
    const start = { ...command, way, argv: ['name', 'a b', ''], candidates: ['/no/such', script] };
    expect((await runLauncher(start)).output).toBe('script a b \n');
  });

  it.each([
    [
      'an unknown key',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['landlocks', '1'],
      ]),
    ],
    [
      'an unknown level',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['seccomp', 'all'],
      ]),
    ],
    ['a key without a value', Buffer.from('arg\0x\0candidate\0/bin/true\0cwd\0/\0tty\0')],
    ['no end', Buffer.from('arg\0x\0candidate\0/bin/true\0cwd\0/')],
    ['nothing', Buffer.alloc(0)],
    ['no command', encode([['cwd', '/']])],
    [
      'two directories',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['cwd', '/'],
      ]),
    ],
    [
      'a relative grant',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['landlock-write', 'x'],
      ]),
    ],
    [
      'an unknown limit',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['rlimit', 'x:1:1'],
      ]),
    ],
    [
      'half a limit',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['rlimit', 'cpu:1'],
      ]),
    ],
    [
      'half an identity',
      encode([
        ['arg', 'x'],
        ['candidate', '/bin/true'],
        ['cwd', '/'],
        ['expect', '1:/'],
      ]),
    ],
  ])('refuses a specification with %s', async (_, spec) => {
    await using running = await startLauncher({ way, argv: [], spec });
    expect(await running.message('failed')).toBe('failed setup 22 ');
    expect((await running.launcherEnd())[0]).toBe(127);
  });

  it('refuses a specification that could still change', async () => {
    await using running = await startLauncher({ ...command, way, unsealed: true });
    expect(await running.message('failed')).toBe('failed setup 22 ');
  });

  it('refuses to start when a path is not what was planned for', async () => {
    await using folder = await temporaryFolder();
    await symlink('/etc', join(folder.path, 'link'));
    const { dev, ino } = lstatSync(folder.path);
    const outcome = async (entry: string): Promise<string> => {
      await using running = await startLauncher({ ...command, way, entries: [['expect', entry]] });
      return await running.message(entry.startsWith(`${dev}:${ino}:`) ? 'exited' : 'failed');
    };
    expect(await outcome(`${dev}:${ino}:${folder.path}`)).toMatch(/^exited 0 /);
    expect(await outcome(`${dev}:1:${folder.path}/link`)).toBe(`failed setup 116 ${folder.path}/link`);
    expect(await outcome(`${dev}:1:${folder.path}/gone`)).toBe(`failed setup 116 ${folder.path}/gone`);
  });

  it('gives the command nothing but its streams, its variables and the limits', async () => {
    const entries = [
      ['seccomp', 'network'],
      ['landlock', '1'],
      ['rlimit', 'nofile:77:99'],
    ] as const;
    const script =
      'ls /proc/self/fd | wc -l; env | sort; ulimit -n; ulimit -Hn; grep -E "^(Cap|NoNew|Sig(Ign|Blk))" /proc/self/status';
    const env = ['PATH=/usr/bin:/bin', 'LD_PRELOAD_X=1'];
    const { output } = await runLauncher({ way, argv: shell(script), entries, env });
    // Three streams, and the directory that ls itself reads.
    expect(output.split('\n')[0]).toBe('4');
    expect(output).toContain('\nLD_PRELOAD_X=1\nPATH=/usr/bin:/bin\nPWD=/\n77\n99\n');
    // An ordinary user may not empty the bounding set; NoNewPrivs makes it void.
    expect(output.match(/^Cap(Inh|Prm|Eff|Amb):\t0{16}$/gm)).toHaveLength(4);
    if (process.geteuid?.() === 0) expect(output).toMatch(/^CapBnd:\t0{16}$/m);
    expect(output.match(/^Sig\w+:\t0{16}$/gm)).toHaveLength(2);
    expect(output).toContain('NoNewPrivs:\t1');
  });

  it('gives it the terminal with job control', async () => {
    await using running = await startLauncher({
      way,
      argv: ['/bin/bash', '--norc', '--noprofile', '-i'],
      env: ['PATH=/usr/bin:/bin', 'PS1=ready> '],
      entries: [['seccomp', 'base']],
      tty: true,
    });
    await running.shows('ready> ');
    expect(running.output()).not.toContain('no job control');
    running.write('tty; sleep 1000; echo "after $?"\n');
    await running.shows(/\/dev\/(pts\/\d+|console)\r\n/);
    // ^C ends the program in the foreground and not the shell. Until it runs the shell itself gets it.
    const interrupt = setInterval(() => running.write('\u0003'), 50);
    await running.shows(/\^C[^]*ready> /).finally(() => clearInterval(interrupt));
    running.write('sleep 1000 &\njobs; kill %1; wait; echo "done $((40 + 2))"\n');
    await running.shows('done 42');
    running.write('exit 5\n');
    expect((await running.message('exited')).split(' ')[1]).toBe('1280');
    expect((await running.acknowledge())[0]).toBe(5);
  });

  it('ends everything when the executor is killed', async () => {
    const owner = spawn(
      process.execPath,
      [join(import.meta.dirname, '../../support/native-launcher-owner.ts'), way],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    owner.stdout.setEncoding('utf8');
    const [line] = (await expectSoon('the owner', once(owner.stdout, 'data'))) as [string];
    const [launcher = 0] = line.split(' ').map(Number);
    const all = [launcher, ...descendants(launcher)];
    expect(all.length).toBeGreaterThanOrEqual(way === 'alone' ? 3 : 4);
    owner.kill('SIGKILL');
    await expect.poll(() => all.filter(alive), { timeout: 10_000, interval: 5 }).toStrictEqual([]);
  });

  it('leaves nothing behind', { timeout: 120_000 }, async () => {
    // What the runtime opens for itself at its first use must not be counted.
    await runLauncher({ ...command, way });
    const count = way === 'alone' ? 1000 : 200;
    const [files, children] = [openFiles().length, descendants(process.pid).length];
    for (let done = 0; done < count; done += 20) {
      const runs = Array.from({ length: 20 }, () => runLauncher({ ...command, way }));
      expect(new Set((await Promise.all(runs)).map(({ exited }) => exited))).toStrictEqual(new Set(['0']));
    }
    // What an earlier test had still open may be closed by now; a leak would be one more for each run.
    expect(openFiles().length).toBeLessThanOrEqual(files);
    expect(descendants(process.pid).length).toBeLessThanOrEqual(children);
  });
});

describe('the launcher alone', () => {
  it('goes on for what the command leaves behind, until the executor lets go', async () => {
    const argv = shell('setsid sh -c "echo left; exec sleep 1000" & exit 0');
    await using running = await startLauncher({ way: 'alone', argv, entries: [['landlock', '1']] });
    await running.message('exited');
    await running.shows('left');
    const left = descendants(running.launcher).filter((pid) => pid !== running.pid());
    expect(left).toHaveLength(1);
    const [pid = 0] = left;
    expect(alive(pid)).toBe(true);
    running.closeStatus();
    expect((await running.launcherEnd())[0]).toBe(0);
    await expect.poll(() => alive(pid), { timeout: 10_000, interval: 5 }).toBe(false);
  });

  it('ends a fork bomb that has no parent any more', async () => {
    const bomb =
      'i=0; while [ $i -lt 40 ]; do (setsid sh -c "while :; do (sleep 0.01 &) ; done" &); i=$((i+1)); done; echo up';
    await using running = await startLauncher({
      way: 'alone',
      argv: shell(bomb),
      entries: [
        ['landlock', '1'],
        ['rlimit', 'nproc:20000:20000'],
      ],
    });
    await running.shows('up');
    running.closeStatus();
    await running.launcherEnd();
    await expect
      .poll(() => descendants(process.pid).filter((pid) => /sleep 0\.01/.test(commandLine(pid))), {
        timeout: 10_000,
      })
      .toStrictEqual([]);
  });

  it('cannot be signalled or looked into by the command', async () => {
    const script =
      'p=$PPID; kill -0 $p 2>/dev/null && echo signalled; cat /proc/$p/environ 2>/dev/null && echo seen; readlink /proc/$p/fd/4 /proc/$p/cwd 2>/dev/null && echo found; echo end';
    const entries = [
      ['landlock', '1'],
      ['landlock-write', '/dev/null'],
    ] as const;
    const { output } = await runLauncher({ way: 'alone', argv: shell(script), entries });
    expect(output).toBe('end\n');
  });
});

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

describe('the parts for a confined start', () => {
  it('says what the kernel offers', () => {
    const { landlockAbi, seccomp, seccompNotify } = native().hostFacts();
    expect(landlockAbi).toBeGreaterThanOrEqual(0);
    expect([typeof seccomp, typeof seccompNotify]).toStrictEqual(['boolean', 'boolean']);
  });

  it('opens paths that cross no link, and a link itself', async () => {
    await using folder = await temporaryFolder();
    await symlink('/etc', join(folder.path, 'link'));
    const open = (path: string): number => native().openPath(Buffer.from(`${path}\0`));
    const fd = open(join(folder.path, 'link'));
    expect(openFile(fd)).toBe(join(folder.path, 'link'));
    closeSync(fd);
    expect(open(join(folder.path, 'link/passwd'))).toBe(-40);
    expect(open(join(folder.path, 'none'))).toBe(-2);
    expect(native().openPath(Buffer.from('/etc'))).toBe(-22);
    expect(native().openPath(Buffer.from('/\0etc\0'))).toBe(-22);
  });
});
