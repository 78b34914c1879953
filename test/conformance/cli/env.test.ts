import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { describe, expect, test } from 'vitest';

import { cliArena } from '../../support/cli-arena.ts';
import { type Outcome, cli, main } from '../../support/cli-program.ts';

const arena = cliArena();
const { mark } = arena;

const file = (): string => arena.folder.at('environments.toml');

async function env(...args: string[]): Promise<Outcome> {
  return cli(args, {
    mark,
    env: { EXEC_SERVER_HOME: arena.folder.path, XDG_STATE_HOME: arena.folder.at('state') },
  });
}

/** A file with an executor that is started, one that listens, and one that is not there. */
async function write(): Promise<void> {
  const args = JSON.stringify([main, 'serve', '--listen', 'stdio']);
  await writeFile(
    file(),
    `# mine
default = "child"

[[environments]]
id = "child" # starts one
program = ${JSON.stringify(process.execPath)}
args = ${args}
cwd = "/"

[[environments]]
id = "far"
url = ${JSON.stringify(arena.server.url)}

[[environments]]
id = "gone"
url = "ws://127.0.0.1:9"
connect_timeout_sec = 2
`,
  );
}

describe('env list', () => {
  test('shows ids, kinds, the default and where each comes from, and reaches none', async () => {
    await write();
    const { status, stdout, stderr } = await env('env', 'list');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toMatchObject([
      ['ID', 'KIND', expect.any(String), 'FROM'],
      ['local', 'local', 'this machine', 'this process'],
      ['child', 'command', 'default', expect.any(String), file()],
      ['far', 'url', expect.any(String), file()],
      ['gone', 'url', expect.any(String), file()],
      [''],
    ]);
    const json = JSON.parse((await env('env', 'list', '--json')).stdout) as { environments: object[] };
    expect(json.environments).toContainEqual({
      id: 'child',
      kind: 'command',
      default: true,
      from: file(),
      label: expect.any(String) as string,
    });
  });

  test('takes a variable where there is no file', async () => {
    const variables = {
      EXEC_SERVER_HOME: arena.folder.path,
      HOME: arena.folder.path,
      EXEC_SERVER_URL: arena.server.url,
    };
    const { stdout } = await cli(['env', 'list', '--json'], { mark, env: variables });
    expect(JSON.parse(stdout)).toMatchObject({
      environments: [{ id: 'remote', kind: 'url', default: true, from: 'variables' }],
    });
  });

  test('names file, line and key of what is wrong', async () => {
    await writeFile(file(), 'default = "x"\n\n[[environments]]\nid = "a"\nurl = "http://host"\n');
    const { status, stderr } = await env('env', 'list');
    expect(status).toBe(1);
    expect(stderr).toContain(`${file()}:5: environments[0].url `);
    expect(stderr).toContain(`${file()}:1: default `);
  });
});

describe('env add', () => {
  test('appends an entry, and keeps comments and the mode of the file', async () => {
    await write();
    await chmod(file(), 0o640);
    const before = await readFile(file(), 'utf8');
    const added = await env('env', 'add', 'new', `url=${arena.server.url}`, 'headers.x-from=text', 'cwd=/');
    const line = before.split('\n').length + 1;
    expect(added).toEqual({ status: 0, stdout: `${file()}:${line}: added new\n`, stderr: '' });
    const entry = `\n[[environments]]\nid = "new"\nurl = "${arena.server.url}"\nheaders.x-from = "text"\ncwd = "/"\n`;
    expect(await readFile(file(), 'utf8')).toBe(before + entry);
    expect((await stat(file())).mode & 0o777).toBe(0o640);
    expect(await readdir(arena.folder.path)).toEqual(['environments.toml']);
    expect((await env('env', 'run', 'new', '--', 'sh', '-c', 'echo $((6 * 7))')).stdout).toBe('42\n');
  });

  test('makes the file, for its owner only, with a default if asked', async () => {
    expect((await env('env', 'add', 'one', `url=${arena.server.url}`, '--default')).status).toBe(0);
    expect(await readFile(file(), 'utf8')).toBe(
      `default = "one"\n\n[[environments]]\nid = "one"\nurl = "${arena.server.url}"\n`,
    );
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    const second = await env('env', 'add', 'two', `url=${arena.server.url}`, '--default');
    expect(second).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`${file()}:1: default is set`),
    });
  });

  test.each([
    [
      'an id that is there',
      ['child', 'url=ws://127.0.0.1:1'],
      /:4: environments\[0\]\.id is "child" already/,
    ],
    [
      'a key that is not known',
      ['new', 'url=ws://127.0.0.1:1', 'colour=red'],
      /:22: environments\[3\]\.colour/,
    ],
    ['a value of the wrong type', ['new', 'url=1'], /:21: environments\[3\]\.url must be a string/],
    ['an id that is none', ['local', 'url=ws://127.0.0.1:1'], /id: "local" is this machine/],
    ['what is no setting', ['new', 'url'], /written key=value/],
    ['an entry without settings', ['new'], /say how new is reached/],
  ])('refuses %s, and leaves the file alone', async (_title, args, text) => {
    await write();
    const before = await readFile(file(), 'utf8');
    const { status, stderr } = await env('env', 'add', ...args);
    expect([status, stderr]).toEqual([1, expect.stringMatching(text)]);
    expect(await readFile(file(), 'utf8')).toBe(before);
  });
});

