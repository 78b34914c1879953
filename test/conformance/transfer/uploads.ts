import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, readFile, readdir, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'vitest';

import type { WireParams } from '../../../src/protocol/methods.ts';
import { eventually } from '../../support/conformance-leftovers.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import {
  MiB,
  fill,
  finishParams,
  nothingOpen,
  numbered,
  pidOf,
  sha256,
  streamId,
  upload,
  writeAhead,
} from '../../support/transfer-view.ts';
import type { Case, Topic } from '../case.ts';
import { unenforceable } from '../../support/sandbox-profiles.ts';

const run = promisify(execFile);

async function open(client: WireClient, params: Omit<WireParams<'fs/upload'>, 'streamId'>): Promise<string> {
  const id = streamId();
  expect(await client.call('fs/upload', { ...params, streamId: id })).toEqual({});
  return id;
}

const content = numbered(3 * MiB + 5);

const both = [
  ['in place', false],
  ['atomic', true],
] as const;

/** Cases that hold for both kinds of an upload. */
const bothCases = both.flatMap(([how, atomic]): Case[] => [
  {
    id: `UL-1.${how}`,
    title: `an upload ${how} brings every byte, of writes that do not wait for each other`,
    covers: ['fs/upload', 'stream/write', 'stream/finish'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      const full = path.join(folder, 'file');
      const id = await open(client, { path: full, atomic });
      expect(await fill(client, id, content)).toEqual({ bytes: content.length, sha256: sha256(content) });
      expect((await readFile(full)).equals(content)).toBe(true);
      expect(await readdir(folder)).toEqual(['file']);
      expect(await client.refused('stream/finish', finishParams(id, content))).toMatchObject({
        code: -32004,
      });
      await nothingOpen(await pidOf(client), folder);
    },
  },
  {
    id: `UL-2.${how}`,
    title: `an upload ${how} of nothing makes an empty file, also of one that is there`,
    covers: ['fs/upload', 'stream/finish'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      await writeFile(path.join(folder, 'there'), 'content');
      for (const name of ['there', 'new']) {
        await upload(client, { path: path.join(folder, name), atomic }, Buffer.alloc(0));
        expect((await stat(path.join(folder, name))).size).toBe(0);
      }
    },
  },
  {
    id: `UL-3.${how}`,
    title: `an upload ${how} gives a mode exactly, or 0666 less the umask, or leaves that of the file`,
    covers: ['fs/upload', 'stream/finish'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      const mask = (await client.runShell('umask')).text('stdout').trim();
      const modeOf = async (name: string): Promise<string> =>
        ((await stat(path.join(folder, name))).mode & 0o7777).toString(8);
      const at = (name: string): string => path.join(folder, name);
      await upload(client, { path: at('plain'), atomic }, content);
      expect(await modeOf('plain')).toBe((0o666 & ~Number.parseInt(mask, 8)).toString(8));
      for (const mode of [0o777, 0o600, 0o444, 0o000]) {
        await upload(client, { path: at(`new-${mode}`), atomic, mode }, content);
        expect(await modeOf(`new-${mode}`)).toBe(mode.toString(8));
      }
      await chmod(at('plain'), 0o751);
      await upload(client, { path: at('plain'), atomic }, content);
      expect(await modeOf('plain')).toBe('751');
      await upload(client, { path: at('plain'), atomic, mode: 0o640 }, content);
      expect(await modeOf('plain')).toBe('640');
    },
  },
  {
    id: `UL-4.${how}`,
    title: `an upload ${how} gives a time to the millisecond`,
    covers: ['fs/upload', 'stream/finish'],
    run: async (context) => {
      const client = await context.open();
      const full = path.join(await context.folder(), 'file');
      for (const modifiedAtMs of [
        0, 1, 999, 1_700_000_000_123, 1_699_999_999_999, 4_000_000_000_007, -1500,
      ]) {
        await upload(client, { path: full, atomic, modifiedAtMs }, Buffer.from('x'));
        const { mtimeNs } = await stat(full, { bigint: true });
        expect(Math.floor(Number(mtimeNs) / 1e6)).toBe(modifiedAtMs);
      }
    },
  },
  {
    id: `UL-5.${how}`,
    title: `an upload ${how} makes missing parents only where it is asked to`,
    covers: ['fs/upload'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      const full = path.join(folder, 'a', 'b', 'file');
      const error = await client.refused('fs/upload', { streamId: 's', path: full, atomic });
      expect(error.code).toBe(-32004);
      expect(await readdir(folder)).toEqual([]);
      await upload(client, { path: full, atomic, createParents: true }, content);
      await upload(client, { path: full, atomic, createParents: true }, content);
      expect((await readFile(full)).equals(content)).toBe(true);
    },
  },
  {
    id: `UL-6.${how}`,
    title: `an upload ${how} goes through a link to its file, which keeps the link, and not where none is followed`,
    covers: ['fs/upload'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      await mkdir(path.join(folder, 'dir'));
      await writeFile(path.join(folder, 'dir', 'file'), 'old');
      const link = path.join(folder, 'link');
      await symlink('dir/file', link);
      await symlink('dir/new', path.join(folder, 'to-new'));
      const error = await client.refused('fs/upload', {
        streamId: 's',
        path: link,
        atomic,
        followSymlinks: false,
      });
      expect(error.message).toMatch(/\(os error \d+\)$/u);
      expect(await readFile(link, 'utf8')).toBe('old');
      await upload(client, { path: link, atomic }, Buffer.from('new'));
      await upload(client, { path: path.join(folder, 'to-new'), atomic }, Buffer.from('made'));
      expect(await readlink(link)).toBe('dir/file');
      expect(await readFile(path.join(folder, 'dir', 'file'), 'utf8')).toBe('new');
      expect(await readFile(path.join(folder, 'dir', 'new'), 'utf8')).toBe('made');
      expect((await readdir(path.join(folder, 'dir'))).sort()).toEqual(['file', 'new']);
    },
  },
  ...(
    [
      ['a directory', 'dir', -32603],
      ['a FIFO that nobody reads', 'fifo', -32600],
      ['a device', '/dev/null', -32600],
      ['a path below a file', 'file/x', -32603],
    ] as const
  ).map(([what, name, code], index): Case => ({
    id: `UL-7.${index + 1}.${how}`,
    title: `an upload ${how} to ${what} is refused`,
    covers: ['fs/upload'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      await mkdir(path.join(folder, 'dir'));
      await writeFile(path.join(folder, 'file'), 'old');
      await run('mkfifo', [path.join(folder, 'fifo')]);
      const params = { streamId: 's', path: path.resolve(folder, name), atomic };
      expect((await client.refused('fs/upload', params)).code).toBe(code);
      expect(await readFile(path.join(folder, 'file'), 'utf8')).toBe('old');
      expect((await readdir(folder)).sort()).toEqual(['dir', 'fifo', 'file']);
      await nothingOpen(await pidOf(client), folder);
    },
  })),
]);

