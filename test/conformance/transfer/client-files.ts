import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'vitest';

import type { TransferProgress } from '../../../src/client/remote-files.ts';
import { limits } from '../../../src/protocol/limits.ts';
import { eventually } from '../../support/conformance-leftovers.ts';
import { differences, makeTree, snapshotOf, variedEntries } from '../../support/transfer-trees.ts';
import { MiB, nothingOpen, numbered, openIn, sha256 } from '../../support/transfer-view.ts';
import type { Topic } from '../case.ts';
import { collect, openTyped } from './client-streams.ts';

const run = promisify(execFile);

const content = numbered(5 * MiB + 3);
const timeMs = 1_700_000_000_123;

async function source(folder: string, mode = 0o640): Promise<string> {
  const full = path.join(folder, 'source');
  await writeFile(full, content, { mode });
  await utimes(full, 5, (timeMs + 0.0005) / 1000);
  return full;
}

/** Grows, ends with everything, and knows the total where it can be known. */
function expectProgress(seen: readonly TransferProgress[], bytes: number, total: number | undefined): void {
  expect(seen.length).toBeGreaterThan(0);
  const counts = seen.map((progress) => progress.bytes);
  expect(counts).toEqual(counts.toSorted((one, other) => one - other));
  expect(counts.at(-1)).toBe(bytes);
  expect(new Set(seen.map((progress) => progress.total))).toEqual(new Set([total]));
}

