import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdir, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'vitest';

import { toFileUri } from '../../../src/protocol/path.ts';
import {
  type TreeEntry,
  differences,
  makeTree,
  removeTree,
  snapshotOf,
  variedEntries,
} from '../../support/transfer-trees.ts';
import {
  MiB,
  fill,
  nothingOpen,
  numbered,
  oneChunk,
  openStream,
  pidOf,
  settle,
  streamId,
} from '../../support/transfer-view.ts';
import type { Case, Context, Topic } from '../case.ts';
import { unenforceable } from '../../support/sandbox-profiles.ts';

const run = promisify(execFile);

/** The archive of a tree through the wire, and back into another one. */
async function roundTrip(context: Context, entries: readonly TreeEntry[]): Promise<void> {
  const client = await context.open();
  const folder = await context.folder();
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  makeTree(from, entries);
  try {
    const before = snapshotOf(from);
    const view = await openStream(client, 'fs/archive', { path: from });
    const end = await view.drain();
    expect(end).toMatchObject({ entries: before.size, skipped: 0, skippedUris: [] });
    const id = streamId();
    await client.call('fs/extract', { streamId: id, path: to });
    expect(await fill(client, id, view.bytes)).toMatchObject({ entries: before.size });
    expect(differences(before, snapshotOf(to))).toEqual([]);
    expect(differences(before, snapshotOf(from))).toEqual([]);
  } finally {
    removeTree(folder);
    await mkdir(folder);
  }
}

/** What the system's own program makes of the archive. */
async function unpackByProgram(archive: Buffer, folder: string): Promise<void> {
  await mkdir(folder);
  execFileSync('tar', ['-xpf', '-', '-C', folder], { input: archive });
}

const refusals = [
  ['a missing directory', 'missing', {}, -32004],
  ['a file', 'file', {}, -32603],
  ['a FIFO', 'fifo', {}, -32603],
  ['a tree in a sandbox that cannot be', '.', { sandbox: unenforceable }, -32600],
  ['a tree with too little credit', '.', { creditBytes: oneChunk - 1 }, -32602],
] as const;

