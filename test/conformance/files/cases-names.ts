import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';

import { fileUri } from '../../support/files-tree.ts';
import type { FileCase } from './case.ts';

/** Names of one byte each: all that a name can have. */
const bytes = Array.from({ length: 255 }, (_one, index) => index + 1).filter((byte) => byte !== 0x2f);
const names = bytes.map((byte) => Buffer.from([0x78, byte, 0x79]));

export const nameCases: readonly FileCase[] = [
  {
    id: 'names-round-trip',
    title: 'Every name that fs/readDirectory tells can be read and removed by it',
    run: async (context) => {
      const tree = await context.fill();
      await fillNames(tree.path('names'));
      const { client } = context;
      const folder = context.uri('names');
      const { entries } = await client.call('fs/readDirectory', { path: folder });
      expect(entries).toHaveLength(names.length);
      expect(entries.filter((entry) => entry.uri !== undefined)).toHaveLength(128);
      const contents = new Set<string>();
      for (const entry of entries) {
        const path = entry.uri ?? `${folder}/${encodeURIComponent(entry.fileName)}`;
        const { dataBase64 } = await client.call('fs/readFile', { path });
        contents.add(Buffer.from(dataBase64).toString('hex'));
        await client.call('fs/remove', { path, force: false });
      }
      expect(contents).toEqual(new Set(names.map((name) => name.toString('hex'))));
      expect(await readdir(tree.path('names'))).toEqual([]);
    },
  },
  {
    id: 'names-plain',
    title: 'Every name that is UTF-8 can be read by a plain path',
    run: async (context) => {
      const tree = await context.fill();
      await fillNames(tree.path('names'));
      const { client } = context;
      for (const name of names.filter((name) => (name[1] ?? 0) < 0x80)) {
        const path = `${tree.path('names')}/${name.toString()}`;
        const { dataBase64 } = await client.call('fs/readFile', { path });
        expect(Buffer.from(dataBase64).equals(name)).toBe(true);
      }
    },
  },
  {
    id: 'names-walk',
    title: 'fs/walk names every file by a URI that leads to it',
    run: async (context) => {
      const tree = await context.fill();
      await fillNames(tree.path('names'));
      const { client } = context;
      const options = { maxDepth: 1, maxDirectories: 10, maxEntries: 1000, followDirectorySymlinks: false };
      const found = await client.call('fs/walk', { path: context.uri('names'), options });
      expect(found).toMatchObject({ errors: [], truncated: false });
      const contents: string[] = [];
      for (const { path } of found.entries) {
        const { dataBase64 } = await client.call('fs/readFile', { path });
        contents.push(Buffer.from(dataBase64).toString('hex'));
      }
      expect(contents).toEqual(names.map((name) => name.toString('hex')));
    },
  },
  {
    id: 'names-all-methods',
    title: 'Every method takes a name that is not UTF-8 by its URI',
    run: async (context) => {
      const tree = await context.fill();
      const { client } = context;
      const uri = (name: string): string => `file://${tree.root}/%FF${name}`;
      await client.call('fs/createDirectory', { path: uri('d/%FE') });
      await client.call('fs/writeFile', { path: uri('d/%FE/file'), dataBase64: 'AAAA', atomic: true });
      await client.call('fs/copy', { sourcePath: uri('d'), destinationPath: uri('e'), recursive: true });
      await client.call('fs/rename', { sourcePath: uri('e/%FE/file'), destinationPath: uri('moved') });
      await client.call('fs/createSymlink', { path: uri('link'), target: 'nowhere' });
      await client.call('fs/setMetadata', { path: uri('moved'), mode: 0o600 });
      await client.call('fs/truncate', { path: uri('moved'), size: 1 });
      expect(await client.call('fs/readLink', { path: uri('link') })).toEqual({ target: 'nowhere' });
      expect(await client.call('fs/canonicalize', { path: uri('d/%FE/../%FE') })).toEqual({
        path: uri('d/%FE'),
      });
      expect(await client.call('fs/getMetadata', { path: uri('moved') })).toMatchObject({
        isFile: true,
        size: 1,
      });
      await client.call('fs/open', { handleId: 'bytes', path: uri('moved') });
      await client.call('fs/close', { handleId: 'bytes' });
      for (const name of ['d', 'e', 'link', 'moved'])
        await client.call('fs/remove', { path: uri(name), force: false });
      const left = await readdir(tree.root, { encoding: 'buffer' });
      expect(left.filter((name) => name[0] === 0xff)).toEqual([]);
    },
  },
  {
    id: 'names-not-lossy',
    title: 'A name with U+FFFD is another file than one with a byte that is not UTF-8',
    run: async (context) => {
      const tree = await context.fill();
      const { client } = context;
      await tree.file(Buffer.from([0xff]), 'byte');
      await client.call('fs/remove', { path: `${tree.root}/\ufffd` });
      await client.call('fs/remove', { path: context.uri('\ufffd') });
      expect(await readdir(tree.root, { encoding: 'buffer' })).toContainEqual(Buffer.from([0xff]));
    },
  },
  {
    id: 'names-walk-plain',
    title:
      'fs/walk from a plain path gives a name that is not UTF-8 in no form that would lead to another file',
    run: async (context) => {
      const tree = await context.fill();
      await tree.directory('bytes');
      await tree.file(Buffer.from('bytes/\xff', 'latin1'), 'byte');
      const options = { maxDepth: 1, maxDirectories: 10, maxEntries: 1000, followDirectorySymlinks: false };
      const { entries } = await context.client.call('fs/walk', { path: tree.path('bytes'), options });
      for (const { path } of entries) {
        const { dataBase64 } = await context.client.call('fs/readFile', { path });
        expect(Buffer.from(dataBase64).toString()).toBe('byte');
      }
    },
  },
];

async function fillNames(folder: string): Promise<void> {
  await mkdir(folder);
  for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${folder}/`), name]), name);
  expect(fileUri(Buffer.from(folder))).toBe(`file://${folder}`);
}