type Ending = (client: WireClient, id: string) => Promise<void>;

/** How an upload comes to nothing. Each begins with some bytes of it sent. */
const endings: readonly (readonly [string, Ending])[] = [
  [
    'with a wrong digest',
    async (client, id) => {
      const params = { ...finishParams(id, content), sha256: '0'.repeat(64) };
      expect((await client.refused('stream/finish', params)).code).toBe(-32600);
    },
  ],
  [
    'with a wrong number of bytes',
    async (client, id) => {
      const params = { ...finishParams(id, content), bytes: content.length - 1 };
      expect((await client.refused('stream/finish', params)).code).toBe(-32600);
    },
  ],
  [
    'before everything was sent',
    async (client, id) => {
      const whole = Buffer.concat([content, content]);
      expect((await client.refused('stream/finish', finishParams(id, whole))).code).toBe(-32600);
    },
  ],
  [
    'by being cancelled',
    async (client, id) => {
      expect(await client.call('stream/cancel', { streamId: id })).toEqual({});
      expect((await client.refused('stream/finish', finishParams(id, content))).code).toBe(-32004);
    },
  ],
  [
    'with a write at a wrong offset',
    async (client, id) => {
      const wrong = { streamId: id, offset: content.length + 1, chunk: 'eA==' };
      expect((await client.refused('stream/write', wrong)).code).toBe(-32600);
      // It stays broken, whatever follows.
      const right = { ...wrong, offset: content.length };
      expect((await client.refused('stream/write', right)).code).toBe(-32600);
      expect((await client.refused('stream/finish', finishParams(id, content))).code).toBe(-32600);
    },
  ],
  [
    'with a write that comes twice',
    async (client, id) => {
      expect((await client.refused('stream/write', { streamId: id, offset: 0, chunk: 'eA==' })).code).toBe(
        -32600,
      );
      expect((await client.refused('stream/finish', finishParams(id, content))).code).toBe(-32600);
    },
  ],
  [
    'with a chunk that is too large',
    async (client, id) => {
      const chunk = Buffer.alloc(MiB + 1).toString('base64');
      const error = await client.refused('stream/write', { streamId: id, offset: content.length, chunk });
      expect(error.code).toBe(-32600);
      expect((await client.refused('stream/finish', finishParams(id, content))).code).toBe(-32600);
    },
  ],
];

