import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import type { WireParams } from '../../../src/protocol/methods.ts';
import { ManifestEntry } from '../../../src/protocol/transfer.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { makeTree, removeTree, variedEntries } from '../../support/transfer-trees.ts';
import { fill, openStream, sha256, streamId } from '../../support/transfer-view.ts';
import type { Context, Topic } from '../case.ts';

type Options = Omit<WireParams<'fs/manifest'>, 'streamId' | 'path'>;
type Line = ReturnType<typeof ManifestEntry.parse>;

async function manifest(client: WireClient, root: string, options: Options = {}): Promise<Line[]> {
  const view = await openStream(client, 'fs/manifest', { path: root, ...options });
  await view.drain();
  const text = view.bytes.toString();
  if (text === '') return [];
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => ManifestEntry.strict().parse(JSON.parse(line)));
}

/** A small tree whose files were written long ago. */
async function oldTree(context: Context): Promise<string> {
  const root = path.join(await context.folder(), 'tree');
  await mkdir(path.join(root, 'dir/inner'), { recursive: true });
  await writeFile(path.join(root, 'a.txt'), 'first', { mode: 0o640 });
  await writeFile(path.join(root, 'dir/b.log'), 'second');
  await writeFile(path.join(root, 'dir/inner/c.txt'), '');
  await symlink('a.txt', path.join(root, 'link'));
  return root;
}

/** The file was changed so long ago that the next change will be seen. */
async function settled(client: WireClient, root: string): Promise<Line[]> {
  for (;;) {
    const lines = await manifest(client, root);
    if (lines.every(({ kind, version }) => kind !== 'file' || version !== undefined)) return lines;
  }
}

const names = (lines: readonly Line[]): string[] => lines.map((line) => line.path);

const refusals = [
  ['a missing directory', 'missing', {}, -32004],
  ['a file', 'file', {}, -32603],
  ['an entry that leads out', '.', { entries: ['../x'] }, undefined],
  ['an absolute entry', '.', { entries: ['/etc/passwd'] }, undefined],
] as const;

