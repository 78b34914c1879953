import { readFile, rename, unlink } from 'node:fs/promises';
import { expect } from 'vitest';

import { eventually } from '../../support/conformance-leftovers.ts';
import { base64 } from '../../support/conformance-wire.ts';
import { type FileCase, openFilesOf } from './case.ts';

const MiB = 1024 * 1024;

export const handleCases: readonly FileCase[] = [
  {
    id: 'handles-limit',
    title: 'A connection has at most 128 open files, and a closed one makes room',
    run: async (context) => {
      await context.fill();
      const client = await context.open();
      const path = context.uri('file');
      const ids = Array.from({ length: 128 }, (_one, index) => `h${index}`);
      await Promise.all(ids.map(async (handleId) => client.call('fs/open', { handleId, path })));
      const { code, message } = await client.refused('fs/open', { handleId: 'more', path });
      expect({ code, message }).toEqual({
        code: -32600,
        message: 'at most 128 file handles may be open per connection',
      });
      await client.call('fs/close', { handleId: 'h7' });
      await client.call('fs/open', { handleId: 'more', path });
      expect(await openFilesOf(client, context.tree.root)).toBe(128);
    },
  },
  {
    id: 'handles-connection',
    title: 'Open files are closed with their connection',
    over: 'shared',
    run: async (context) => {
      await context.fill();
      const { client, tree } = context;
      const other = await context.open();
      const path = context.uri('other');
      const ids = Array.from({ length: 20 }, (_one, index) => `h${index}`);
      await Promise.all(
        ids.map(async (handleId, index) =>
          other.call('fs/open', { handleId, path, mode: index % 2 === 0 ? 'read' : 'replace' }),
        ),
      );
      expect(await openFilesOf(client, tree.root)).toBe(20);
      await other[Symbol.asyncDispose]();
      await eventually('the end of its files', async () =>
        (await openFilesOf(client, tree.root)) === 0 ? true : undefined,
      );
    },
  },
  {
    id: 'handles-opening',
    title: 'Files that are just being opened are closed with their connection',
    over: 'shared',
    run: async (context) => {
      await context.fill();
      const { client, tree } = context;
      const other = await context.open();
      const path = context.uri('file');
      for (let index = 0; index < 100; index++) {
        other.send(
          JSON.stringify({ id: 1000 + index, method: 'fs/open', params: { handleId: `h${index}`, path } }),
        );
      }
      await other[Symbol.asyncDispose]();
      await client.call('fs/getMetadata', { path });
      await eventually('the end of its files', async () =>
        (await openFilesOf(client, tree.root)) === 0 ? true : undefined,
      );
    },
  },
  {
    id: 'handles-apart',
    title: 'Handles of two connections have nothing to do with each other',
    over: 'shared',
    run: async (context) => {
      await context.fill();
      const [one, two] = [await context.open(), await context.open()];
      await one.call('fs/open', { handleId: 'same', path: context.uri('file') });
      await two.call('fs/open', { handleId: 'same', path: context.uri('other') });
      await two.call('fs/close', { handleId: 'same' });
      const { chunk } = await one.call('fs/readBlock', { handleId: 'same', offset: 0, len: 10 });
      expect(Buffer.from(chunk).toString()).toBe('hello\n');
      expect((await two.refused('fs/readBlock', { handleId: 'same', offset: 0, len: 10 })).code).toBe(-32004);
    },
  },
  {
    id: 'handles-id-again',
    title: 'The id of a closed handle, and of one that could not be opened, can be used again',
    run: async (context) => {
      await context.fill();
      const { client } = context;
      await client.refused('fs/open', { handleId: 'again', path: context.uri('missing') });
      await client.call('fs/open', { handleId: 'again', path: context.uri('file') });
      await client.call('fs/close', { handleId: 'again' });
      await client.call('fs/close', { handleId: 'again' });
      await client.call('fs/open', { handleId: 'again', path: context.uri('other') });
      await client.call('fs/close', { handleId: 'again' });
      expect(await openFilesOf(client, context.tree.root)).toBe(0);
    },
  },
  {
    id: 'handles-id-race',
    title: 'Of requests with one id at the same time one gets the handle',
    run: async (context) => {
      await context.fill();
      const { client } = context;
      const params = { handleId: 'race', path: context.uri('file') };
      const answers = await Promise.all(
        Array.from({ length: 10 }, async () => client.request('fs/open', params)),
      );
      expect(answers.filter((answer) => answer.error === undefined)).toHaveLength(1);
      await client.call('fs/close', { handleId: 'race' });
      expect(await openFilesOf(client, context.tree.root)).toBe(0);
    },
  },
  {
    id: 'handles-close-opening',
    title: 'A handle that is closed while it is being opened does not stay open',
    run: async (context) => {
      await context.fill();
      const { client } = context;
      const params = { handleId: 'early', path: context.uri('file') };
      await Promise.all([client.request('fs/open', params), client.call('fs/close', { handleId: 'early' })]);
      expect(await openFilesOf(client, context.tree.root)).toBe(0);
      expect((await client.request('fs/open', params)).error).toBeUndefined();
      await client.call('fs/close', { handleId: 'early' });
    },
  },
  {
    id: 'handles-same-file',
    title: 'A handle stays with its file when that is renamed, replaced or removed',
    run: async (context) => {
      const tree = await context.fill();
      const { client } = context;
      await client.call('fs/open', { handleId: 'kept', path: context.uri('file') });
      context.defer(async () => void (await client.call('fs/close', { handleId: 'kept' })));
      const read = async (): Promise<string> =>
        Buffer.from(
          (await client.call('fs/readBlock', { handleId: 'kept', offset: 0, len: 100 })).chunk,
        ).toString();
      await rename(tree.path('file'), tree.path('moved'));
      await tree.file('file', 'another');
      expect(await read()).toBe('hello\n');
      await unlink(tree.path('moved'));
      expect(await read()).toBe('hello\n');
    },
  },
  {
    id: 'handles-blocks',
    title: 'Blocks in any order, over one another, make the file',
    run: async (context) => {
      const tree = await context.fill();
      const { client } = context;
      const handleId = 'blocks';
      const expected = Buffer.alloc(5 * MiB + 17, 0);
      for (let index = 0; index < expected.length; index++)
        expected[index] = (index * 31 + (index >> 12)) & 0xff;
      await client.call('fs/open', { handleId, path: context.uri('new'), mode: 'replace' });
      const offsets = Array.from({ length: 11 }, (_one, index) => index * (MiB / 2)).toReversed();
      await Promise.all(
        offsets.map(async (offset) =>
          client.call('fs/writeBlock', {
            handleId,
            offset,
            chunk: base64(expected.subarray(offset, offset + MiB)),
          }),
        ),
      );
      await client.call('fs/close', { handleId });
      expect((await readFile(tree.path('new'))).equals(expected)).toBe(true);

      await client.call('fs/open', { handleId, path: context.uri('new') });
      const parts: Uint8Array[] = [];
      for (let offset = 0, eof = false; !eof; offset += MiB) {
        const block = await client.call('fs/readBlock', { handleId, offset, len: MiB });
        parts.push(block.chunk);
        ({ eof } = block);
      }
      await client.call('fs/close', { handleId });
      expect(Buffer.concat(parts).equals(expected)).toBe(true);
    },
  },
  {
    id: 'handles-leak',
    title: 'What is refused or fails leaves no file open',
    run: async (context) => {
      const tree = await context.fill();
      await tree.fifo('fifo');
      const { client } = context;
      const names = ['dir', 'fifo', 'loop', 'missing', 'file/below', 'to-dir'];
      await Promise.all(
        names.flatMap((name) =>
          [true, false].flatMap((followSymlinks) => {
            const path = context.uri(name);
            return [
              client.request('fs/readFile', { path, followSymlinks }),
              client.request('fs/writeFile', { path: `${path}/x/y`, dataBase64: '', followSymlinks }),
              client.request('fs/truncate', { path, size: 0, followSymlinks }),
              client.request('fs/open', { handleId: `${name}${followSymlinks}`, path, followSymlinks }),
              client.request('fs/copy', {
                sourcePath: context.uri('file'),
                destinationPath: `${path}/x/y`,
                recursive: false,
              }),
            ];
          }),
        ),
      );
      expect(await openFilesOf(client, tree.root)).toBe(0);
    },
  },
];
