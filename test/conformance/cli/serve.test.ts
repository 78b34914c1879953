import { readdir, readlink, writeFile } from 'node:fs/promises';
import { type Server as TcpServer, createServer } from 'node:net';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';

import { afterAll, describe, expect, test } from 'vitest';

import { ExecClient } from '../../../src/client/exec-client.ts';
import { cli, cliFolder, startCli, startServer } from '../../support/cli-program.ts';
import { eventually, expectNothingLeft, untilGone } from '../../support/conformance-leftovers.ts';
import { portOf } from '../../support/reference.ts';

const mark = randomUUID();
const urlLine = /^ws:\/\/127\.0\.0\.1:[1-9]\d{0,4}\n$/;

afterAll(async () => expectNothingLeft(mark));

describe('serve', () => {
  test.each([
    ['without a command', []],
    ['by its name', ['serve']],
    ['with an address', ['serve', '--listen', 'ws://127.0.0.1:0']],
    ['with an address and no command', ['--listen', 'ws://127.0.0.1:0']],
  ])('prints the URL that reaches it and nothing else: %s', async (_what, args) => {
    await using child = startCli(args, { mark });
    const line = await child.stdout.shows('\n');
    expect(line).toMatch(urlLine);
    const client = await ExecClient.connect({ url: line.trimEnd() });
    await client.close();
    child.kill('SIGTERM');
    expect(await child.outcome()).toEqual({ status: 0, stdout: line, stderr: '' });
  });

  test('listens on an IPv6 address', async (context) => {
    await using child = startCli(['--listen', 'ws://[::1]:0'], { mark });
    const first = await Promise.race([child.stdout.shows('\n'), child.outcome()]);
    if (typeof first !== 'string') {
      // A container may have no IPv6 at all.
      expect(first.stderr).toMatch(/EADDRNOTAVAIL|EAFNOSUPPORT/);
      context.skip('there is no IPv6 here');
      return;
    }
    expect(first).toMatch(/^ws:\/\/\[::1\]:[1-9]\d*\n$/);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it and what it runs, with status 0', async (signal) => {
    await using server = await startServer([], { mark });
    const client = await ExecClient.connect({ url: server.url });
    const child = await client.start({ argv: ['/bin/sh', '-c', 'echo $$; exec sleep 600'], cwd: '/' });
    let pid = 0;
    for await (const text of child.stdout.text()) {
      pid = Number(text);
      break;
    }
    server.kill(signal);
    expect(await server.outcome()).toMatchObject({ status: 0, stderr: '' });
    await untilGone(pid);
    await client.closed;
  });

  test('ends when its standard input does, over stdio, with nothing on standard output', async () => {
    expect(await cli(['serve', '--listen', 'stdio'], { mark })).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });
});