const endingCases = endings.flatMap(([how, ending], index): Case[] =>
  both.map(([kind, atomic]) => ({
    id: `UL-8.${index + 1}.${kind}`,
    title: `an upload ${kind} that ends ${how} ${atomic ? 'changes nothing' : 'is told to have failed'}, and its id is free`,
    covers: ['fs/upload', 'stream/write'],
    run: async (context) => {
      const client = await context.open();
      const folder = await context.folder();
      const full = path.join(folder, 'file');
      await writeFile(full, 'old', { mode: 0o640 });
      const before = await stat(full);
      const missing = path.join(folder, 'missing');
      for (const wanted of [full, missing]) {
        const id = await open(client, { path: wanted, atomic, mode: 0o600, modifiedAtMs: 5 });
        for (const answer of await Promise.all(writeAhead(client, id, content)))
          expect(answer.error).toBeUndefined();
        await ending(client, id);
        await client.call('fs/upload', { path: path.join(folder, 'other'), streamId: id });
        await client.call('stream/cancel', { streamId: id });
      }
      await nothingOpen(await pidOf(client), folder);
      if (!atomic) return;
      expect(await readFile(full, 'utf8')).toBe('old');
      const { mode, mtimeMs, ino } = await stat(full);
      expect({ mode, mtimeMs, ino }).toEqual({ mode: before.mode, mtimeMs: before.mtimeMs, ino: before.ino });
      expect((await readdir(folder)).sort()).toEqual(['file', 'other']);
    },
  })),
);

export const uploads: Topic = {
  name: 'upload of a file',
  cases: [
    ...bothCases,
    ...endingCases,
    {
      id: 'UL-9',
      title: 'an atomic upload is not seen before its end, and replaces the file then',
      covers: ['fs/upload', 'stream/write', 'stream/finish'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const full = path.join(folder, 'file');
        await writeFile(full, 'old');
        const { ino } = await stat(full);
        const id = await open(client, { path: full, atomic: true });
        await Promise.all(writeAhead(client, id, content));
        expect(await readFile(full, 'utf8')).toBe('old');
        await client.call('stream/finish', finishParams(id, content));
        expect((await readFile(full)).equals(content)).toBe(true);
        expect((await stat(full)).ino).not.toBe(ino);
      },
    },
    {
      id: 'UL-10',
      title: 'an upload in place keeps the file, and a write is in it when it is answered',
      covers: ['fs/upload', 'stream/write'],
      run: async (context) => {
        const client = await context.open();
        const full = path.join(await context.folder(), 'file');
        await writeFile(full, 'much older content');
        const { ino } = await stat(full);
        const id = await open(client, { path: full });
        expect((await stat(full)).size).toBe(0);
        await client.call('stream/write', { streamId: id, offset: 0, chunk: 'bmV3' });
        expect(await readFile(full, 'utf8')).toBe('new');
        await client.call('stream/finish', finishParams(id, Buffer.from('new')));
        expect((await lstat(full)).ino).toBe(ino);
      },
    },
    {
      id: 'UL-11',
      title: 'a lost connection leaves no half of an atomic upload and no temporary file',
      covers: ['fs/upload', 'stream/write'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const pid = await pidOf(client);
        await writeFile(path.join(folder, 'file'), 'old');
        for (const name of ['file', 'missing']) {
          const id = await open(client, { path: path.join(folder, name), atomic: true });
          await Promise.all(writeAhead(client, id, content));
        }
        expect((await readdir(folder)).length).toBe(3);
        await client[Symbol.asyncDispose]();
        // Over stdio the executor ends with its connection.
        if (context.target.sharesSessions) await nothingOpen(pid, folder);
        await eventually('a folder without temporary files', async () =>
          (await readdir(folder)).length === 1 ? true : undefined,
        );
        expect(await readFile(path.join(folder, 'file'), 'utf8')).toBe('old');
      },
    },
    {
      id: 'UL-12',
      title: 'an upload is refused where a sandbox is asked for that cannot be',
      covers: ['fs/upload'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const params = { streamId: 's', path: path.join(folder, 'file'), sandbox: unenforceable };
        expect((await client.refused('fs/upload', params)).code).toBe(-32600);
        expect(await readdir(folder)).toEqual([]);
        await upload(
          client,
          { path: path.join(folder, 'file'), sandbox: { permissions: { type: 'disabled' } } },
          content,
        );
      },
    },
  ],
};