export const archives: Topic = {
  name: 'archive of a tree',
  cases: [
    {
      id: 'AR-1',
      title:
        'a tree comes back the same: contents, modes, links, times to the millisecond, empty directories, any name',
      covers: ['fs/archive', 'fs/extract', 'stream/data', 'stream/end', 'stream/write', 'stream/finish'],
      run: async (context) => roundTrip(context, variedEntries),
    },
    {
      id: 'AR-2',
      title: 'a file and a directory of mode 000 come back so',
      covers: ['fs/archive', 'fs/extract'],
      run: async (context) => {
        // Others cannot read them, and neither can their owner without privileges.
        const readable = process.getuid?.() === 0;
        await roundTrip(context, [
          { name: 'file', mode: readable ? 0 : 0o400, timeMs: 5, content: 'x' },
          { name: 'dir/', mode: readable ? 0 : 0o500, timeMs: 1_700_000_000_000 },
        ]);
      },
    },
    {
      id: 'AR-3',
      title: 'a time before 1970 comes back to the millisecond',
      covers: ['fs/archive', 'fs/extract'],
      run: async (context) =>
        roundTrip(context, [
          { name: 'whole second', timeMs: -5000, content: 'x' },
          { name: 'half second', timeMs: -1500, content: 'x' },
          { name: 'of 1931', timeMs: -1_200_000_000_001, content: 'x' },
          { name: 'dir/', timeMs: -86_399_999 },
        ]),
    },
    {
      id: 'AR-12',
      title: 'a time with nanoseconds comes back in the same millisecond',
      covers: ['fs/archive', 'fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
        makeTree(
          from,
          ['000000000', '123999999', '123999700', '123456789', '999999999'].map((name) => ({
            name,
            timeMs: 5,
          })),
        );
        for (const name of snapshotOf(from).keys())
          execFileSync('touch', ['-d', `@1700000000.${name}`, path.join(from, name)]);
        const view = await openStream(client, 'fs/archive', { path: from });
        await view.drain();
        const id = streamId();
        await client.call('fs/extract', { streamId: id, path: to });
        await fill(client, id, view.bytes);
        expect(differences(snapshotOf(from), snapshotOf(to))).toEqual([]);
      },
    },
    {
      id: 'AR-4',
      title: 'an archive is what the tar of the system takes',
      needs: ['tar'],
      covers: ['fs/archive', 'stream/end'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const from = path.join(folder, 'from');
        makeTree(from, variedEntries);
        const view = await openStream(client, 'fs/archive', { path: from });
        await view.drain();
        await unpackByProgram(view.bytes, path.join(folder, 'to'));
        expect(differences(snapshotOf(from), snapshotOf(path.join(folder, 'to')))).toEqual([]);
      },
    },
    {
      id: 'AR-5',
      title: 'FIFOs, sockets and names that are no UTF-8 are left out, counted and named',
      covers: ['fs/archive', 'stream/end'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const from = path.join(folder, 'from');
        makeTree(from, [
          { name: 'sub/', timeMs: 5 },
          { name: 'sub/file', timeMs: 5, content: 'x' },
        ]);
        await run('mkfifo', [path.join(from, 'sub', 'a-fifo')]);
        const server = createServer().listen(path.join(from, 'socket'));
        await once(server, 'listening');
        const odd = Buffer.concat([Buffer.from(`${from}/odd `), Buffer.from([0xff, 0xfe])]);
        await writeFile(odd, 'x');
        const oddDirectory = Buffer.concat([Buffer.from(`${from}/odd-dir `), Buffer.from([0xe4])]);
        await mkdir(oddDirectory);
        await writeFile(Buffer.concat([oddDirectory, Buffer.from('/inside')]), 'x');
        try {
          const view = await openStream(client, 'fs/archive', { path: from });
          const end = await view.drain();
          expect(end).toMatchObject({ entries: 2, skipped: 4 });
          expect(new Set(end.skippedUris)).toEqual(
            new Set([
              toFileUri(odd),
              toFileUri(oddDirectory),
              toFileUri(`${from}/socket`),
              toFileUri(`${from}/sub/a-fifo`),
            ]),
          );
        } finally {
          server.close();
        }
      },
    },
    {
      id: 'AR-6',
      title: 'an empty directory is an archive with no entry, which makes an empty directory',
      covers: ['fs/archive', 'fs/extract'],
      run: async (context) => roundTrip(context, []),
    },
    {
      id: 'AR-7',
      title: 'many entries without content come whole, however fast they are taken',
      covers: ['fs/archive', 'fs/extract'],
      run: async (context) => {
        const entries = Array.from({ length: 1500 }, (_, index): TreeEntry => {
          const timeMs = 1_600_000_000_000 + index;
          if (index % 3 === 0) return { name: `d${index}/`, timeMs };
          return { name: `e${index}`, timeMs, ...(index % 3 === 1 ? { content: '' } : { target: 'e1' }) };
        });
        await roundTrip(context, entries);
      },
    },
    ...refusals.map(([what, name, params, code], index): Case => ({
      id: `AR-8.${index + 1}`,
      title: `an archive of ${what} is refused, and nothing comes`,
      covers: ['fs/archive'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await writeFile(path.join(folder, 'file'), 'x');
        await run('mkfifo', [path.join(folder, 'fifo')]);
        const wanted = path.resolve(folder, name);
        const error = await client.refused('fs/archive', { streamId: 's', path: wanted, ...params });
        expect(error.code).toBe(code);
        await settle(client);
        expect(client.texts.filter((text) => text.includes('"method":"stream/'))).toEqual([]);
        await nothingOpen(await pidOf(client), folder);
      },
    })),
    {
      id: 'AR-9',
      title: 'an archive never comes faster than the credit allows, and a cancel closes what is open',
      covers: ['fs/archive', 'stream/data', 'stream/credit', 'stream/cancel'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const entries = Array.from({ length: 8 }, (_, index) => ({
          name: `f${index}`,
          timeMs: 5,
          content: numbered(MiB),
        }));
        makeTree(folder, entries);
        const view = await openStream(client, 'fs/archive', { path: folder, creditBytes: oneChunk });
        for (const granted of [0, oneChunk, MiB]) {
          if (granted > 0) await client.call('stream/credit', { streamId: view.id, bytes: granted });
          const before = view.length;
          await view.has(before + 1);
          await settle(client, path.join(folder, 'f0'));
          expect(view.look().length).toBeLessThanOrEqual(2 * oneChunk + MiB);
        }
        await client.call('stream/cancel', { streamId: view.id });
        await settle(client);
        const seen = view.look().length;
        await nothingOpen(await pidOf(client), folder);
        await settle(client);
        expect(view.look()).toMatchObject({ length: seen, end: undefined, error: undefined });
      },
    },
    {
      id: 'AR-10',
      title: 'a file that shrinks while it is packed fails the stream, with words',
      covers: ['fs/archive', 'stream/error'],
      run: async (context) => {
        const client = await context.open(await context.own());
        const folder = await context.folder();
        makeTree(folder, [{ name: 'file', timeMs: 5, content: numbered(16 * MiB) }]);
        const view = await openStream(client, 'fs/archive', { path: folder, creditBytes: oneChunk });
        await view.has(1);
        await truncate(path.join(folder, 'file'), 5);
        await client.call('stream/credit', { streamId: view.id, bytes: 32 * MiB });
        const error = await view.failed();
        expect(error.message).toMatch(/shorter/u);
        await nothingOpen(await pidOf(client), folder);
        expect((await client.refused('stream/write', { streamId: view.id, offset: 0, chunk: '' })).code).toBe(
          -32004,
        );
      },
    },
    {
      id: 'AR-11',
      title: 'files with several names come with their content under each',
      covers: ['fs/archive'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
        makeTree(from, [{ name: 'one', timeMs: 5, content: 'shared', mode: 0o644 }]);
        await link(path.join(from, 'one'), path.join(from, 'two'));
        const view = await openStream(client, 'fs/archive', { path: from });
        await view.drain();
        const id = streamId();
        await client.call('fs/extract', { streamId: id, path: to });
        await fill(client, id, view.bytes);
        expect(differences(snapshotOf(from), snapshotOf(to))).toEqual([]);
      },
    },
  ],
};
