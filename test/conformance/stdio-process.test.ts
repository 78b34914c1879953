import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import {
  eventually,
  expectNothingLeft,
  isRunning,
  markVariable,
  untilGone,
} from '../support/conformance-leftovers.ts';
import { type ExecutorChild, spawnExecutor, stdioTarget } from '../support/conformance-targets.ts';

const { mark } = stdioTarget();
const status = '"method":"environment/status"';
const handshake =
  '{"id":0,"method":"initialize","params":{"clientName":"stdio"}}\n{"method":"initialized"}\n';
const deadlineMs = 40_000;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'exec-conformance-stdio-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await expectNothingLeft(mark);
});

interface Lines {
  /** The next message on standard output. */
  next(): Promise<Record<string, unknown>>;
  /** Everything until standard output ends. */
  rest(): Promise<string>;
}

function spawnStdio(): { child: ExecutorChild; lines: Lines } {
  const child = spawnExecutor(['--listen', 'stdio'], mark);
  let text = '';
  const state = { ended: false };
  let wake = Promise.withResolvers<void>();
  const stir = (): void => {
    wake.resolve();
    wake = Promise.withResolvers();
  };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    stir();
  });
  child.stdout.on('end', () => {
    state.ended = true;
    stir();
  });
  const more = async (): Promise<void> => {
    const late = setTimeout(() => wake.reject(new Error(`nothing came on standard output`)), deadlineMs);
    await wake.promise.finally(() => clearTimeout(late));
  };
  return {
    child,
    lines: {
      next: async () => {
        while (!text.includes('\n') && !state.ended) await more();
        const end = text.indexOf('\n');
        if (end < 0) throw new Error('standard output has ended');
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return JSON.parse(line) as Record<string, unknown>;
      },
      rest: async () => {
        while (!state.ended) await more();
        return text;
      },
    },
  };
}

function start(processId: string, script: string): string {
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', [markVariable]: mark };
  const params = { processId, argv: ['/bin/sh', '-c', script], cwd: folder, env, tty: false };
  return `${JSON.stringify({ id: processId, method: 'process/start', params })}\n`;
}

async function chunkOf(lines: Lines): Promise<string> {
  for (;;) {
    const { method, params } = (await lines.next()) as { method?: string; params: { chunk: string } };
    if (method === 'process/output') return Buffer.from(params.chunk, 'base64').toString();
  }
}

test('standard output carries the wire and nothing else', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(handshake);
  expect(await lines.next()).toMatchObject({ id: 0, result: {} });
  child.stdin.write(`{bad\n{"id":1,${status}}\n`);
  expect(await lines.next()).toMatchObject({ id: -1, error: { code: -32600 } });
  expect(await lines.next()).toEqual({ id: 1, result: { status: 'ready' } });
  child.stdin.end();
  expect(await lines.rest()).toBe('');
  await child.expectExit();
});

test('lines may end with CR LF, be empty, and come in pieces', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(handshake.replaceAll('\n', '\r\n'));
  await lines.next();
  child.stdin.write(`\n\r\n  \n{"id":1,`);
  child.stdin.write(`${status}}\r`);
  child.stdin.write('\n{"id":2,');
  expect(await lines.next()).toEqual({ id: 1, result: { status: 'ready' } });
  child.stdin.write(`${status}}\n`);
  expect(await lines.next()).toEqual({ id: 2, result: { status: 'ready' } });
  child.stdin.end();
  await child.expectExit();
});

test('a last line without its end is a message too', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.end(`${handshake}{"id":1,${status}}`);
  expect(await lines.next()).toMatchObject({ id: 0 });
  expect(await lines.next()).toEqual({ id: 1, result: { status: 'ready' } });
  await child.expectExit();
});

test('a line that is no UTF-8 is answered with id -1, and the connection goes on', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(Buffer.concat([Buffer.from('{"id":"'), Buffer.from([0xff]), Buffer.from('"}\n')]));
  expect(await lines.next()).toMatchObject({ id: -1, error: { code: -32600 } });
  child.stdin.write(handshake);
  expect(await lines.next()).toMatchObject({ id: 0 });
  child.stdin.end();
  await child.expectExit();
});

test('a line of 64 MiB is taken, and one byte more ends the connection', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(handshake);
  await lines.next();
  const line = Buffer.alloc(64 * 1024 * 1024 + 2, ' ');
  line.write(`{"id":1,${status}}`);
  line.write('\n', line.length - 2);
  child.stdin.write(line.subarray(0, -1));
  expect(await lines.next()).toMatchObject({ id: 1 });
  line.write(' \n', line.length - 2);
  child.stdin.write(line);
  expect(await lines.rest()).toBe('');
  await child.expectExit();
});

test('the end of standard input ends all processes, and the status is 0', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(`${handshake}${start('p', 'trap "" TERM HUP; sleep 600 & echo $! $$; wait')}`);
  const pids = (await chunkOf(lines)).trim().split(' ').map(Number);
  expect(await Promise.all(pids.map(isRunning))).toEqual([true, true]);
  child.stdin.end();
  await child.expectExit();
  await Promise.all(pids.map(untilGone));
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends all processes, and the status is 0 although standard input is open',
  async (signal) => {
    const { child, lines } = spawnStdio();
    child.stdin.write(`${handshake}${start('p', 'trap "" TERM HUP; sleep 600 & echo $! $$; wait')}`);
    const pids = (await chunkOf(lines)).trim().split(' ').map(Number);
    child.process.kill(signal);
    await child.expectExit();
    await Promise.all(pids.map(untilGone));
  },
);

test('processes die with an executor that is killed', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(`${handshake}${start('p', 'echo $$; exec sleep 600')}`);
  const pid = Number(await chunkOf(lines));
  child.process.kill('SIGKILL');
  await once(child.process, 'exit');
  await untilGone(pid);
});

test('a violation of the protocol ends the stream, the processes and the executor', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(`${handshake}${start('p', 'echo $$; exec sleep 600')}`);
  const pid = Number(await chunkOf(lines));
  child.stdin.write('{"method":"no/such"}\n');
  await lines.rest();
  await child.expectExit();
  await untilGone(pid);
});

test('a client that does not read standard output holds up no request and no process', async () => {
  const { child, lines } = spawnStdio();
  child.stdin.write(handshake);
  await lines.next();
  child.stdout.pause();
  child.stdin.write(start('loud', 'head -c 33554432 /dev/zero; touch loud-done; exec yes'));
  await eventually('the end of the loud part', async () => exists('loud-done'));
  child.stdin.write(start('quiet', 'touch quiet-done'));
  await eventually('the work of the quiet process', async () => exists('quiet-done'));
  child.stdout.resume();
  child.stdin.end();
  await child.expectExit();
});

async function exists(name: string): Promise<true | undefined> {
  return access(path.join(folder, name)).then(
    () => true as const,
    () => undefined,
  );
}
