import { execFile } from 'node:child_process';
import { appendFile, chmod, mkdir, rename, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'vitest';

import { limits } from '../../../src/protocol/limits.ts';
import {
  KiB,
  MiB,
  StreamView,
  nothingOpen,
  numbered,
  oneChunk,
  openIn,
  openStream,
  pidOf,
  settle,
  streamId,
} from '../../support/transfer-view.ts';
import type { Case, Context, Topic } from '../case.ts';
import { unenforceable } from '../../support/sandbox-profiles.ts';

const run = promisify(execFile);

async function file(context: Context, content: Uint8Array | string, name = 'file'): Promise<string> {
  const full = path.join(await context.folder(), name);
  await writeFile(full, content);
  return full;
}

const size = oneChunk + 1000;

const ranges = [
  ['nothing', { offset: 0, length: 0 }, 0, 0],
  ['the first byte', { length: 1 }, 0, 1],
  ['a part in the middle', { offset: 5, length: 10 }, 5, 15],
  ['a part across two chunks', { offset: oneChunk - 3, length: 7 }, oneChunk - 3, oneChunk + 4],
  ['everything from an offset', { offset: 100 }, 100, size],
  ['more than there is', { offset: size - 1, length: 100 }, size - 1, size],
  ['what begins at the end', { offset: size, length: 10 }, 0, 0],
  ['what begins behind the end', { offset: size + 1000, length: 5 }, 0, 0],
  ['what begins where no file reaches', { offset: Number.MAX_SAFE_INTEGER - 1, length: 1 }, 0, 0],
  ['all, where both are null', { offset: null, length: null }, 0, size],
] as const;

const rangeCases = ranges.map(([what, range, start, end], index): Case => ({
  id: `DL-2.${index + 1}`,
  title: `a range gives ${what}`,
  covers: ['fs/download', 'stream/end'],
  run: async (context) => {
    const client = await context.open();
    const content = numbered(size);
    const view = await openStream(client, 'fs/download', { path: await file(context, content), ...range });
    await view.ended();
    expect(view.bytes.equals(content.subarray(start, end))).toBe(true);
  },
}));

const refusals = [
  ['a missing file', { path: 'missing' }, -32004],
  ['a directory', { path: 'dir' }, -32600],
  ['a FIFO that nobody writes', { path: 'fifo' }, -32600],
  ['a device', { path: '/dev/zero' }, -32600],
  ['a dangling link', { path: 'dangling' }, -32004],
  ['a link where none is followed', { path: 'link', followSymlinks: false }, -32603],
  ['a path below a link where none is followed', { path: 'dir-link/f', followSymlinks: false }, -32603],
  ['a path below a file', { path: 'file/x' }, -32603],
  ['a sandbox that cannot be', { path: 'file', sandbox: unenforceable }, -32600],
  ['a credit of less than one chunk', { path: 'file', creditBytes: oneChunk - 1 }, -32602],
  ['a credit that is too large', { path: 'file', creditBytes: limits.streamCreditBytes + 1 }, -32602],
  ['a negative offset', { path: 'file', offset: -1 }, -32602],
  ['a length that is no integer', { path: 'file', length: 1.5 }, -32602],
] as const;

const refusalCases = refusals.map(([what, params, code], index): Case => ({
  id: `DL-3.${index + 1}`,
  title: `a download of ${what} is refused, nothing comes, and the id is free`,
  covers: ['fs/download'],
  run: async (context) => {
    const client = await context.open();
    const folder = await context.folder();
    const known = await file(context, 'content');
    await mkdir(path.join(folder, 'dir'));
    await writeFile(path.join(folder, 'dir', 'f'), 'f');
    await run('mkfifo', [path.join(folder, 'fifo')]);
    await symlink('nowhere', path.join(folder, 'dangling'));
    await symlink('file', path.join(folder, 'link'));
    await symlink('dir', path.join(folder, 'dir-link'));
    const id = streamId();
    const wanted = path.resolve(folder, params.path);
    const error = await client.refused('fs/download', { ...params, streamId: id, path: wanted });
    expect(error.code).toBe(code);
    const view = await openStream(client, 'fs/download', { streamId: id, path: known });
    await view.ended();
    expect(view.bytes.toString()).toBe('content');
    await nothingOpen(await pidOf(client), folder);
  },
}));

export const downloads: Topic = {
  name: 'download of a file',
  cases: [
    {
      id: 'DL-1',
      title: 'a file comes whole, behind the answer, in chunks with their offsets and with its digest',
      covers: ['fs/download', 'stream/data', 'stream/credit', 'stream/end'],
      run: async (context) => {
        const client = await context.open();
        const content = numbered(9 * MiB + 17);
        const full = await file(context, content);
        await chmod(full, 0o640);
        await utimes(full, 1, 1_700_000_000.5);
        const id = streamId();
        const view = new StreamView(client, id);
        const answer = await client.request('fs/download', { streamId: id, path: full });
        expect(answer.result).toEqual({ size: content.length, mode: 0o640, modifiedAtMs: 1_700_000_000_500 });
        expect(await view.drain()).toMatchObject({ bytes: content.length });
        expect(view.bytes.equals(content)).toBe(true);
        expect(view.firstIndex).toBeGreaterThan(answer.index);
        expect(view.largestChunk).toBeLessThanOrEqual(limits.streamChunkBytes);
        await nothingOpen(await pidOf(client), await context.folder());
      },
    },
    {
      id: 'DL-4',
      title: 'an empty file is an end and nothing else',
      covers: ['fs/download', 'stream/end'],
      run: async (context) => {
        const client = await context.open();
        const view = await openStream(client, 'fs/download', { path: await file(context, '') });
        expect(await view.ended()).toMatchObject({ bytes: 0 });
        expect(view.length).toBe(0);
      },
    },
    ...rangeCases,
    ...refusalCases,
    {
      id: 'DL-5',
      title: 'a file of the kernel, whose size is told as 0, comes with its content',
      covers: ['fs/download', 'stream/data'],
      run: async (context) => {
        if (process.platform !== 'linux') return context.open().then(async (client) => skipKernel(client));
        const client = await context.open();
        const view = await openStream(client, 'fs/download', { path: '/proc/version' });
        await view.ended();
        expect(view.bytes.toString()).toMatch(/^Linux version .*\n$/u);
      },
    },
    {
      id: 'DL-6',
      title: 'a link is followed to its file',
      covers: ['fs/download', 'stream/data'],
      run: async (context) => {
        const client = await context.open();
        await file(context, 'through the link');
        const link = path.join(await context.folder(), 'link');
        await symlink('file', link);
        const view = await openStream(client, 'fs/download', { path: link });
        await view.ended();
        expect(view.bytes.toString()).toBe('through the link');
      },
    },
    {
      id: 'DL-7',
      title: 'never more comes than the credit allows, to the byte',
      covers: ['fs/download', 'stream/data', 'stream/credit'],
      run: async (context) => {
        const client = await context.open();
        const full = await file(context, numbered(5 * oneChunk));
        const view = await openStream(client, 'fs/download', { path: full, creditBytes: 2 * oneChunk });
        await view.has(2 * oneChunk);
        await settle(client, full);
        expect(view.look().length).toBe(2 * oneChunk);
        const grant = async (bytes: number): Promise<number> => {
          await client.call('stream/credit', { streamId: view.id, bytes });
          await settle(client, full);
          return view.look().length;
        };
        expect(await grant(1)).toBeLessThanOrEqual(2 * oneChunk + 1);
        expect(await grant(oneChunk - 2)).toBeLessThanOrEqual(3 * oneChunk - 1);
        await grant(1);
        await view.has(3 * oneChunk);
        expect(await grant(100)).toBeLessThanOrEqual(3 * oneChunk + 100);
        await grant(2 * oneChunk - 100);
        await view.ended();
      },
    },
    {
      id: 'DL-8',
      title: 'a stream that waits for credit keeps nothing else waiting',
      covers: ['fs/download', 'process/start'],
      run: async (context) => {
        const client = await context.open();
        const full = await file(context, numbered(MiB));
        const view = await openStream(client, 'fs/download', { path: full, creditBytes: oneChunk });
        await view.has(oneChunk);
        const other = await openStream(client, 'fs/download', { path: full });
        await other.ended();
        expect((await client.runShell('echo meanwhile')).text('stdout')).toBe('meanwhile\n');
        expect(view.look().length).toBe(oneChunk);
        await view.drain();
      },
    },
    {
      id: 'DL-9',
      title: 'a cancelled stream says nothing more, closes its file, and its id is free',
      covers: ['fs/download', 'stream/cancel'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const full = await file(context, numbered(8 * MiB));
        const pid = await pidOf(client);
        const view = await openStream(client, 'fs/download', { path: full, creditBytes: oneChunk });
        await view.has(oneChunk);
        if (process.platform === 'linux') expect(await openIn(pid, folder)).toEqual([full]);
        expect(await client.call('stream/cancel', { streamId: view.id })).toEqual({});
        const seen = view.look().length;
        expect(await client.call('stream/credit', { streamId: view.id, bytes: MiB })).toEqual({});
        await settle(client, full);
        expect(view.look()).toMatchObject({ length: seen, end: undefined, error: undefined });
        await nothingOpen(pid, folder);
        const again = await openStream(client, 'fs/download', { path: full, streamId: view.id, length: 3 });
        expect(await again.ended()).toMatchObject({ bytes: 3 });
      },
    },
    {
      id: 'DL-10',
      title: 'a file that is removed or replaced meanwhile comes whole as it was',
      covers: ['fs/download', 'stream/data'],
      run: async (context) => {
        const client = await context.open();
        const content = numbered(MiB);
        const full = await file(context, content);
        const view = await openStream(client, 'fs/download', { path: full, creditBytes: oneChunk });
        await view.has(oneChunk);
        await rename(await file(context, 'other', 'new'), full);
        await view.drain();
        expect(view.bytes.equals(content)).toBe(true);
      },
    },
    {
      id: 'DL-11',
      title: 'a file that grows meanwhile comes with what was appended, up to the length that was asked for',
      covers: ['fs/download', 'stream/data'],
      run: async (context) => {
        const client = await context.open();
        const content = numbered(MiB);
        const full = await file(context, content);
        const options = { path: full, creditBytes: oneChunk };
        const views = [
          await openStream(client, 'fs/download', options),
          await openStream(client, 'fs/download', { ...options, length: MiB + 5 }),
          await openStream(client, 'fs/download', { ...options, length: MiB }),
        ];
        for (const view of views) await view.has(oneChunk);
        await appendFile(full, 'appended');
        for (const view of views) await view.drain();
        const whole = Buffer.concat([content, Buffer.from('appended')]);
        expect(views.map((view) => view.bytes.equals(whole.subarray(0, view.length)))).toEqual([
          true,
          true,
          true,
        ]);
        expect(views.map((view) => view.length)).toEqual([whole.length, MiB + 5, MiB]);
      },
    },
    {
      id: 'DL-12',
      title: 'a file that shrinks meanwhile ends early, and the end says of how much the digest is',
      covers: ['fs/download', 'stream/end'],
      run: async (context) => {
        const client = await context.open();
        const content = numbered(4 * MiB);
        const full = await file(context, content);
        const view = await openStream(client, 'fs/download', { path: full, creditBytes: oneChunk });
        await view.has(oneChunk);
        await truncate(full, 2 * MiB + 100 * KiB + 1);
        expect(await view.drain()).toMatchObject({ bytes: 2 * MiB + 100 * KiB + 1 });
        expect(view.bytes.equals(content.subarray(0, view.length))).toBe(true);
      },
    },
    {
      id: 'DL-13',
      title: 'a lost connection closes the file',
      covers: ['fs/download'],
      over: 'shared',
      run: async (context) => {
        const client = await context.open();
        const full = await file(context, numbered(8 * MiB));
        const pid = await pidOf(client);
        const view = await openStream(client, 'fs/download', { path: full, creditBytes: oneChunk });
        await view.has(oneChunk);
        await client[Symbol.asyncDispose]();
        await nothingOpen(pid, await context.folder());
      },
    },
    {
      id: 'DL-14',
      title: 'several streams of one file come whole beside each other',
      covers: ['fs/download', 'stream/data'],
      run: async (context) => {
        const client = await context.open();
        const content = numbered(2 * MiB + 1);
        const full = await file(context, content);
        const views = await Promise.all(
          Array.from({ length: 6 }, async () => openStream(client, 'fs/download', { path: full })),
        );
        await Promise.all(views.map(async (view) => view.drain()));
        for (const view of views) expect(view.bytes.equals(content)).toBe(true);
      },
    },
  ],
};

/** There is no such file; the case has its coverage all the same. */
async function skipKernel(client: Parameters<typeof openStream>[0]): Promise<void> {
  await (await openStream(client, 'fs/download', { path: '/bin/sh', length: 10 })).ended();
}