export const manifests: Topic = {
  name: 'manifest of a tree',
  cases: [
    {
      id: 'MF-1',
      title: 'a manifest describes everything below a directory, directories before what is in them',
      covers: ['fs/manifest', 'stream/data', 'stream/end'],
      run: async (context) => {
        const client = await context.open();
        const root = await oldTree(context);
        execFileSync('mkfifo', [path.join(root, 'pipe')]);
        await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff])]), 'x');
        await writeFile(path.join(root, '.exec-server-00000000-0000-4000-8000-000000000000'), 'half');
        const lines = await manifest(client, root);
        expect(lines).toMatchObject([
          { path: '', kind: 'directory' },
          { path: '.exec-server-00000000-0000-4000-8000-000000000000', kind: 'leftover' },
          { path: 'a.txt', kind: 'file', size: 5, mode: 0o640 },
          { path: 'dir', kind: 'directory' },
          { path: 'f\ufffd', kind: 'other' },
          { path: 'link', kind: 'link', target: 'a.txt' },
          { path: 'pipe', kind: 'other' },
          { path: 'dir/b.log', kind: 'file', size: 6 },
          { path: 'dir/inner', kind: 'directory' },
          { path: 'dir/inner/c.txt', kind: 'file', size: 0 },
        ]);
        expect(lines.every((line) => line.sha256 === undefined)).toBe(true);
      },
    },
    {
      id: 'MF-2',
      title: 'named entries are described with the digest of what is there now; what is gone is left out',
      covers: ['fs/manifest'],
      run: async (context) => {
        const client = await context.open();
        const root = await oldTree(context);
        const entries = ['a.txt', 'dir/inner/c.txt', 'gone', 'gone/below', 'a.txt/below', 'link', 'dir'];
        expect(await manifest(client, root, { entries })).toMatchObject([
          { path: 'a.txt', kind: 'file', size: 5, sha256: sha256(Buffer.from('first')) },
          { path: 'dir/inner/c.txt', kind: 'file', size: 0, sha256: sha256(Buffer.alloc(0)) },
          { path: 'link', kind: 'link', target: 'a.txt' },
          { path: 'dir', kind: 'directory' },
        ]);
      },
    },
    {
      id: 'MF-3',
      title: 'a version stays while nothing changes, and is another one after any change',
      covers: ['fs/manifest'],
      run: async (context) => {
        const client = await context.open();
        const root = await oldTree(context);
        const before = await settled(client, root);
        expect(await manifest(client, root)).toEqual(before);
        const file = path.join(root, 'a.txt');
        // The same size, and the same time.
        await writeFile(file, 'other');
        const { modifiedAtMs = 0 } = before.find((line) => line.path === 'a.txt') ?? {};
        await utimes(file, modifiedAtMs / 1000, modifiedAtMs / 1000);
        const after = await settled(client, root);
        const changed = after.filter((line, at) => JSON.stringify(line) !== JSON.stringify(before[at]));
        expect(names(changed)).toEqual(['a.txt']);
        // Another directory in the place of the root.
        await rename(root, `${root}-before`);
        await mkdir(root);
        expect((await manifest(client, root))[0]?.version).not.toBe(before[0]?.version);
      },
    },
    {
      id: 'MF-4',
      title: 'ignored entries are left out, with everything below them',
      covers: ['fs/manifest'],
      run: async (context) => {
        const client = await context.open();
        const root = await oldTree(context);
        const found = async (ignore: string[]): Promise<string[]> =>
          names(await manifest(client, root, { ignore }));
        expect(await found(['*.log', 'inner/'])).toEqual(['', 'a.txt', 'dir', 'link']);
        expect(await found(['*', '!a.txt'])).toEqual(['', 'a.txt']);
        const long = { path: root, streamId: streamId(), ignore: Array<string>(4096).fill('x'.repeat(100)) };
        expect((await client.request('fs/manifest', long)).error?.code).toBe(-32602);
      },
    },
    {
      id: 'MF-5',
      title: 'with followed links a tree is described as what they lead to, and a circle is named',
      covers: ['fs/manifest'],
      run: async (context) => {
        const client = await context.open();
        const root = await oldTree(context);
        await symlink('..', path.join(root, 'dir/up'));
        await symlink('nowhere', path.join(root, 'dangling'));
        const lines = await manifest(client, root, { followSymlinks: true });
        expect(lines).toContainEqual(expect.objectContaining({ path: 'link', kind: 'file', size: 5 }));
        expect(lines).toContainEqual({ path: 'dangling', kind: 'link', target: 'nowhere' });
        expect(lines).toContainEqual({
          path: 'dir/up',
          kind: 'directory',
          problem: expect.stringContaining('that it is in') as string,
        });
        const some = { followSymlinks: true, entries: ['link', 'dir/up'] };
        expect(await manifest(client, root, some)).toMatchObject([
          { path: 'link', kind: 'file', sha256: sha256(Buffer.from('first')) },
          { path: 'dir/up', kind: 'directory' },
        ]);
      },
    },
    {
      id: 'MF-6',
      title: 'a manifest of what is no directory, or of entries outside, is refused',
      covers: ['fs/manifest', 'stream/error'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await writeFile(path.join(folder, 'file'), '');
        for (const [title, name, options, code] of refusals) {
          const params = { path: path.join(folder, name), streamId: streamId(), ...options };
          const answer = await client.request('fs/manifest', params);
          if (code !== undefined) expect([title, answer.error?.code]).toEqual([title, code]);
          else {
            await client.waitFor(`the refusal of ${title}`, () =>
              client.texts.find((text) => text.includes('stream/error') && text.includes(params.streamId)),
            );
          }
        }
      },
    },
    {
      id: 'AR-13',
      title: 'an archive of named entries has these and no others, and makes the same tree',
      covers: ['fs/archive', 'fs/extract', 'fs/manifest'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
        makeTree(from, variedEntries);
        try {
          const before = (await manifest(client, from)).filter(({ kind }) => kind !== 'other').slice(1);
          const entries = names(before);
          const view = await openStream(client, 'fs/archive', {
            path: from,
            entries: [...entries, 'gone', 'gone/below'],
          });
          expect(await view.drain()).toMatchObject({ entries: entries.length, skipped: 2 });
          const id = streamId();
          await client.call('fs/extract', { streamId: id, path: to });
          await fill(client, id, view.bytes);
          const without = ({ version: _version, ...line }: Line): object => line;
          const told = async (root: string): Promise<object[]> =>
            (await manifest(client, root, { entries })).map(without);
          expect(await told(to)).toEqual(await told(from));
          const one = await openStream(client, 'fs/archive', { path: from, entries: entries.slice(0, 1) });
          expect(await one.drain()).toMatchObject({ entries: 1, skipped: 0 });
        } finally {
          removeTree(from);
          await rm(to, { recursive: true, force: true });
        }
      },
    },
  ],
};