export const clientFiles: Topic = {
  name: 'copies of the client',
  cases: [
    ...(['upload', 'download'] as const).map((way) => ({
      id: `CF-1.${way}`,
      title: `${way} copies a file with its mode and time, replaces one that is there, and tells how far it is`,
      covers: [],
      run: async (context: Parameters<typeof openTyped>[0]) => {
        await using typed = await openTyped(context);
        const from = await source(typed.folder);
        const to = path.join(typed.folder, 'to');
        await writeFile(to, 'old', { mode: 0o777 });
        const seen: TransferProgress[] = [];
        const summary = await typed.client.files[way](from, to, { onProgress: (now) => void seen.push(now) });
        expect(summary).toMatchObject({ bytes: content.length, sha256: sha256(content) });
        expect((await readFile(to)).equals(content)).toBe(true);
        const { mode, mtimeNs } = await stat(to, { bigint: true });
        expect([Number(mode) & 0o7777, Number(mtimeNs / 1_000_000n)]).toEqual([0o640, timeMs]);
        expectProgress(seen, content.length, content.length);
        expect((await readdir(typed.folder)).sort()).toEqual(['source', 'to']);
        await writeFile(from, '');
        expect(await typed.client.files[way](from, to)).toMatchObject({ bytes: 0 });
        expect((await stat(to)).size).toBe(0);
        await nothingOpen(typed.pid, typed.folder);
        await nothingOpen(process.pid, typed.folder);
      },
    })),
    ...(['upload', 'download'] as const).map((way) => ({
      id: `CF-2.${way}`,
      title: `${way} copies a tree with everything in it, and tells what it has left out`,
      covers: [],
      run: async (context: Parameters<typeof openTyped>[0]) => {
        await using typed = await openTyped(context);
        const [from, to] = [path.join(typed.folder, 'from'), path.join(typed.folder, 'to')];
        makeTree(from, variedEntries);
        const before = snapshotOf(from);
        const seen: TransferProgress[] = [];
        const summary = await typed.client.files[way](from, to, { onProgress: (now) => void seen.push(now) });
        expect(differences(before, snapshotOf(to))).toEqual([]);
        expect(summary).toMatchObject({ entries: before.size, skipped: 0 });
        expectProgress(seen, summary.bytes, undefined);
        await run('mkfifo', [path.join(from, 'fifo')]);
        expect(await typed.client.files[way](from, to)).toMatchObject({ entries: before.size, skipped: 1 });
        await nothingOpen(typed.pid, typed.folder);
        await nothingOpen(process.pid, typed.folder);
      },
    })),
    {
      id: 'CF-3',
      title: 'a copy of what is not there fails, and changes nothing',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const { files } = typed.client;
        const missing = path.join(typed.folder, 'missing');
        const there = path.join(typed.folder, 'there');
        await writeFile(there, 'old');
        await expect(files.upload(missing, there)).rejects.toMatchObject({ code: 'ENOENT' });
        await expect(files.download(missing, there)).rejects.toMatchObject({ code: -32004 });
        expect(await readFile(there, 'utf8')).toBe('old');
      },
    },
    {
      id: 'CF-4',
      title: 'an upload that the executor refuses closes the local file',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const from = await source(typed.folder);
        const refused = typed.client.files.upload(from, path.join(typed.folder, 'no', 'such', 'folder'));
        await expect(refused).rejects.toMatchObject({ code: -32004 });
        await nothingOpen(process.pid, typed.folder);
      },
    },
    {
      id: 'CF-5',
      title: 'an upload of a tree that the executor refuses closes the local files',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const from = path.join(typed.folder, 'from');
        makeTree(from, [{ name: 'large', timeMs: 5, content }]);
        await writeFile(path.join(typed.folder, 'file'), '');
        const refused = typed.client.files.upload(from, path.join(typed.folder, 'file', 'below'));
        await expect(refused).rejects.toMatchObject({ code: -32603 });
        await nothingOpen(process.pid, typed.folder);
      },
    },
    {
      id: 'CF-6',
      title: 'a download that cannot be written here gives its stream up, however often',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const from = await source(typed.folder);
        const tree = path.join(typed.folder, 'tree');
        makeTree(tree, [{ name: 'large', timeMs: 5, content }]);
        const nowhere = path.join(typed.folder, 'source', 'below a file');
        for (let round = 0; round <= limits.streams; round++)
          for (const remote of [from, tree])
            await expect(typed.client.files.download(remote, nowhere)).rejects.toMatchObject({
              code: 'ENOTDIR',
            });
        expect((await collect(typed.client.files.readStream(from))).equals(content)).toBe(true);
        await nothingOpen(typed.pid, typed.folder);
      },
    },
    {
      id: 'CF-7',
      title: 'a connection that is lost in a download leaves the old file and no temporary one',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const from = path.join(typed.folder, 'source');
        await writeFile(from, numbered(32 * MiB));
        const to = path.join(typed.folder, 'to');
        await writeFile(to, 'old');
        const lost = typed.client.files.download(from, to, {
          onProgress: ({ bytes }) => (bytes > MiB ? typed.cut() : undefined),
        });
        await expect(lost).rejects.toMatchObject({ name: 'ConnectionError' });
        expect(await readFile(to, 'utf8')).toBe('old');
        expect((await readdir(typed.folder)).sort()).toEqual(['source', 'to']);
        await eventually('the end of what is open', async () =>
          (await openIn(process.pid, typed.folder)).length === 0 ? true : undefined,
        );
      },
    },
    {
      id: 'CF-8',
      title: 'a connection that is lost in an upload leaves the old file and no temporary one',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const from = path.join(typed.folder, 'source');
        await writeFile(from, numbered(32 * MiB));
        const to = path.join(typed.folder, 'to');
        await writeFile(to, 'old');
        const lost = typed.client.files.upload(from, to, {
          onProgress: ({ bytes }) => (bytes > MiB ? typed.cut() : undefined),
        });
        await expect(lost).rejects.toMatchObject({ name: 'ConnectionError' });
        await eventually('a folder without temporary files', async () =>
          (await readdir(typed.folder)).length === 2 ? true : undefined,
        );
        expect(await readFile(to, 'utf8')).toBe('old');
        await nothingOpen(process.pid, typed.folder);
      },
    },
    {
      id: 'CF-9',
      title: 'an upload goes to the file behind a link, and a download to that behind a local one',
      covers: [],
      run: async (context) => {
        await using typed = await openTyped(context);
        const from = await source(typed.folder);
        const real = path.join(typed.folder, 'real');
        await mkdir(real);
        for (const way of ['upload', 'download'] as const) {
          await symlink(`real/${way}`, path.join(typed.folder, way));
          await typed.client.files[way](from, path.join(typed.folder, way));
          expect((await readFile(path.join(real, way))).equals(content)).toBe(true);
        }
      },
    },
  ],
};
