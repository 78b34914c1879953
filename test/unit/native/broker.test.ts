import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Running, runLauncher, startLauncher } from '../../support/native-launcher.ts';
import { program, runPlainly } from '../../support/native-programs.ts';
import { temporaryFolder, type TemporaryFolder } from '../../support/unit-folder.ts';

type Entries = readonly (readonly [string, string])[];

interface Workspace extends AsyncDisposable {
  /** The writable directory. `.git` is protected and has a file `config`; `.codex` is, too, and is not there. */
  readonly path: string;
  /** A file beside it. */
  readonly outside: string;
  readonly entries: Entries;
}

async function workspace(parent = tmpdir()): Promise<Workspace> {
  const top = await mkdtemp(join(parent, 'exec-server-broker-'));
  const path = join(top, 'work');
  const outside = join(top, 'outside');
  await mkdir(join(path, '.git'), { recursive: true });
  await writeFile(join(path, '.git/config'), 'kept');
  await writeFile(outside, 'kept');
  const entries = [
    ['seccomp', 'base'],
    ['landlock-read', '/'],
    ['landlock-write', '/dev/null'],
    ['broker-write', path],
    ['broker-protect', join(path, '.git')],
    ['broker-protect', join(path, '.codex')],
    ['broker-protect', join(path, 'guarded')],
  ] as const;
  return {
    path,
    outside,
    entries,
    [Symbol.asyncDispose]: () => rm(top, { recursive: true, force: true }),
  };
}

/** All that an attack could have changed. */
function state(...paths: readonly string[]): string[] {
  const found: string[] = [];
  for (const path of paths) {
    const { mode, nlink, size, mtimeNs, ctimeNs, ino, uid, gid } = lstatSync(path, { bigint: true });
    const [directory, file] = [lstatSync(path).isDirectory(), lstatSync(path).isFile()];
    const content = file ? readFileSync(path, 'utf8') : '';
    found.push([path, mode, nlink, size, mtimeNs, ctimeNs, ino, uid, gid, content].join(' '));
    if (directory) found.push(...state(...readdirSync(path).map((name) => join(path, name))));
  }
  return found;
}

function start(space: Workspace, script: string): Promise<Running> {
  const env = [`PATH=${process.env['PATH']}`, `HOME=${space.path}`, `TMPDIR=${space.path}`, 'LC_ALL=C'];
  return startLauncher({
    way: 'alone',
    argv: ['/bin/bash', '-c', script],
    cwd: space.path,
    env,
    entries: space.entries,
  });
}

async function run(space: Workspace, script: string): Promise<string> {
  await using running = await start(space, script);
  await running.message('exited');
  await running.acknowledge();
  await running.streamsEnded;
  return running.output();
}