describe('env test', () => {
  test('says what works in an environment', async () => {
    await write();
    const origin = createServer((_request, response) => response.writeHead(204).end());
    await new Promise<void>((resolve) => void origin.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/`;
    try {
      const { stdout } = await env('env', 'test', 'child', '--json', '--http', url);
      const { checks } = JSON.parse(stdout) as { checks: { name: string; result: string; text: string }[] };
      // What sandboxes the host can enforce is its own matter.
      const others = checks.filter(({ name }) => name !== 'sandbox');
      expect(others.map(({ name, result }) => [name, result])).toEqual([
        ['transport', 'yes'],
        ['process', 'yes'],
        ['PTY', 'yes'],
        ['network', 'yes'],
        ['clock', 'yes'],
      ]);
      expect(others.find(({ name }) => name === 'network')?.text).toContain('status 204');
    } finally {
      origin.close();
    }
    const shown = await env('env', 'test', 'far');
    expect(shown.stdout).toMatch(/^transport +yes +.*round trip [\d.]+ ms\n/);
    expect(shown.stdout).toMatch(/\nnetwork +skipped +name a URL with --http/);
  });

  test('says why an environment is not reached, with status 1', async () => {
    await write();
    const { status, stdout } = await env('env', 'test', 'gone');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^transport +no +.*"gone"/);
    expect((await env('env', 'test', 'nobody')).stderr).toContain('No environment has the id "nobody"');
  });
});

describe('--env', () => {
  test('runs, copies, lists and requests in an environment', async () => {
    await write();
    const ran = await env('run', '--env', 'child', '--env', 'A=1', '--', 'sh', '-c', 'echo $A; pwd; exit 3');
    expect(ran).toEqual({ status: 3, stdout: '1\n/\n', stderr: '' });
    await writeFile(arena.folder.at('source'), 'content');
    const copied = await env(
      'cp',
      '--env',
      'far',
      arena.folder.at('source'),
      `env:${arena.folder.at('copy')}`,
    );
    expect(copied).toEqual({ status: 0, stdout: '', stderr: '' });
    expect((await env('cat', '--env', 'far', arena.folder.at('copy'))).stdout).toBe('content');
    expect((await env('ls', '--env', 'local', arena.folder.path)).stdout).toContain('copy\n');
    const refused = await env('curl', '--env', 'far', 'http://127.0.0.1:9/');
    expect(refused.status).toBe(1);
  });

  test('works with one executor only', async () => {
    await write();
    const two = await env('cat', '--env', 'far', '--url', arena.server.url, '/etc/hostname');
    expect(two.stderr).toContain('--env and --url name two executors');
    const ids = await env('run', '--env', 'far', '--env', 'child', '--', 'true');
    expect(ids.stderr).toContain('name two environments');
  });
});

describe('sync', () => {
  test('brings directories into step, up and down, and tells conflicts with status 1', async () => {
    await write();
    await mkdir(arena.folder.at('here'));
    for (const name of ['a.txt', 'b.log']) await writeFile(arena.folder.at(`here/${name}`), 'one');
    const [here, there] = [arena.folder.at('here'), `env:${arena.folder.at('there')}`];
    const up = ['sync', '--env', 'far', '--ignore', '*.log', here, there];
    const plan = await env(...up, '--dry-run');
    expect(plan.stdout).toContain('sent: a.txt\n1 entries would be sent');
    const first = await env(...up);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    expect(first.stdout).toMatch(/^1 entries sent \(1 files, 3 bytes\)/);
    expect(await readdir(arena.folder.at('there'))).toEqual(['a.txt']);
    await writeFile(arena.folder.at('there/a.txt'), 'two');
    const down = JSON.parse((await env('sync', '--env', 'far', '--json', there, here)).stdout) as object;
    expect(down).toMatchObject({ sent: ['a.txt'], conflicts: [] });
    await writeFile(arena.folder.at('here/a.txt'), 'mine');
    await writeFile(arena.folder.at('there/a.txt'), 'theirs');
    const both = await env(...up);
    expect(both.status).toBe(1);
    expect(both.stdout).toContain('conflict: a.txt (source changed, target changed)\n');
    expect(await readFile(arena.folder.at('there/a.txt'), 'utf8')).toBe('theirs');
    expect((await env(...up, '--on-conflict', 'source')).status).toBe(0);
    expect(await readFile(arena.folder.at('there/a.txt'), 'utf8')).toBe('mine');
    expect((await env('sync', here, here)).stderr).toContain('one of the two directories must be');
  });
});
