import { createHash } from 'node:crypto';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  type ConnectOptions,
  type ExecClient,
  OutputLostError,
  type OutputView,
  type RemoteProcess,
} from '../../src/client/exec-client.ts';
import { ConnectionError } from '../../src/rpc/connection-error.ts';
import { requirePrograms } from '../support/conformance-programs.ts';
import type { ClientTarget, StartedTarget } from '../support/conformance-client-targets.ts';

/** A case for executors that can do it; for the others it is none. */
const when = (can: boolean): typeof test | (() => void) => (can ? test : () => {});
const unless = (can: boolean): ReturnType<typeof when> => when(!can);

const MiB = 1024 * 1024;
const path0 = process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';

function sh(script: string): string[] {
  return ['/bin/sh', '-c', script];
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Reads on until the text has come; answers everything so far. */
async function until(view: OutputView, wanted: string): Promise<string> {
  let text = '';
  for await (const piece of view.text()) {
    text += piece;
    if (text.includes(wanted)) return text;
  }
  throw new Error(`The output ended without ${JSON.stringify(wanted)}: ${JSON.stringify(text)}`);
}

/** What a client does with processes, of our executor or of another one. */
export function clientSuite(target: ClientTarget): void {
  const can = target.capabilities;

  describe(`the client of ${target.name}`, () => {
    let started: StartedTarget | undefined;
    let folder = '';

    beforeAll(async () => {
      started = await target.start();
      folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-client-')));
    });

    afterAll(async () => {
      await started?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    async function connect(options: ConnectOptions = {}): Promise<ExecClient> {
      if (started === undefined) throw new Error('The executor was not started.');
      return (await started.connect({ connectTimeoutMs: 60_000, callTimeoutMs: 60_000, ...options })).client;
    }

    test('runs a program to its end, with its streams apart', async () => {
      await using client = await connect();
      const child = await client.start({ argv: sh('echo out; echo err >&2; exit 3'), cwd: folder });
      const [stdout, stderr] = await Promise.all([child.stdout.collect(), child.stderr.collect()]);
      expect(stdout.toString()).toBe('out\n');
      expect(stderr.toString()).toBe('err\n');
      expect(await child.exited).toMatchObject({ processId: child.id, exitCode: 3 });
      const close = await child.closed;
      expect(close.complete).toBe(true);
      if (can.totals) expect(close.bytes).toEqual({ stdout: 4, stderr: 4 });
    });

    test('takes the working directory as a path, whatever its characters', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/pwd'], cwd: folder });
      expect((await child.stdout.collect()).toString()).toBe(`${folder}\n`);
    });

    test('gives a process a PATH and no secrets, or exactly what the caller says', async () => {
      await using client = await connect();
      const standard = await client.start({ argv: ['/usr/bin/env'], cwd: folder });
      const variables = (await standard.stdout.collect()).toString();
      expect(variables).toMatch(/^PATH=/m);
      expect(variables).not.toMatch(/^\w*(?:KEY|SECRET|TOKEN)\w*=/m);
      const exact = await client.start({ argv: ['/usr/bin/env'], cwd: folder, env: { A: 'x' } });
      expect((await exact.stdout.collect()).toString()).toBe('A=x\n');
    });

    test('tells the output of both streams in the order of the executor', async () => {
      await using client = await connect();
      const child = await client.start({
        argv: sh('echo one; read x; echo two >&2; read x; echo three'),
        cwd: folder,
        pipeStdin: true,
      });
      const seen: string[] = [];
      for await (const { stream, bytes } of child.output()) {
        seen.push(`${stream}: ${Buffer.from(bytes).toString().trim()}`);
        if (seen.length < 3) await child.write('\n');
      }
      expect(seen).toEqual(['stdout: one', 'stderr: two', 'stdout: three']);
    });

    test('gives whole characters as text, also where they are split over chunks', async () => {
      await using client = await connect();
      const script = "printf 'a\\303'; read x; printf '\\251b\\360\\237'; read x; printf '\\230\\200\\377'";
      const child = await client.start({ argv: sh(script), cwd: folder, pipeStdin: true });
      const writer = (async () => {
        let chunks = 0;
        for await (const _ of child.stdout) if (++chunks < 3) await child.write('\n');
      })();
      let text = '';
      for await (const piece of child.stdout.text()) text += piece;
      await writer;
      expect(text).toBe('aéb😀\uFFFD');
    });

    test('lets several readers read at once, and again later', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/usr/bin/seq', '1', '20000'], cwd: folder });
      const readers = [child.stdout.collect(), child.stdout.collect(), collectOutput(child)];
      const texts = (await Promise.all(readers)).map(String);
      await child.closed;
      texts.push(String(await child.stdout.collect()));
      for (const text of texts) expect(text).toBe(texts[0]);
      expect(texts[0]?.split('\n')).toHaveLength(20_001);
    });

    test('writes in order, however much, and reads it back whole', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/cat'], cwd: folder, pipeStdin: true });
      const parts = Array.from({ length: 5 }, (_, index) => Buffer.alloc(700_000, `${index}`));
      const expected = Buffer.concat(parts);
      const received = readBytes(child.stdout, expected.length);
      for (const part of parts) expect(await child.write(part)).toBe('accepted');
      expect(digest(await received)).toBe(digest(expected));
      await child.terminate();
      await child.closed;
    });

    test('keeps writes apart that do not wait for each other', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/cat'], cwd: folder, pipeStdin: true });
      const parts = [300_000, 10, 600_000, 1].map((size, index) => Buffer.alloc(size, `${index}`));
      const expected = Buffer.concat(parts);
      const received = readBytes(child.stdout, expected.length);
      await Promise.all(parts.map(async (part) => child.write(part)));
      expect(digest(await received)).toBe(digest(expected));
      await child.terminate();
      await child.closed;
    });

    when(can.closeStdin)('ends the input after everything that was written', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/cat'], cwd: folder, pipeStdin: true });
      expect(await child.write('to the end')).toBe('accepted');
      await child.closeStdin();
      expect((await child.stdout.collect()).toString()).toBe('to the end');
      expect(await child.exited).toMatchObject({ exitCode: 0 });
      expect(await child.write('late')).toBe('stdinClosed');
    });

    unless(can.closeStdin)('says that the executor cannot end an input', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/cat'], cwd: folder, pipeStdin: true });
      await expect(child.closeStdin()).rejects.toMatchObject({
        name: 'ConnectionError',
        reason: 'unsupported',
      });
      await child.terminate();
    });

    test('says what became of a write', async () => {
      await using client = await connect();
      const deaf = await client.start({ argv: ['/bin/sleep', '600'], cwd: folder });
      expect(await deaf.write('x')).toBe('stdinClosed');
      await deaf.terminate();
      const ended = await client.start({ argv: ['/bin/true'], cwd: folder, pipeStdin: true });
      await ended.closed;
      expect(await ended.write('x')).toBe(can.discarded ? 'discarded' : 'accepted');
    });

    test('talks with a program on a PTY', async () => {
      await using client = await connect();
      const child = await client.start({ argv: sh('echo ready; cat'), cwd: folder, tty: true });
      await until(child.pty, 'ready\r\n');
      await child.write('hi\n');
      await until(child.pty, 'hi\r\nhi\r\n');
      await child.write('\x04');
      expect((await child.pty.collect()).toString()).toBe('ready\r\nhi\r\nhi\r\n');
      expect(await child.exited).toMatchObject({ exitCode: 0 });
      expect((await child.closed).complete).toBe(true);
    });

    when(can.resize)('sets the size of a PTY', async (context) => {
      requirePrograms(['stty'], context);
      await using client = await connect();
      const script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done";
      const child = await client.start({
        argv: sh(script),
        cwd: folder,
        tty: true,
        size: { rows: 30, cols: 100 },
      });
      await until(child.pty, '30 100');
      await child.resize({ rows: 31, cols: 101 });
      await until(child.pty, '31 101');
      await child.terminate();
    });

    unless(can.resize)('says that the executor cannot resize', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/cat'], cwd: folder, tty: true });
      await expect(child.resize({ rows: 31, cols: 101 })).rejects.toMatchObject({ reason: 'unsupported' });
      await child.terminate();
    });

    when(can.signal)('interrupts a program', async () => {
      await using client = await connect();
      const script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
      const child = await client.start({ argv: sh(script), cwd: folder });
      await until(child.stdout, 'ready\n');
      await child.signal('interrupt');
      expect(await child.exited).toMatchObject({ exitCode: 9 });
      expect((await child.stdout.collect()).toString()).toBe('ready\ncaught\n');
    });

    when(can.signalNames)('sends a signal to the program alone', async () => {
      await using client = await connect();
      const script = "trap 'echo caught' USR1; (trap 'echo child' USR1; read x <fifo) ; exit 0";
      const child = await client.start({ argv: sh(`mkfifo fifo; echo ready; ${script}`), cwd: folder });
      await until(child.stdout, 'ready\n');
      const ended = await client.start({ argv: ['/bin/true'], cwd: folder });
      await ended.closed;
      expect(await ended.signal('SIGUSR1')).toEqual({ delivered: false });
      expect(await child.signal('SIGKILL', 'process')).toEqual({ delivered: true });
      expect(await child.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL' });
      await child.terminate();
      expect((await child.closed).complete).toBe(true);
    });

    test('terminates a program', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/sleep', '600'], cwd: folder });
      expect(await child.terminate()).toEqual({ running: true });
      expect(await child.exited).toMatchObject(can.signalExitCodes ? { exitCode: 137 } : { exitCode: -1 });
      expect((await child.closed).complete).toBe(true);
      expect(await child.terminate()).toEqual({ running: false });
    });

    test('tells the exit before the close, while a descendant still writes', async () => {
      await using client = await connect();
      const gate = path.join(folder, 'gate');
      const script = '(until [ -e gate ]; do sleep 0.05; done; echo late) & echo early; exit 4';
      const child = await client.start({ argv: sh(script), cwd: folder });
      expect(await child.exited).toMatchObject({ exitCode: 4 });
      let closed = false;
      const close = child.closed.finally(() => (closed = true));
      await until(child.stdout, 'early\n');
      expect(closed).toBe(false);
      await writeFile(gate, '');
      expect((await close).complete).toBe(true);
      expect((await child.stdout.collect()).toString()).toBe('early\nlate\n');
    });

    when(can.journal)('gives 20 MiB whole to a reader that is slower than its window', async () => {
      await using client = await connect({ windowBytes: 256 * 1024 });
      const child = await client.start({ argv: ['/usr/bin/seq', '1', '2800000'], cwd: folder });
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of child.stdout) {
        // From the first chunk on everything else has come and gone before the next one is taken.
        if (bytes === 0) await child.closed;
        hash.update(chunk);
        bytes += chunk.length;
      }
      expect(bytes).toBe(21_288_896);
      const again = createHash('sha256');
      for await (const chunk of child.stdout) again.update(chunk);
      const expected = Buffer.from(
        Array.from({ length: 2_800_000 }, (_, index) => `${index + 1}\n`).join(''),
      );
      const whole = digest(expected);
      expect(hash.digest('hex')).toBe(whole);
      expect(again.digest('hex')).toBe(whole);
      expect((await child.closed).complete).toBe(true);
    });

    unless(can.journal)('tells a reader that came too late what is lost', async () => {
      await using client = await connect({ windowBytes: 256 * 1024 });
      const child = await client.start({
        argv: ['/usr/bin/head', '-c', String(20 * MiB), '/dev/zero'],
        cwd: folder,
      });
      const close = await child.closed;
      expect(close.complete).toBe(true);
      const reading = child.stdout.collect();
      await expect(reading).rejects.toBeInstanceOf(OutputLostError);
      await expect(reading).rejects.toMatchObject({ gap: { fromSeq: 1 } });
    });

    test('gives 20 MiB whole to a reader that keeps up', async () => {
      await using client = await connect();
      const child = await client.start({
        argv: ['/usr/bin/head', '-c', String(20 * MiB), '/dev/zero'],
        cwd: folder,
      });
      let bytes = 0;
      for await (const chunk of child.stdout) bytes += chunk.length;
      expect(bytes).toBe(20 * MiB);
      expect((await child.closed).complete).toBe(true);
    });

    test('runs many programs at once', async () => {
      await using client = await connect();
      const runs = Array.from({ length: 60 }, async (_, index) => {
        const child = await client.start({ argv: ['/bin/echo', `${index}`], cwd: folder });
        const [text, close] = [await child.stdout.collect(), await child.closed];
        return `${text.toString().trim()} ${close.complete}`;
      });
      expect(await Promise.all(runs)).toEqual(Array.from({ length: 60 }, (_, index) => `${index} true`));
    });

    test('rejects a start that fails with the error of the executor, and goes on', async () => {
      await using client = await connect();
      const missing = client.start({ argv: ['/no/such/program'], cwd: folder, processId: 'again' });
      await expect(missing).rejects.toMatchObject({ name: 'RpcError', code: -32603 });
      const nowhere = client.start({ argv: ['/bin/true'], cwd: '/no/such/folder', processId: 'again' });
      await expect(nowhere).rejects.toMatchObject({ code: -32603, message: /\(os error 2\)$/ });
      await expect(client.start({ argv: [], cwd: folder })).rejects.toMatchObject({ code: -32602 });
      const child = await client.start({ argv: ['/bin/true'], cwd: folder, processId: 'again' });
      expect((await child.exited).exitCode).toBe(0);
      await expect(
        client.start({ argv: ['/bin/true'], cwd: folder, processId: 'again' }),
      ).rejects.toMatchObject({ code: -32600 });
    });

    test('gives a call a deadline beyond what it waits for on purpose', async () => {
      await using client = await connect();
      const child = await client.start({ argv: ['/bin/cat'], cwd: folder, pipeStdin: true });
      const read = client.call('process/read', { processId: child.id, waitMs: 300 }, { timeoutMs: 30_000 });
      expect(await read).toMatchObject({ chunks: [], exited: false });
      const aborted = AbortSignal.abort(new Error('enough'));
      await expect(client.call('process/read', { processId: child.id }, { signal: aborted })).rejects.toThrow(
        'enough',
      );
      const leaving = new AbortController();
      const waiting = client.call(
        'process/read',
        { processId: child.id, waitMs: 300 },
        { signal: leaving.signal },
      );
      leaving.abort(new Error('no longer wanted'));
      await expect(waiting).rejects.toThrow('no longer wanted');
      await child.terminate();
    });

    test('rejects what waits when the connection is lost, and ends the readers', async () => {
      if (started === undefined) throw new Error('The executor was not started.');
      const connected = await started.connect({ connectTimeoutMs: 60_000 });
      const { client } = connected;
      const child = await client.start({ argv: sh('echo ready; read x'), cwd: folder, pipeStdin: true });
      await until(child.stdout, 'ready\n');
      const waiting = [
        child.exited,
        child.closed,
        child.stdout.collect(),
        child.stderr.collect(),
        client.call('process/read', { processId: child.id, afterSeq: 1, waitMs: 30_000 }),
      ];
      const settled = Promise.allSettled(waiting);
      await connected.lose();
      for (const one of await settled) {
        expect(one.status).toBe('rejected');
        const { reason } = one as PromiseRejectedResult;
        expect(reason).toBeInstanceOf(ConnectionError);
        expect((reason as ConnectionError).reason).toBe('closed');
      }
      expect((await client.closed).kind).toBeTypeOf('string');
      await expect(child.write('x')).rejects.toMatchObject({ reason: 'closed' });
      await expect(client.start({ argv: ['/bin/true'], cwd: folder })).rejects.toMatchObject({
        reason: 'closed',
      });
    });

    test('closes when asked, once and again', async () => {
      const client = await connect();
      const child = await client.start({
        argv: ['/bin/cat'],
        cwd: folder,
        pipeStdin: true,
        env: { PATH: path0 },
      });
      await client.close();
      await client.close();
      await expect(child.exited).rejects.toBeInstanceOf(ConnectionError);
      await expect(client.call('process/read', { processId: child.id })).rejects.toMatchObject({
        reason: 'closed',
      });
    });
  });
}

async function collectOutput(child: RemoteProcess): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const { bytes } of child.output()) parts.push(bytes);
  return Buffer.concat(parts);
}

async function readBytes(view: OutputView, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let missing = length;
  for await (const bytes of view) {
    parts.push(bytes);
    missing -= bytes.length;
    if (missing <= 0) break;
  }
  return Buffer.concat(parts);
}