describe('the broker', () => {
  let folder: TemporaryFolder;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  it('answers every call as the kernel does', { timeout: 180_000 }, async () => {
    const path = await program('differential', folder.path);
    await using space = await workspace(existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
    const cases = join(space.path, 'cases');
    await mkdir(cases);
    const native = await runPlainly(path, [cases], '/');
    // The digests have the paths in them, so that both need the same ones.
    await rename(cases, join(space.path, 'native'));
    await mkdir(cases);
    await using running = await startLauncher({ way: 'alone', argv: [path, cases], entries: space.entries });
    await running.shows(/^umask .*\n/m);
    expect((await running.message('exited')).split(' ')[1]).toBe('0');
    const lines = running.output().split('\n');
    expect(lines.length).toBeGreaterThan(4000);
    expect(lines.filter((line, i) => line !== native.split('\n')[i])).toStrictEqual([]);
  });

  it('lets ordinary tools work', { timeout: 60_000 }, async () => {
    await using space = await workspace();
    const script = `
      set -eu
      mkdir project && cd project
      git init -q . && git config user.email a@b.c && git config user.name n
      echo one > file && git add file && git commit -qm first && git mv file moved && git commit -qm second
      git gc -q && git log --format=%s | tr '\\n' ' '
      cd .. && tar cf project.tar project && mkdir unpacked && tar xpf project.tar -C unpacked
      cp -a project copy && diff -r project copy && diff -r project unpacked/project && echo same
      sed -i s/one/two/ copy/moved && cat copy/moved
      mv copy renamed && rm -rf renamed unpacked project.tar
      umask 077; echo private > private; stat -c %a private; umask 022
      touch -d 2001-02-03T04:05:06Z dated; stat -c %Y dated
      ln -s private link; ln private hard; stat -c %h private; chmod 640 link; stat -c %a private
      printf '#include <stdio.h>\\nint main(void){puts("built");}' > main.c && cc -o main main.c && ./main
      for i in 1 2 3; do mkdir -p node_modules/p$i/lib node_modules/.bin; echo "$i" > node_modules/p$i/lib/index.js; ln -s ../p$i/lib/index.js node_modules/.bin/p$i; done
      cat node_modules/.bin/p3; rm -r node_modules
      echo through > /dev/stdout; echo to-null > /dev/null
      echo substituted | tee >(cat > tee-out) > /dev/null; while [ ! -s tee-out ]; do :; done; cat tee-out
      exec 5<> opened; echo appended >> opened; echo "$(cat <&5)"
      `;
    expect((await run(space, script)).split('\n')).toStrictEqual([
      'second first same',
      'two',
      '600',
      '981173106',
      '2',
      '640',
      'built',
      '3',
      'through',
      'substituted',
      'appended',
      '',
    ]);
  });

  it('lets scripting languages work', async () => {
    await using space = await workspace();
    const script = `
      import fs from 'node:fs';
      fs.writeFileSync('a', 'x'); fs.appendFileSync('a', 'y'); fs.renameSync('a', 'b'); fs.copyFileSync('b', 'c'); fs.cpSync('.git', 'copied', { recursive: true });
      fs.truncateSync('c', 1); fs.utimesSync('c', 1, 2); fs.chmodSync('c', 0o700); fs.mkdtempSync('t-'); fs.rmSync('copied', { recursive: true });
      console.log(fs.readFileSync('b', 'utf8'), fs.readFileSync('c', 'utf8'), fs.statSync('c').mtimeMs, fs.readdirSync('.').length);
      for (const path of ['.git/config', '.git/new', '.codex']) try { fs.writeFileSync(path, ''); } catch (error) { console.log(error.code); }
    `;
    await writeFile(join(space.path, 'main.mjs'), script);
    const output = await run(space, `${process.execPath} main.mjs`);
    expect(output).toBe('xy x 2000 5\nEROFS\nEROFS\nEROFS\n');
  });

  it('answers for what is protected as a read-only mount would', async () => {
    await using space = await workspace();
    const before = state(join(space.path, '.git'), space.outside);
    const script = `
      echo x > .git/config; echo x > .git/new; rm -f .git/config; rmdir .git; mv .git other; mkdir .codex; echo x > .codex; ln -s a .codex; mkfifo .codex
      mkdir .git; chmod 777 .git/config; touch .git; ln .git/config linked; mkdir d; mv d .codex; mv -T d .git; truncate -s 0 .git/config; cp .git/config copied
      mv d .git/; cat .git/config; echo
      echo x > ../outside; chmod 777 ../outside; touch -c ../outside; ln ../outside stolen; mv ../outside .; rm -f ../outside; mv d ../d; chown $(id -u) ../outside
      chmod 777 ..; chmod 755 .; rmdir ../work; mv ../work ../moved; chmod 666 /dev/null; chown $(id -u) /dev/null`;
    const output = (await run(space, script))
      .replaceAll(/^\/bin\/bash: line \d+: /gm, '')
      .replaceAll(/^[^\n]*: /gm, '');
    expect(output.split('\n')).toStrictEqual([
      ...Array.from({ length: 9 }, () => 'Read-only file system'),
      'File exists',
      ...Array.from({ length: 5 }, () => 'Read-only file system'),
      'Read-only file system',
      'Read-only file system',
      'kept',
      'Permission denied',
      'Operation not permitted',
      'Operation not permitted',
      ...Array.from({ length: 4 }, () => 'Permission denied'),
      'Operation not permitted',
      'Operation not permitted',
      ...Array.from({ length: 2 }, () => 'Permission denied'),
      ...Array.from({ length: 2 }, () => 'Operation not permitted'),
      '',
    ]);
    expect(state(join(space.path, '.git'), space.outside)).toStrictEqual(before);
  });

  it('keeps what is above a protected path in its place', async () => {
    await using space = await workspace();
    const entries = [...space.entries, ['broker-protect', join(space.path, 'a/b/kept')]] as const;
    const script =
      'mkdir a a/b; mv a z; mv a/b z; rmdir a/b; mkdir x; mv x a/b/kept; mkdir a/b/kept; ln -s /tmp a/b/kept; ls -R a';
    const output = await run({ ...space, entries }, script);
    expect(output.match(/Device or resource busy/g)).toHaveLength(3);
    expect(output.match(/Read-only file system/g)).toHaveLength(3);
    expect(output.endsWith('a:\nb\n\na/b:\n')).toBe(true);
    const early = await run(
      { ...space, entries: [...space.entries, ['broker-protect', join(space.path, 'p/q')]] },
      'ln -s /tmp p; mkdir p && echo made',
    );
    expect(early).toMatch(/Read-only file system\nmade\n$/);
  });

  it('leaves to Landlock what it allows, inside of a protected directory, too', async () => {
    await using space = await workspace();
    await mkdir(join(space.path, '.git/hooks'));
    const entries = [...space.entries, ['landlock-write', join(space.path, '.git/hooks')]] as const;
    const script =
      'echo h > .git/hooks/h && chmod 755 .git/hooks/h && mv .git/hooks/h .git/hooks/i && echo f > f && mv f .git/hooks/f && ls .git/hooks; mv .git/hooks x; mv .git/hooks/i .git/i';
    const output = await run({ ...space, entries }, script);
    expect(output.startsWith('f\ni\n')).toBe(true);
    expect(output.match(/Read-only file system/g)).toHaveLength(2);
  });

  it('decides about attributes where nothing is protected', async () => {
    await using space = await workspace();
    const entries = [
      ['seccomp', 'base'],
      ['landlock-write', space.path],
    ] as const;
    const script =
      'echo x > f && chmod 700 f && touch -d 2001-01-01 f && stat -c %a f; chmod 700 ../outside; touch -c ../outside; chmod 700 ..; exec 5< ../outside; chmod 700 /dev/fd/5 /proc/self/fd/5; mv f .git/f && echo moved';
    const output = await run({ ...space, entries }, script);
    expect(output.startsWith('700\n')).toBe(true);
    expect(output.match(/Operation not permitted/g)).toHaveLength(5);
    expect(output.endsWith('moved\n')).toBe(true);
  });

  it('goes on from own descriptors as the kernel does, and decides about where that leads', async () => {
    await using space = await workspace();
    const script = `exec 5< . 6< .git 7< .. 8< .git/..
      echo a > /proc/self/fd/5/a && mkdir /dev/fd/8/d && mv /proc/thread-self/fd/5//a /proc/self/fd/5/d/b && ls d && rm -r /proc/self/fd/5/d
      echo x > /proc/self/fd/5/.git/x; echo x > /proc/self/fd/6/x; echo x > /proc/self/fd/7/x; echo x > /proc/self/fd/5/../x
      echo x > /proc/self/fd/5//tmp/none; echo x > /proc/self/fd/9/x; echo x > /proc/self/fd/5/`;
    const output = await run(space, script);
    expect(output).toMatch(/^b\n/);
    expect(output.match(/Read-only file system/g)).toHaveLength(2);
    expect(output.match(/Permission denied/g)).toHaveLength(2);
    expect(output.match(/nonexistent|No such file/g)).toHaveLength(2);
    expect(output.match(/Is a directory/g)).toHaveLength(1);
  });

  it('keeps what is protected whatever changes while it looks', { timeout: 60_000 }, async () => {
    const path = await program('attack', folder.path);
    const attack = async (confined: boolean): Promise<boolean> => {
      await using space = await workspace();
      await mkdir(join(space.path, 'guarded'));
      await writeFile(join(space.path, 'guarded/file'), 'kept');
      const watched = [join(space.path, 'guarded'), space.outside];
      const before = state(...watched);
      const args = [space.path, space.outside, '3000'];
      if (!confined) await runPlainly(path, args, '/');
      else {
        const { output, exited } = await runLauncher({
          way: 'alone',
          argv: [path, ...args],
          entries: space.entries,
        });
        expect(exited).toBe('0');
        const [tried = 0, done = 0] = output.split(' ').map(Number);
        expect(tried).toBeGreaterThan(500);
        expect(done).toBeGreaterThan(50);
      }
      try {
        return state(...watched).join('\n') === before.join('\n');
      } catch {
        return false;
      }
    };
    // Without the broker the same attack changes the files: it is one.
    expect(await attack(false)).toBe(false);
    expect(await attack(true)).toBe(true);
  });

  it('serves many threads and processes at once, whatever interrupts them', { timeout: 60_000 }, async () => {
    const path = await program('crowd', folder.path);
    await using space = await workspace();
    const { output } = await runLauncher({
      way: 'alone',
      argv: [path],
      cwd: space.path,
      entries: space.entries,
    });
    expect(output).toBe('failures 0\n');
    expect(readdirSync(space.path)).toStrictEqual(['.git']);
  });

  it('lets the ends of a FIFO wait for each other', async () => {
    await using space = await workspace();
    expect(await run(space, 'mkfifo f; cat f & echo one > f; wait; echo two > f & cat f; wait')).toBe(
      'one\ntwo\n',
    );
    const script =
      'mkfifo f g; (echo never > f) & p=$!; (echo never > f) & q=$!; echo up > h; kill $p; wait $p; echo $?; kill -9 $q; wait $q; echo $?';
    const output = await run(space, script.replace('mkfifo f g', 'rm f; mkfifo f'));
    expect(output).toMatch(/143\n(.*\n)?137\n/);
  });

  it('ends the command when it dies itself, and nothing can be written then', async () => {
    await using space = await workspace();
    await using running = await start(
      space,
      '(setsid bash -c "echo up; while [ -d .git ]; do echo x > written; done" &) ; exec sleep 1000',
    );
    await running.shows('up');
    const pid = running.pid();
    process.kill(running.launcher, 'SIGKILL');
    await expect.poll(() => existsSync(`/proc/${pid}/cwd`), { timeout: 10_000, interval: 5 }).toBe(false);
    await rm(join(space.path, 'written'), { force: true });
    // One turn of the loop at least: what it writes to is refused every time.
    await running.shows(/Function not implemented/);
    expect(existsSync(join(space.path, 'written'))).toBe(false);
    await rm(join(space.path, '.git'), { recursive: true });
  });

  it.each([
    [
      'writes that Landlock allows above a protected path',
      (path: string): Entries => [['landlock-write', path]],
      22,
    ],
    ['a path to write that is not there', (path: string): Entries => [['broker-write', `${path}/none`]], 2],
    ['a path with dots', (path: string): Entries => [['broker-protect', `${path}/x/../y`]], 22],
  ])('refuses to start with %s', async (_, more, errno) => {
    await using space = await workspace();
    const entries = [...space.entries, ...more(space.path)];
    await using running = await startLauncher({ way: 'alone', argv: ['/bin/true'], entries });
    expect(await running.message('failed')).toMatch(new RegExp(`^failed setup ${errno} /`));
  });

  it('refuses to write where the command may not read', async () => {
    await using space = await workspace();
    const entries = space.entries.map(
      ([key, value]) => [key, key === 'landlock-read' ? '/usr' : value] as const,
    );
    await using running = await startLauncher({ way: 'alone', argv: ['/bin/true'], entries });
    expect(await running.message('failed')).toBe(`failed setup 22 ${space.path}`);
  });

  it('counts what it has refused', async () => {
    await using space = await workspace();
    await using running = await start(space, 'echo x > .git/a; rm -f .git/config; echo x > ok; exit 1');
    expect((await running.message('exited')).split(' ').at(-1)).toBe('2');
  });

  it('does not follow a link in a path that is granted', async () => {
    await using space = await workspace();
    const link = join(space.path, '../link');
    await symlink(space.path, link);
    const refusal = async (...entries: Entries): Promise<string> => {
      await using running = await startLauncher({ way: 'alone', argv: ['/bin/true'], entries });
      return await running.message('failed');
    };
    expect(await refusal(['broker-write', link])).toBe(`failed setup 40 ${link}`);
    expect(await refusal(['landlock-write', link])).toBe(`failed setup 40 ${link}`);
    expect(await refusal(['landlock-write', `${link}/.git`])).toBe(`failed setup 40 ${link}/.git`);
    expect(await refusal(['landlock-read', link])).toBe(`failed setup 40 ${link}`);
  });

  it('protects what a link leads to', async () => {
    await using space = await workspace();
    await mkdir(join(space.path, 'real'));
    await symlink('real', join(space.path, 'link'));
    const entries = [...space.entries, ['broker-protect', join(space.path, 'link')]] as const;
    const output = await run(
      { ...space, entries },
      'echo x > link/a; echo x > real/a; rm link; mv real other',
    );
    expect(output).toMatch(/^(.*Read-only file system\n){4}$/);
  });
});
