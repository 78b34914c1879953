import { readFile, readdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import { ExecClient } from '../../../src/client/exec-client.ts';
import { limits } from '../../../src/protocol/limits.ts';
import type { Transport } from '../../../src/rpc/transport.ts';
import { eventually } from '../../support/conformance-leftovers.ts';
import { MiB, nothingOpen, numbered } from '../../support/transfer-view.ts';
import type { Context, Topic } from '../case.ts';

/** A typed client on a connection of its own, with the pid of the executor. */
export interface Typed extends AsyncDisposable {
  readonly client: ExecClient;
  readonly folder: string;
  readonly pid: string;
  /** Bytes of messages that have come. */
  received(): number;
  /** Cuts the connection. */
  cut(): void;
}

export async function openTyped(context: Context): Promise<Typed> {
  const executor = await context.own();
  let received = 0;
  const transport = counted(await executor.connect(), (bytes) => void (received += bytes));
  const client = await ExecClient.connect({ transport }, { connectTimeoutMs: 30_000 });
  return {
    client,
    folder: await context.folder(),
    pid: path.basename(await client.files.realPath('/proc/self')),
    received: () => received,
    cut: () => transport.close({ kind: 'lost', message: 'cut by the test' }),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

/** The same transport, with an ear at what comes. */
function counted(transport: Transport, onBytes: (bytes: number) => void): Transport {
  return {
    kind: transport.kind,
    get unsentBytes() {
      return transport.unsentBytes;
    },
    get receivedBytes() {
      return transport.receivedBytes;
    },
    attach: (events) =>
      transport.attach({
        onMessage: (text) => {
          onBytes(text.length);
          events.onMessage(text);
        },
        onGarbage: (problem) => events.onGarbage(problem),
        onDrain: () => events.onDrain(),
        onClose: (reason) => events.onClose(reason),
      }),
    send: (text) => transport.send(text),
    pause: () => transport.pause(),
    resume: () => transport.resume(),
    close: (reason) => transport.close(reason),
  };
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

const content = numbered(9 * MiB + 3);

export const clientStreams: Topic = {
  name: 'streams of the client',
  cases: [
    {
      id: 'CS-1',
      title: 'a file is read as a stream, whole, empty or in part',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const full = path.join(typed.folder, 'file');
        await writeFile(full, content);
        await writeFile(`${full}-empty`, '');
        const { files } = typed.client;
        expect((await collect(files.readStream(full))).equals(content)).toBe(true);
        expect((await collect(files.readStream(`${full}-empty`))).length).toBe(0);
        const part = await collect(files.readStream(full, { offset: MiB - 1, length: 2 * MiB }));
        expect(part.equals(content.subarray(MiB - 1, 3 * MiB - 1))).toBe(true);
        await nothingOpen(typed.pid, typed.folder);
      },
    },
    {
      id: 'CS-2',
      title: 'a stream that cannot be opened fails with the error of the executor, at its first reading',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const stream = typed.client.files.readStream(path.join(typed.folder, 'missing'));
        await expect(collect(stream)).rejects.toMatchObject({
          code: -32004,
          message: expect.stringMatching(/\(os error 2\)$/u),
        });
        await expect(collect(typed.client.files.readStream(typed.folder))).rejects.toMatchObject({
          code: -32600,
        });
      },
    },
    {
      id: 'CS-3',
      title: 'a consumer that pauses lets no more come than the credit of a stream',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const full = path.join(typed.folder, 'large');
        await writeFile(full, '');
        await truncate(full, 64 * MiB);
        const reader = typed.client.files.readStream(full).getReader();
        await reader.read();
        const encoded = (limits.streamDefaultCreditBytes * 4) / 3;
        await eventually('all that the credit allows', () => (typed.received() > encoded ? true : undefined));
        for (let round = 0; round < 50; round++) await typed.client.call('environment/status', undefined);
        expect(typed.received()).toBeLessThan(encoded * 1.1 + MiB);
        await reader.cancel();
        await nothingOpen(typed.pid, typed.folder);
        for (let round = 0; round < 20; round++) await typed.client.call('environment/status', undefined);
        expect(typed.received()).toBeLessThan(encoded * 1.1 + MiB);
      },
    },
    {
      id: 'CS-4',
      title: 'a reader that stops early closes the file of the executor, again and again',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const full = path.join(typed.folder, 'file');
        await writeFile(full, content);
        for (let round = 0; round < 2 * limits.streams; round++) {
          for await (const part of typed.client.files.readStream(full)) {
            expect(part.length).toBeGreaterThan(0);
            break;
          }
        }
        await nothingOpen(typed.pid, typed.folder);
      },
    },
    {
      id: 'CS-5',
      title: 'a file is written as a stream, and appears at its close where it is atomic',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        for (const atomic of [true, false]) {
          const full = path.join(typed.folder, `${atomic}`);
          const writer = typed.client.files.writeStream(full, { atomic, mode: 0o640 }).getWriter();
          for (let at = 0; at < content.length; at += 1_000_000)
            await writer.write(content.subarray(at, at + 1_000_000));
          const found = await readFile(full).catch(() => undefined);
          if (atomic) expect(found).toBeUndefined();
          await writer.close();
          expect((await readFile(full)).equals(content)).toBe(true);
        }
        await nothingOpen(typed.pid, typed.folder);
      },
    },
    {
      id: 'CS-6',
      title: 'a stream that is aborted leaves nothing of an atomic file',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const full = path.join(typed.folder, 'file');
        await writeFile(full, 'old');
        const writer = typed.client.files.writeStream(full, { atomic: true }).getWriter();
        await writer.write(content);
        await writer.abort(new Error('the test has changed its mind'));
        await nothingOpen(typed.pid, typed.folder);
        expect(await readFile(full, 'utf8')).toBe('old');
        expect(await readdir(typed.folder)).toEqual(['file']);
      },
    },
    {
      id: 'CS-7',
      title: 'a stream to a file that cannot be written fails with the error of the executor',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const missing = path.join(typed.folder, 'missing', 'file');
        const writer = typed.client.files.writeStream(missing).getWriter();
        writer.closed.catch(() => {});
        await expect(writer.write(Buffer.from('x'))).rejects.toMatchObject({ code: -32004 });
        const closing = typed.client.files.writeStream(missing).getWriter();
        closing.closed.catch(() => {});
        await expect(closing.close()).rejects.toMatchObject({ code: -32004 });
        const parents = typed.client.files.writeStream(missing, { createParents: true }).getWriter();
        await parents.write(Buffer.from('now it can'));
        await parents.close();
        expect(await readFile(missing, 'utf8')).toBe('now it can');
      },
    },
    {
      id: 'CS-8',
      title: 'streams in both directions end with the connection, with its error',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const full = path.join(typed.folder, 'file');
        await writeFile(full, content);
        const reader = typed.client.files.readStream(full).getReader();
        await reader.read();
        const writer = typed.client.files.writeStream(`${full}-new`, { atomic: true }).getWriter();
        writer.closed.catch(() => {});
        await writer.write(Buffer.from('x'));
        typed.cut();
        const rest = (async () => {
          while (!(await reader.read()).done);
        })();
        await expect(rest).rejects.toMatchObject({ name: 'ConnectionError' });
        await expect(writer.close()).rejects.toMatchObject({ name: 'ConnectionError' });
        await eventually('a folder without temporary files', async () =>
          (await readdir(typed.folder)).length === 1 ? true : undefined,
        );
      },
    },
    {
      id: 'CS-9',
      title: 'one stream is copied into another, back pressure and all',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const full = path.join(typed.folder, 'file');
        await writeFile(full, content);
        const { files } = typed.client;
        await files.readStream(full).pipeTo(files.writeStream(`${full}-copy`, { atomic: true }));
        expect((await readFile(`${full}-copy`)).equals(content)).toBe(true);
      },
    },
  ],
};