describe('the address to listen on', () => {
  test.each([
    ['ws://localhost:0', 'has no literal address and port'],
    ['ws://127.0.0.1', 'has no literal address and port'],
    ['ws://127.0.0.1:65536', 'has no literal address and port'],
    ['ws://::1:0', 'has no literal address and port'],
    ['wss://127.0.0.1:0', 'is not supported'],
    ['127.0.0.1:8765', 'is not supported'],
    ['', 'is not supported'],
  ])('is refused with status 1 where it is %j', async (address, why) => {
    expect(await cli(['serve', '--listen', address], { mark })).toEqual({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^Error: --listen: "${address}" ${why}.*\\n$`)) as unknown,
    });
  });

  test('may be given once', async () => {
    const args = ['serve', '--listen', 'stdio', '--listen', 'ws://127.0.0.1:0'];
    const { status, stdout, stderr } = await cli(args, { mark });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('--listen may be given once');
  });

  test('is named when its port is in use', async () => {
    await using busy = await listen();
    const { status, stdout, stderr } = await cli(['--listen', `ws://127.0.0.1:${busy.port}`], { mark });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(new RegExp(`^Error: .*address already in use.*127\\.0\\.0\\.1:${busy.port}\\n$`));
  });
});

describe('a variable', () => {
  test('sets the address, and a flag wins over it', async () => {
    const env = { EXEC_SERVER_LISTEN: 'ws://127.0.0.2:0' };
    await using byVariable = await startServer([], { mark, env });
    expect(byVariable.url).toMatch(/^ws:\/\/127\.0\.0\.2:/);
    await using byFlag = await startServer(['--listen', 'ws://127.0.0.1:0'], { mark, env });
    expect(byFlag.url).toMatch(/^ws:\/\/127\.0\.0\.1:/);
  });

  test.each([
    ['EXEC_SERVER_LISTEN', 'elsewhere', '--listen: "elsewhere" is not supported'],
    ['EXEC_SERVER_LOG_LEVEL', 'loud', '--log-level: '],
    ['EXEC_SERVER_JOURNAL_DIR', '/no/such/folder', '--journal-dir: "/no/such/folder"'],
    ['EXEC_SERVER_JOURNAL_DISK_BYTES', '1 GiB', '--journal-disk-bytes: '],
    ['EXEC_SERVER_JOURNAL_DISK_TOTAL_BYTES', '-1', '--journal-disk-total-bytes: '],
  ])('%s is checked as the flag is', async (name, value, named) => {
    const { status, stdout, stderr } = await cli(['serve'], { mark, env: { [name]: value } });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: .*\n$/);
    expect(stderr).toContain(named);
  });

  test('sets the level of the log, which goes to standard error', async () => {
    await using server = await startServer([], { mark, env: { EXEC_SERVER_LOG_LEVEL: 'debug' } });
    const client = await ExecClient.connect({ url: server.url });
    await client.close();
    const log = await server.stderr.shows('\n');
    expect(JSON.parse(log.split('\n')[0] ?? '')).toMatchObject({ pid: server.pid });
    expect(server.stdout.bytes().toString()).toBe(`${server.url}\n`);
  });
});

describe('the folder of the journal', () => {
  test.each([
    ['is not there', async () => '/no/such/folder'],
    ['is a file', async (path: string) => file(path, 0o600)],
    ['is a file that can be executed', async (path: string) => file(path, 0o700)],
  ])('is refused with status 1 when it %s', async (_what, make) => {
    await using folder = await cliFolder();
    const wrong = await make(folder.at('wrong'));
    expect(await cli(['serve', '--listen', 'stdio', '--journal-dir', wrong], { mark })).toEqual({
      status: 1,
      stdout: '',
      stderr: `Error: --journal-dir: "${wrong}" is no folder that can be written to\n`,
    });
  });

  test('takes the output that memory does not, from the flag or the variable', async (context) => {
    if (process.platform !== 'linux') context.skip('what a process has open is told by /proc');
    await using folder = await cliFolder();
    for (const [args, env] of [
      [['--journal-dir', folder.path], {}],
      [[], { EXEC_SERVER_JOURNAL_DIR: folder.path }],
    ] as const) {
      await using server = await startServer(args, { mark, env });
      await using client = await ExecClient.connect({ url: server.url });
      const script = 'head -c 16777216 /dev/zero; exec sleep 600';
      const child = await client.start({ argv: ['/bin/sh', '-c', script], cwd: '/' });
      await eventually('a file in the folder of the journal', async () =>
        (await openIn(server.pid, folder.path)) > 0 ? true : undefined,
      );
      await child.terminate();
    }
    expect(await readdir(folder.path)).toEqual([]);
  });
});

async function file(path: string, mode: number): Promise<string> {
  await writeFile(path, '', { mode });
  return path;
}

/** How many files below the folder the process has open, unlinked ones included. */
async function openIn(pid: number, folder: string): Promise<number> {
  const descriptors = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  return links.filter((link) => link.startsWith(`${folder}/`)).length;
}

async function listen(): Promise<AsyncDisposable & { readonly port: number }> {
  const server: TcpServer = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: portOf(server),
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
