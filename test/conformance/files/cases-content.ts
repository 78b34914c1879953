import { readFile, readdir, stat } from 'node:fs/promises';
import { expect } from 'vitest';

import { base64 } from '../../support/conformance-wire.ts';
import { startPrefixed } from '../../support/files-session.ts';
import { modifiedAtMs } from '../../support/files-tree.ts';
import { errnoOf } from './row.ts';
import { type FileCase, openFilesOf } from './case.ts';

/** 128 blocks of 512 bytes: no file may become longer than 64 KiB. */
const limitFiles = ['/bin/sh', '-c', 'ulimit -f 128; exec "$@"', 'limited'];

export const contentCases: readonly FileCase[] = [
  {
    id: 'content-proc',
    title: 'Files of /proc, whose size is 0, are read to their end, whole and in ranges',
    run: async (context) => {
      const { client } = context;
      const read = async (range: object): Promise<string> => {
        const { dataBase64 } = await client.call('fs/readFile', { path: '/proc/version', ...range });
        return Buffer.from(dataBase64).toString();
      };
      const whole = await readFile('/proc/version', 'utf8');
      expect(await read({})).toBe(whole);
      expect(await read({ offset: 6 })).toBe(whole.slice(6));
      expect(await read({ offset: 6, length: 7 })).toBe(whole.slice(6, 13));
      const { dataBase64 } = await client.call('fs/readFile', { path: 'file:///proc/self/status' });
      expect(Buffer.from(dataBase64).toString()).toMatch(/^Name:[^]*ctxt_switches:\s+\d+\n$/);
    },
  },
  {
    id: 'content-bytes',
    title: 'Any bytes are written and read as they are',
    run: async (context) => {
      const tree = await context.fill();
      const bytes = Buffer.alloc(3 * 1024 * 1024 + 1);
      for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 7 + (index >> 10)) & 0xff;
      for (const atomic of [false, true]) {
        const path = context.uri(`bytes-${atomic}`);
        await context.client.call('fs/writeFile', { path, dataBase64: base64(bytes), atomic });
        expect((await readFile(tree.path(`bytes-${atomic}`))).equals(bytes)).toBe(true);
        const { dataBase64 } = await context.client.call('fs/readFile', { path });
        expect(Buffer.from(dataBase64).equals(bytes)).toBe(true);
      }
    },
  },
  {
    id: 'content-atomic-reader',
    title: 'A reader of a file that is replaced atomically sees the old content or the new, never a part',
    run: async (context) => {
      const tree = await context.fill();
      const { client } = context;
      const contents = ['a', 'b'].map((letter) => letter.repeat(300_000));
      await tree.file('swapped', contents[0] ?? '');
      const state = { writing: true };
      const write = async (): Promise<void> => {
        for (let round = 1; round <= 40; round++) {
          const dataBase64 = base64(contents[round % 2] ?? '');
          await client.call('fs/writeFile', { path: context.uri('swapped'), dataBase64, atomic: true });
        }
        state.writing = false;
      };
      const seen = new Set<string>();
      const readHere = async (): Promise<void> => {
        while (state.writing) seen.add(await readFile(tree.path('swapped'), 'latin1'));
      };
      const readThere = async (): Promise<void> => {
        while (state.writing) {
          const { dataBase64 } = await client.call('fs/readFile', { path: context.uri('swapped') });
          seen.add(Buffer.from(dataBase64).toString('latin1'));
        }
      };
      await Promise.all([write(), readHere(), readThere()]);
      expect(
        [...seen].filter((content) => !contents.includes(content)).map((content) => content.length),
      ).toEqual([]);
      expect((await readdir(tree.root)).filter((name) => name.startsWith('.'))).toEqual([]);
    },
  },
  {
    id: 'content-atomic-full',
    title: 'An atomic write that fails in the middle leaves the old content, and no other file',
    over: 'own',
    run: async (context) => {
      const tree = await context.fill();
      const over = context.target.name === 'stdio' ? 'stdio' : 'websocket';
      const executor = await startPrefixed(over, limitFiles, context.target.mark);
      context.defer(async () => executor[Symbol.asyncDispose]());
      const before = await tree.snapshot();
      const dataBase64 = base64('x'.repeat(200_000));
      for (const name of ['file', 'to-file', 'new']) {
        const error = await executor.client.refused('fs/writeFile', {
          path: context.uri(name),
          dataBase64,
          atomic: true,
        });
        expect({ code: error.code, errno: errnoOf(error.message) }).toEqual({ code: -32603, errno: 27 });
      }
      expect(await tree.snapshot()).toEqual(before);
      expect(await openFilesOf(executor.client, tree.root)).toBe(0);
    },
  },
  {
    id: 'content-atomic-inode',
    title: 'An atomic write makes a new file, another one writes into the file that is there',
    run: async (context) => {
      const tree = await context.fill();
      const path = context.uri('file');
      const first = await stat(tree.path('file'));
      await context.client.call('fs/writeFile', { path, dataBase64: base64('x') });
      expect((await stat(tree.path('file'))).ino).toBe(first.ino);
      await context.client.call('fs/writeFile', { path, dataBase64: base64('x'), atomic: true });
      expect((await stat(tree.path('file'))).ino).not.toBe(first.ino);
    },
  },
  {
    id: 'content-times',
    title: 'fs/setMetadata sets times to the millisecond, and only those that are given',
    run: async (context) => {
      const tree = await context.fill();
      const { client } = context;
      const path = context.uri('to-file');
      const wrong: unknown[] = [];
      for (const time of [
        0, 1, 999, 1_700_000_000_001, 1_700_000_000_123, 1_700_000_000_999, 4_102_444_800_007,
      ]) {
        await client.call('fs/setMetadata', { path, modifiedAtMs: time });
        const told = await client.call('fs/getMetadata', { path, details: true });
        if (told.modifiedAtMs !== time) wrong.push({ asked: time, told: told.modifiedAtMs });
        if (told.accessedAtMs !== modifiedAtMs) wrong.push({ asked: time, accessed: told.accessedAtMs });
        const { mtimeNs } = await stat(tree.path('file'), { bigint: true });
        if (mtimeNs / 1_000_000n !== BigInt(time)) wrong.push({ asked: time, mtimeNs });
      }
      expect(wrong).toEqual([]);
      await client.call('fs/setMetadata', { path, accessedAtMs: 86_400_000 });
      expect(await client.call('fs/getMetadata', { path, details: true })).toMatchObject({
        accessedAtMs: 86_400_000,
        modifiedAtMs: 4_102_444_800_007,
      });
    },
  },
  {
    id: 'content-times-link',
    title: 'fs/setMetadata without following sets the times of a link and not of its target',
    run: async (context) => {
      await context.fill();
      const { client } = context;
      const itself = { path: context.uri('to-file'), followSymlinks: false };
      await client.call('fs/setMetadata', { ...itself, modifiedAtMs: 86_400_000, accessedAtMs: 172_800_000 });
      const link = await client.call('fs/getMetadata', { ...itself, details: true });
      expect(link).toMatchObject({ isSymlink: true, modifiedAtMs: 86_400_000, linkTarget: 'file' });
      expect(await client.call('fs/getMetadata', { path: context.uri('file') })).toMatchObject({
        modifiedAtMs,
      });
    },
  },
  {
    id: 'content-details',
    title: 'fs/getMetadata tells details of the target, and of a link itself where it does not follow',
    run: async (context) => {
      const tree = await context.fill();
      await tree.hardLink('file', 'hard');
      await tree.link('bytes', Buffer.from('a\xff', 'latin1'));
      const { client } = context;
      const found = await stat(tree.path('file'), { bigint: true });
      expect(
        await client.call('fs/getMetadata', { path: context.uri('to-file'), details: true }),
      ).toMatchObject({
        isFile: true,
        isSymlink: true,
        size: 6,
        mode: 0o640,
        uid: Number(found.uid),
        gid: Number(found.gid),
        inode: String(found.ino),
        links: 2,
        linkTarget: 'file',
      });
      const link = { path: context.uri('bytes'), details: true, followSymlinks: false };
      const { error, result } = await client.request('fs/getMetadata', link);
      expect(error).toBeUndefined();
      expect(result).toMatchObject({
        isSymlink: true,
        links: 1,
        linkTarget: 'a\ufffd',
        linkTargetBase64: base64(Buffer.from('a\xff', 'latin1')),
      });
      const plain = await client.request('fs/getMetadata', { path: context.uri('file') });
      expect(plain.result).not.toHaveProperty('mode');
    },
  },
];
