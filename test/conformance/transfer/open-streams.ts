import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import { limits } from '../../../src/protocol/limits.ts';
import { base64 } from '../../support/conformance-wire.ts';
import {
  MiB,
  StreamView,
  fill,
  finishParams,
  nothingOpen,
  numbered,
  oneChunk,
  openStream,
  pidOf,
  streamId,
  upload,
  writeAhead,
} from '../../support/transfer-view.ts';
import type { Context, Topic } from '../case.ts';

async function file(context: Context): Promise<string> {
  const full = path.join(await context.folder(), 'file');
  await writeFile(full, numbered(2 * oneChunk));
  return full;
}

export const openStreams: Topic = {
  name: 'streams of a connection',
  cases: [
    {
      id: 'ST-1',
      title: `more than ${limits.streams} open streams are refused, whatever their direction, until one ends`,
      covers: ['fs/download', 'fs/upload', 'stream/cancel'],
      run: async (context) => {
        const client = await context.open();
        const source = await file(context);
        const folder = await context.folder();
        for (let index = 0; index < limits.streams; index++) {
          const id = `open ${index}`;
          if (index % 2 === 0)
            await client.call('fs/download', { streamId: id, path: source, creditBytes: oneChunk });
          else await client.call('fs/upload', { streamId: id, path: path.join(folder, id) });
        }
        for (const method of ['fs/download', 'fs/upload', 'fs/archive', 'fs/extract'] as const) {
          const target =
            method === 'fs/archive' ? folder : method === 'fs/download' ? source : `${folder}/new`;
          const error = await client.refused(method, { streamId: 'more', path: target });
          expect(error).toMatchObject({
            code: -32011,
            message: expect.stringContaining(`${limits.streams}`),
          });
        }
        expect((await readdir(folder)).includes('new')).toBe(false);
        for (const index of [0, 1]) {
          await client.call('stream/cancel', { streamId: `open ${index}` });
          await client.call('fs/upload', { streamId: `more ${index}`, path: `${folder}/new` });
        }
        expect((await client.refused('fs/upload', { streamId: 'x', path: `${folder}/x` })).code).toBe(-32011);
        // Of this connection: another one has its own.
        const other = await context.open();
        await (await openStream(other, 'fs/download', { path: source })).ended();
      },
    },
    {
      id: 'ST-2',
      title: 'an id that is in use is refused, and its stream goes on',
      covers: ['fs/download', 'fs/upload', 'fs/archive', 'fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const source = await file(context);
        const folder = await context.folder();
        const view = await openStream(client, 'fs/download', { path: source, creditBytes: oneChunk });
        const into = path.join(folder, 'into');
        await client.call('fs/upload', { streamId: 'up', path: into });
        for (const id of [view.id, 'up']) {
          for (const [method, target] of [
            ['fs/download', source],
            ['fs/upload', `${folder}/new`],
            ['fs/archive', folder],
            ['fs/extract', `${folder}/new`],
          ] as const)
            expect((await client.refused(method, { streamId: id, path: target })).code).toBe(-32600);
        }
        await view.drain();
        await fill(client, 'up', numbered(MiB));
        expect((await readFile(into)).equals(numbered(MiB))).toBe(true);
        expect((await readdir(folder)).sort()).toEqual(['file', 'into']);
      },
    },
    {
      id: 'ST-3',
      title: 'a stream that is not there cannot be written or finished; credit and cancel are no error',
      covers: ['stream/write', 'stream/finish', 'stream/credit', 'stream/cancel'],
      run: async (context) => {
        const client = await context.open();
        const write = { streamId: 'nobody', offset: 0, chunk: '' };
        expect((await client.refused('stream/write', write)).code).toBe(-32004);
        const finish = finishParams('nobody', Buffer.alloc(0));
        expect((await client.refused('stream/finish', finish)).code).toBe(-32004);
        expect(await client.call('stream/credit', { streamId: 'nobody', bytes: 1 })).toEqual({});
        expect(await client.call('stream/cancel', { streamId: 'nobody' })).toEqual({});
      },
    },
    {
      id: 'ST-4',
      title: 'a stream to the client cannot be written or finished, and goes on',
      covers: ['stream/write', 'stream/finish', 'fs/download'],
      run: async (context) => {
        const client = await context.open();
        const view = await openStream(client, 'fs/download', {
          path: await file(context),
          creditBytes: oneChunk,
        });
        const write = { streamId: view.id, offset: 0, chunk: '' };
        expect((await client.refused('stream/write', write)).code).toBe(-32004);
        const finish = finishParams(view.id, Buffer.alloc(0));
        expect((await client.refused('stream/finish', finish)).code).toBe(-32004);
        await view.drain();
      },
    },
    {
      id: 'ST-5',
      title: 'a stream belongs to its connection, also where two have the same id',
      covers: ['fs/upload', 'stream/write', 'stream/finish'],
      run: async (context) => {
        const folder = await context.folder();
        const clients = [await context.open(), await context.open()];
        const contents = [Buffer.from('one'), Buffer.from('other')];
        for (const [index, client] of clients.entries())
          await client.call('fs/upload', { streamId: 'same', path: `${folder}/${index}` });
        for (const [index, client] of clients.entries())
          await fill(client, 'same', contents[index] ?? Buffer.alloc(0));
        expect(await readFile(`${folder}/0`, 'utf8')).toBe('one');
        expect(await readFile(`${folder}/1`, 'utf8')).toBe('other');
      },
    },
    {
      id: 'ST-6',
      title: 'a cancel that overtakes the answer of its opener gives the stream up',
      covers: ['fs/upload', 'fs/download', 'stream/cancel'],
      run: async (context) => {
        const executor = await context.own();
        const client = await context.open(executor);
        const source = await file(context);
        const folder = await context.folder();
        const pid = await pidOf(client);
        const up = { streamId: 'up', path: path.join(folder, 'up'), atomic: true };
        const down = new StreamView(client, 'down');
        await Promise.all([
          client.request('fs/upload', up),
          client.request('stream/cancel', { streamId: 'up' }),
          client.request('fs/download', { streamId: 'down', path: source, creditBytes: oneChunk }),
          client.request('stream/cancel', { streamId: 'down' }),
        ]);
        const write = { streamId: 'up', offset: 0, chunk: '' };
        expect((await client.refused('stream/write', write)).code).toBe(-32004);
        await nothingOpen(pid, folder);
        expect(await readdir(folder)).toEqual(['file']);
        expect(down.look().end).toBeUndefined();
      },
    },
    {
      id: 'ST-7',
      title: 'a stream that is finished twice at once is finished once, and the other is refused',
      covers: ['stream/finish'],
      run: async (context) => {
        const client = await context.open(await context.own());
        const folder = await context.folder();
        for (const atomic of [true, false]) {
          const full = path.join(folder, `atomic ${atomic}`);
          const id = streamId();
          await client.call('fs/upload', { streamId: id, path: full, atomic });
          const content = numbered(MiB);
          void writeAhead(client, id, content);
          const answers = await Promise.all(
            [1, 2].map(async () => client.request('stream/finish', finishParams(id, content))),
          );
          expect(answers[0]?.error).toBeUndefined();
          expect([-32600, -32004]).toContain(answers[1]?.error?.code);
          expect((await readFile(full)).equals(content)).toBe(true);
        }
      },
    },
    {
      id: 'ST-8',
      title: 'a write behind the finish is refused, or spoils the finish, and never the file',
      covers: ['stream/finish', 'stream/write'],
      run: async (context) => {
        const client = await context.open(await context.own());
        const folder = await context.folder();
        for (const atomic of [true, false]) {
          const full = path.join(folder, `atomic ${atomic}`);
          const id = streamId();
          await client.call('fs/upload', { streamId: id, path: full, atomic });
          const content = numbered(MiB);
          void writeAhead(client, id, content);
          const late = { streamId: id, offset: content.length, chunk: base64('late') };
          const [finish, write] = await Promise.all([
            client.request('stream/finish', finishParams(id, content)),
            client.request('stream/write', late),
          ]);
          if (finish.error !== undefined) expect(finish.error.code).toBe(-32600);
          else expect([-32600, -32004]).toContain(write.error?.code);
          const found = await readFile(full).catch(() => undefined);
          if (finish.error === undefined) expect(found?.equals(content)).toBe(true);
          else if (atomic) expect(found).toBeUndefined();
        }
      },
    },
    {
      id: 'ST-9',
      title:
        'a finish that is on its way and a cancel end in one of both, and a new stream has the id for itself',
      covers: ['stream/finish', 'stream/cancel', 'fs/upload'],
      run: async (context) => {
        const client = await context.open(await context.own());
        const folder = await context.folder();
        const pid = await pidOf(client);
        const content = numbered(MiB);
        for (let round = 0; round < 10; round++) {
          const full = path.join(folder, `${round}`);
          const again = path.join(folder, `${round} again`);
          await client.call('fs/upload', { streamId: 'same', path: full, atomic: true });
          void writeAhead(client, 'same', content);
          const [finish, , opened] = await Promise.all([
            client.request('stream/finish', finishParams('same', content)),
            client.request('stream/cancel', { streamId: 'same' }),
            client.request('fs/upload', { streamId: 'same', path: again, atomic: true }),
          ]);
          const found = await readFile(full).catch(() => undefined);
          expect(found === undefined || found.equals(content)).toBe(true);
          if (finish.error === undefined) expect(found?.length).toBe(content.length);
          if (opened.error === undefined) await fill(client, 'same', content);
          else await upload(client, { path: again, atomic: true }, content);
          expect((await readFile(again)).equals(content)).toBe(true);
        }
        await nothingOpen(pid, folder);
      },
    },
  ],
};
