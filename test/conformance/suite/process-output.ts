import { createHash } from 'node:crypto';
import { access, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import type { Result } from '../../../src/protocol/methods.ts';
import { eventually } from '../../support/conformance-leftovers.ts';
import type { ProcessView } from '../../support/conformance-view.ts';
import { type WireClient, base64 } from '../../support/conformance-wire.ts';
import type { Topic } from '../case.ts';

const MiB = 1024 * 1024;

/** A closed process with three chunks of 4 bytes: events 1, 2, 3, exited 4, closed 5. */
async function threeChunks(client: WireClient): Promise<ProcessView> {
  const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
  for (const text of ['one\n', 'two\n', 'thr\n']) {
    await client.call('process/write', { processId: view.id, chunk: base64(text) });
    await client.output(view, 'stdout', text);
  }
  await client.call('process/closeStdin', { processId: view.id });
  await client.end(view);
  expect(view.chunks.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  return view;
}

/** Reads everything from the journal, by cursor, with a limit on each answer. */
async function readAll(
  client: WireClient,
  processId: string,
  maxBytes?: number,
): Promise<{ bytes: Buffer; last: Result<'process/read'> }> {
  const parts: Uint8Array[] = [];
  for (let afterSeq = 0; ;) {
    const last = await client.call('process/read', { processId, afterSeq, maxBytes, waitMs: 30_000 });
    for (const { chunk } of last.chunks) parts.push(chunk);
    const done = last.closed && (maxBytes === undefined || last.chunks.length === 0);
    if (done || last.gap !== undefined) return { bytes: Buffer.concat(parts), last };
    afterSeq = last.nextSeq - 1;
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export const processOutput: Topic = {
  name: 'output of a process',
  cases: [
    {
      id: 'OUT-1',
      title: 'events come in order without a gap, closed comes last and has the totals',
      covers: ['process/output', 'process/exited', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        // The rules hold for every process of every test; here for busy streams side by side.
        const script = 'i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done';
        const views = await Promise.all(Array.from({ length: 4 }, async () => client.shell(script)));
        for (const view of views) {
          await client.end(view);
          expect(view.text('stdout').match(/out/g)).toHaveLength(300);
          expect(view.text('stderr').match(/err/g)).toHaveLength(300);
          expect(view.closed).toEqual({
            processId: view.id,
            seq: view.chunks.length + 2,
            bytes: { stdout: view.bytes('stdout').length, stderr: view.bytes('stderr').length },
            droppedBytes: 0,
            streamsEnded: true,
          });
        }
      },
    },
    {
      id: 'OUT-2',
      title: 'process/read answers by cursor and by bytes as its table says',
      covers: ['process/read'],
      run: async (context) => {
        const client = await context.open();
        const { id } = await threeChunks(client);
        const rows: readonly [Partial<Parameters<typeof read>[0]>, number[], number][] = [
          [{}, [1, 2, 3], 6],
          [{ afterSeq: null, maxBytes: null, waitMs: null }, [1, 2, 3], 6],
          [{ maxBytes: 0 }, [1], 2],
          [{ maxBytes: 5 }, [1], 2],
          [{ maxBytes: 8 }, [1, 2], 3],
          [{ maxBytes: 12 }, [1, 2, 3], 4],
          [{ maxBytes: 1000 }, [1, 2, 3], 4],
          [{ afterSeq: 1 }, [2, 3], 6],
          [{ afterSeq: 1, maxBytes: 4 }, [2], 3],
          [{ afterSeq: 3 }, [], 6],
          [{ afterSeq: 3, maxBytes: 9 }, [], 6],
          [{ afterSeq: 5 }, [], 6],
          [{ afterSeq: 1_000_000, waitMs: 600_000 }, [], 6],
        ];
        const read = async (params: {
          afterSeq?: number | null;
          maxBytes?: number | null;
          waitMs?: number | null;
        }): Promise<Result<'process/read'>> => client.call('process/read', { processId: id, ...params });
        for (const [params, seqs, nextSeq] of rows) {
          const answer = await read(params);
          const shown = JSON.stringify(params);
          expect(
            answer.chunks.map(({ seq }) => seq),
            shown,
          ).toEqual(seqs);
          expect(answer, shown).toMatchObject({ nextSeq, exited: true, exitCode: 0, closed: true });
        }
      },
    },
    {
      id: 'OUT-3',
      title: 'the answer of a read has all its members, while the process runs and when it is closed',
      covers: ['process/read'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('echo one; read x; exit 3', { pipeStdin: true });
        await client.output(view, 'stdout', 'one\n');
        const chunks = [{ seq: 1, stream: 'stdout', chunk: base64('one\n') }];
        const running = await client.request('process/read', { processId: view.id });
        expect(running.result).toEqual({
          chunks,
          nextSeq: 2,
          exited: false,
          exitCode: null,
          closed: false,
          failure: null,
          sandboxDenied: false,
        });
        await client.call('process/closeStdin', { processId: view.id });
        await client.end(view);
        const closed = await client.request('process/read', { processId: view.id });
        expect(closed.result).toEqual({
          chunks,
          nextSeq: 4,
          exited: true,
          exitCode: 3,
          closed: true,
          failure: null,
          sandboxDenied: false,
          signal: null,
          endReason: 'exited',
          bytes: { stdout: 4, stderr: 0 },
          droppedBytes: 0,
        });
      },
    },
    {
      id: 'OUT-4',
      title: 'a read of an unknown process is an error',
      covers: ['process/read'],
      run: async (context) => {
        const client = await context.open();
        expect(await client.refused('process/read', { processId: 'nobody' })).toEqual({
          code: -32600,
          message: 'unknown process id nobody',
        });
      },
    },
    {
      id: 'OUT-5',
      title: 'a read that waits holds up no other request, and ends with the output that comes',
      covers: ['process/read', 'process/write', 'environment/status'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        const reads = [1, 2, 3].map(async () =>
          client.call('process/read', { processId: view.id, waitMs: 600_000 }),
        );
        const beyond = client.call('process/read', { processId: view.id, afterSeq: 1, waitMs: 600_000 });
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
        await client.call('process/write', { processId: view.id, chunk: base64('news\n') });
        for (const read of reads)
          expect(await read).toMatchObject({ chunks: [{ seq: 1 }], nextSeq: 2, exited: false });
        await client.call('process/terminate', { processId: view.id });
        expect(await beyond).toMatchObject({ chunks: [], exited: true });
      },
    },
    {
      id: 'OUT-6',
      title: 'a read that waits ends when its time is over',
      covers: ['process/read'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        const started = performance.now();
        const read = await client.call('process/read', { processId: view.id, afterSeq: 7, waitMs: 200 });
        expect(performance.now() - started).toBeGreaterThan(190);
        expect(read).toMatchObject({ chunks: [], nextSeq: 1, exited: false, closed: false });
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'OUT-7',
      title: 'an exit ends a read once, and then it waits for what a descendant still writes',
      covers: ['process/read', 'process/exited', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const view = await client.shell(
          '(until [ -e gate ]; do sleep 0.05; done; echo late) & read x; exit 5',
          {
            pipeStdin: true,
          },
        );
        const first = client.call('process/read', { processId: view.id, waitMs: 600_000 });
        await client.call('process/closeStdin', { processId: view.id });
        const exited = { chunks: [], nextSeq: 2, exited: true, exitCode: 5, closed: false };
        expect(await first).toMatchObject(exited);
        expect(await client.call('process/read', { processId: view.id })).toMatchObject(exited);
        expect(
          await client.call('process/read', { processId: view.id, afterSeq: 1, waitMs: 100 }),
        ).toMatchObject(exited);
        const second = client.call('process/read', { processId: view.id, afterSeq: 1, waitMs: 600_000 });
        await writeFile(path.join(folder, 'gate'), '');
        expect(await second).toMatchObject({ chunks: [{ seq: 2, chunk: Buffer.from('late\n') }] });
        await client.end(view);
        expect(view.closed).toMatchObject({ seq: 3, bytes: { stdout: 5 }, streamsEnded: true });
      },
    },
    {
      id: 'OUT-8',
      title: 'bytes that are no text come as they were written',
      covers: ['process/output'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.runShell("printf '\\377\\376\\000\\303'; printf '\\200\\r\\n' >&2");
        expect(view.bytes('stdout')).toEqual(Buffer.from([0xff, 0xfe, 0x00, 0xc3]));
        expect(view.bytes('stderr')).toEqual(Buffer.from([0x80, 0x0d, 0x0a]));
      },
    },
    {
      id: 'OUT-9',
      title: 'a long output comes whole as events, and can be read again in pieces',
      covers: ['process/output', 'process/read'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.run({ argv: ['/usr/bin/seq', '1', '1000000'] });
        const pushed = view.bytes('stdout');
        expect(pushed.length).toBe(6_888_896);
        for (const maxBytes of [undefined, 700_000]) {
          const { bytes, last } = await readAll(client, view.id, maxBytes);
          expect(digest(bytes)).toBe(digest(pushed));
          expect(last).toMatchObject({
            closed: true,
            bytes: { stdout: 6_888_896, stderr: 0 },
            droppedBytes: 0,
          });
        }
        const again = await client.call('process/read', { processId: view.id, maxBytes: 1 });
        expect(again.chunks[0]?.seq).toBe(1);
      },
    },
    {
      id: 'OUT-10',
      title: 'a long output of a PTY comes whole',
      covers: ['process/output'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.run({ argv: ['/usr/bin/seq', '1', '200000'], tty: true });
        const lines = view.text('pty').split('\r\n');
        expect(lines.length).toBe(200_001);
        expect(lines.every((line, index) => line === (index === 200_000 ? '' : String(index + 1)))).toBe(
          true,
        );
      },
    },
    {
      id: 'OUT-11',
      title: 'a client that does not read holds up no process, and gets everything later',
      covers: ['process/output', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const view = await client.shell(
          `read x; head -c ${24 * MiB} /dev/zero; head -c ${8 * MiB} /dev/zero >&2; touch done`,
          { pipeStdin: true },
        );
        client.transport.pause();
        client.send(
          `{"id":"go","method":"process/write","params":{"processId":"${view.id}","chunk":"Cg=="}}`,
        );
        await eventually('the end of the writer', async () => exists(path.join(folder, 'done')));
        expect(view.closed).toBeUndefined();
        client.transport.resume();
        await client.end(view);
        expect(view.closed).toMatchObject({
          bytes: { stdout: 24 * MiB, stderr: 8 * MiB },
          droppedBytes: 0,
        });
        expect(view.bytes('stdout').length).toBe(24 * MiB);
      },
    },
    {
      id: 'OUT-12',
      title: 'what the journal has no room for is told as a gap with its exact range',
      covers: ['process/gap', 'process/read', 'process/closed'],
      run: async (context) => {
        const client = await context.open(
          await context.own({ journalDiskBytes: 0, limits: { journalHoldMs: 200 } }),
        );
        const folder = await context.folder();
        const view = await client.shell(`read x; head -c ${64 * MiB} /dev/zero; touch done`, {
          pipeStdin: true,
        });
        client.transport.pause();
        client.send(
          `{"id":"go","method":"process/write","params":{"processId":"${view.id}","chunk":"Cg=="}}`,
        );
        await eventually('the end of the writer', async () => exists(path.join(folder, 'done')));
        client.transport.resume();
        await client.end(view);
        expect(view.gaps.length).toBeGreaterThan(0);
        expect(view.closed?.bytes).toEqual({ stdout: 64 * MiB, stderr: 0 });
        const read = await client.call('process/read', { processId: view.id });
        expect(read).toMatchObject({ chunks: [], gap: { fromSeq: 1 } });
        expect(read.nextSeq).toBe((read.gap?.toSeq ?? 0) + 1);
        const rest = await readAllAfterGap(client, view.id);
        expect(rest + (read.gap?.bytes ?? 0)).toBe(64 * MiB);
        expect(view.closed?.droppedBytes).toBe(read.gap?.bytes);
      },
    },
    {
      id: 'OUT-14',
      title: 'the bytes that gaps name are those that did not come',
      covers: ['process/gap', 'process/closed'],
      run: async (context) => {
        const client = await context.open(
          await context.own({ journalDiskBytes: 0, limits: { journalHoldMs: 200 } }),
        );
        const folder = await context.folder();
        const view = await client.shell(`read x; head -c ${32 * MiB} /dev/zero; touch done`, {
          pipeStdin: true,
        });
        client.transport.pause();
        client.send(
          `{"id":"go","method":"process/write","params":{"processId":"${view.id}","chunk":"Cg=="}}`,
        );
        await eventually('the end of the writer', async () => exists(path.join(folder, 'done')));
        client.transport.resume();
        await client.end(view);
        expect(view.gaps.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(view.missing);
      },
    },
    {
      id: 'OUT-13',
      title: 'each process gets its turn while another writes without end',
      covers: ['process/output', 'process/terminate'],
      run: async (context) => {
        const client = await context.open();
        const endless = await client.start({ argv: ['/usr/bin/yes'] });
        for (const _ of [1, 2, 3]) {
          const quick = await client.run({ argv: ['/bin/echo', 'hi'] });
          expect(quick.text('stdout')).toBe('hi\n');
        }
        expect(await client.call('process/terminate', { processId: endless.id })).toEqual({ running: true });
        await client.end(endless);
      },
    },
  ],
};

async function exists(file: string): Promise<true | undefined> {
  return access(file).then(
    () => true as const,
    () => undefined,
  );
}

async function readAllAfterGap(client: WireClient, processId: string): Promise<number> {
  let bytes = 0;
  for (let afterSeq = 0; ;) {
    const read = await client.call('process/read', { processId, afterSeq });
    for (const { chunk } of read.chunks) bytes += chunk.length;
    if (read.closed) return bytes;
    afterSeq = read.nextSeq - 1;
  }
}
