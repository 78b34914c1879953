import { readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';

import type { Event } from '../../../src/protocol/methods.ts';
import { type WireClient, base64 } from '../../support/conformance-wire.ts';
import type { SandboxTree } from '../../support/sandbox-files-tree.ts';
import { endOfTar, tarEntry } from '../../support/transfer-tar.ts';
import { fill, finishParams, numbered, openStream, sha256, streamId } from '../../support/transfer-view.ts';

/** Every method does inside of the workspace what it does without a sandbox. */
export function inside(clientOf: () => WireClient, treeOf: () => SandboxTree): void {
  describe('does in the workspace what was asked:', () => {
    const at = (name: string) => ({ path: treeOf().in(name), sandbox: treeOf().workspaceWrite });
    const text = async (name: string): Promise<string> => readFile(treeOf().in(name), 'utf8');

    test('contents are written, read, cut, and replaced', async () => {
      const client = clientOf();
      await client.call('fs/writeFile', { ...at('n.txt'), dataBase64: base64('one two') });
      expect(await text('n.txt')).toBe('one two');
      const { dataBase64 } = await client.call('fs/readFile', { ...at('n.txt'), offset: 4 });
      expect(Buffer.from(dataBase64).toString()).toBe('two');
      await client.call('fs/writeFile', { ...at('n.txt'), dataBase64: base64('replaced'), atomic: true });
      await client.call('fs/truncate', { ...at('n.txt'), size: 7 });
      expect(await text('n.txt')).toBe('replace');
      await client.call('fs/writeFile', { ...at('new/er/n.txt'), dataBase64: '', createParents: true });
      expect(await text('new/er/n.txt')).toBe('');
    });

    test('large contents pass in one piece', async () => {
      const client = clientOf();
      const bytes = numbered(9 * 1024 * 1024);
      await client.call('fs/writeFile', { ...at('large'), dataBase64: base64(bytes) });
      const { dataBase64 } = await client.call('fs/readFile', at('large'));
      expect(sha256(dataBase64)).toBe(sha256(bytes));
      await client.call('fs/remove', at('large'));
    });

    test('names are made, moved, linked, described and removed', async () => {
      const client = clientOf();
      const { sandbox } = at('');
      await client.call('fs/createDirectory', at('d/e'));
      await client.call('fs/writeFile', { ...at('d/e/f'), dataBase64: base64('f') });
      await client.call('fs/rename', {
        sourcePath: treeOf().in('d/e/f'),
        destinationPath: treeOf().in('d/g'),
        sandbox,
      });
      await client.call('fs/copy', {
        sourcePath: treeOf().in('d'),
        destinationPath: treeOf().in('d2'),
        recursive: true,
        sandbox,
      });
      expect(await text('d2/g')).toBe('f');
      await client.call('fs/createSymlink', { ...at('d/link'), target: 'g' });
      expect(await readlink(treeOf().in('d/link'))).toBe('g');
      expect(await client.call('fs/readLink', at('d/link'))).toEqual({ target: 'g' });
      expect(await client.call('fs/canonicalize', at('d/link'))).toEqual({ path: treeOf().in('d/g') });
      await client.call('fs/setMetadata', { ...at('d/g'), mode: 0o640, modifiedAtMs: 5000 });
      expect(await client.call('fs/getMetadata', { ...at('d/g'), details: true })).toMatchObject({
        mode: 0o640,
        modifiedAtMs: 5000,
      });
      const { entries } = await client.call('fs/readDirectory', at('d'));
      expect(entries.map(({ fileName }) => fileName).sort()).toEqual(['e', 'g', 'link']);
      const options = { maxDepth: 3, maxDirectories: 9, maxEntries: 99, followDirectorySymlinks: false };
      const walked = await client.call('fs/walk', { ...at('d'), options });
      expect(walked.entries.map((entry) => entry.path)).toEqual([treeOf().in('d/e'), treeOf().in('d/g')]);
      await client.call('fs/remove', at('d'));
      await expect(stat(treeOf().in('d'))).rejects.toThrow('ENOENT');
    });

    test('what is outside can be read, and not written', async () => {
      const { sandbox } = at('');
      const { dataBase64 } = await clientOf().call('fs/readFile', { path: treeOf().out('o.txt'), sandbox });
      expect(Buffer.from(dataBase64).toString()).toBe('outside\n');
    });

    test('open files stay with what they are, and their ids are unique with and without a sandbox', async () => {
      const client = clientOf();
      await client.call('fs/open', { ...at('f.txt'), handleId: 'h' });
      const taken = await client.refused('fs/open', { path: treeOf().in('f.txt'), handleId: 'h' });
      expect(taken).toMatchObject({ code: -32600, message: 'file handle `h` already exists' });
      const block = await client.call('fs/readBlock', { handleId: 'h', offset: 2, len: 3 });
      expect(Buffer.from(block.chunk).toString()).toBe('sid');
      await client.call('fs/close', { handleId: 'h' });
      expect((await client.refused('fs/readBlock', { handleId: 'h', offset: 0, len: 1 })).code).toBe(-32004);

      await client.call('fs/open', { path: treeOf().in('f.txt'), handleId: 'h' });
      expect((await client.refused('fs/open', { ...at('f.txt'), handleId: 'h' })).message).toContain(
        'already exists',
      );
      await client.call('fs/close', { handleId: 'h' });

      await client.call('fs/open', { ...at('blocks'), handleId: 'h', mode: 'replace' });
      await client.call('fs/writeBlock', { handleId: 'h', offset: 1, chunk: base64('b') });
      await client.call('fs/writeBlock', { handleId: 'h', offset: 0, chunk: base64('a') });
      await client.call('fs/close', { handleId: 'h' });
      expect(await text('blocks')).toBe('ab');
    });

    test('a handle keeps to its sandbox whatever becomes of its path', async () => {
      const client = clientOf();
      await client.call('fs/open', { ...at('f.txt'), handleId: 'kept' });
      await writeFile(treeOf().in('kept-from'), 'x');
      const escape = {
        handleId: 'escape',
        path: treeOf().in('lo'),
        mode: 'replace',
        sandbox: treeOf().workspaceWrite,
      };
      expect((await client.refused('fs/open', escape)).message).toContain('(os error 30)');
      await client.call('fs/close', { handleId: 'kept' });
    });

    test('files go up and down as streams', async () => {
      const client = clientOf();
      const bytes = numbered(3 * 1024 * 1024 + 1);
      for (const atomic of [false, true]) {
        const id = streamId();
        await client.call('fs/upload', { ...at('up'), streamId: id, atomic });
        expect(
          (await client.refused('fs/upload', { path: treeOf().in('other'), streamId: id })).message,
        ).toBe('A stream with this id is open.');
        const half = bytes.length >> 1;
        for (let offset = 0; offset < bytes.length;) {
          const chunk = bytes.subarray(
            offset,
            Math.min(offset + 1024 * 1024, offset < half ? half : bytes.length),
          );
          await client.call('stream/write', { streamId: id, offset, chunk: base64(chunk) });
          offset += chunk.length;
        }
        await client.call('stream/finish', finishParams(id, bytes));
        expect((await client.refused('stream/write', { streamId: id, offset: 0, chunk: '' })).code).toBe(
          -32004,
        );
      }
      const down = await openStream(client, 'fs/download', { ...at('up'), creditBytes: 64 * 1024 });
      await client.call('stream/credit', { streamId: down.id, bytes: 16 * 1024 * 1024 });
      await client.waitFor('the end of the stream', () => down.look().end);
      expect(sha256(down.bytes)).toBe(sha256(bytes));
    });

    test('a stream that is given up leaves nothing behind', async () => {
      const client = clientOf();
      const id = streamId();
      await client.call('fs/upload', { ...at('given-up'), streamId: id, atomic: true });
      await client.call('stream/write', { streamId: id, offset: 0, chunk: base64('half') });
      const before = await treeOf().snapshot();
      expect(Object.keys(before).some((name) => name.startsWith('w/.') && name.length > 20)).toBe(true);
      await client.call('stream/cancel', { streamId: id });
      expect(
        Object.keys(await treeOf().snapshot()).filter((name) => name.startsWith('w/.') && name.length > 20),
      ).toEqual([]);
    });

    test('trees go up and down as archives', async () => {
      const client = clientOf();
      const archive = Buffer.concat([tarEntry({ name: 'x/y.txt' }, 'unpacked'), endOfTar]);
      const id = streamId();
      await client.call('fs/extract', { ...at('tree'), streamId: id });
      await fill(client, id, archive);
      expect(await text('tree/x/y.txt')).toBe('unpacked');
      const down = await openStream(client, 'fs/archive', at(''));
      const end = await client.waitFor('the end of the archive', () => down.look().end);
      expect(sha256(down.bytes)).toBe(end.sha256);
      const packed = down.bytes.toString('latin1');
      expect(packed).toContain('y.txt');
      expect(packed).toContain('.git/');
      for (const name of ['.agents', '.codex', '.aws']) expect(packed).not.toContain(name);
    });

    test('manifests and archives of some entries show what the sandbox shows', async () => {
      const client = clientOf();
      const all = await openStream(client, 'fs/manifest', at(''));
      await all.drain();
      const lines = all.bytes.toString();
      expect(lines).toContain('"path":"src/a.c"');
      for (const name of ['.agents', '.codex', '.aws']) expect(lines).not.toContain(`"${name}"`);
      const entries = ['src/a.c', '.agents', '.codex'];
      const some = await openStream(client, 'fs/manifest', { ...at(''), entries });
      await some.drain();
      expect(some.bytes.toString().trim().split('\n')).toHaveLength(1);
      const down = await openStream(client, 'fs/archive', { ...at(''), entries });
      expect(await down.drain()).toMatchObject({ entries: 1, skipped: 2 });
    });

    test('searches find what is there', async () => {
      const client = clientOf();
      const { paths } = await client.call('fs/glob', { ...at(''), patterns: ['src/**/*.c'] });
      expect(paths).toEqual([treeOf().in('src/a.c'), treeOf().in('src/deep/d.c')]);
      const grep = { ...at('src'), pattern: 'int [ad]' };
      expect((await client.call('fs/grep', grep)).matches).toHaveLength(2);
      const streamed = await client.call('fs/grep', { ...grep, searchId: 'search' });
      expect(streamed).toMatchObject({ total: 2, files: 2 });
      const told = client.texts.filter((message) => message.startsWith('{"method":"fs/matches"'));
      expect(told.join('')).toContain('d.c');
      expect((await client.request('fs/grep', { ...grep, pattern: '(' })).error?.code).toBe(-32602);
      await client.call('fs/cancelSearch', { searchId: 'search' });
    });

    test('watches tell of changes, whoever makes them', async () => {
      const client = clientOf();
      await client.call('fs/watch', { ...at('pub'), watchId: 'pub' });
      expect(
        (await client.refused('fs/watch', { path: treeOf().in('src'), watchId: 'pub' })).message,
      ).toContain('already exists');
      await writeFile(treeOf().in('pub/from-outside'), '');
      await client.call('fs/writeFile', { ...at('pub/from-inside'), dataBase64: '' });
      const told = (name: string) => (): true | undefined =>
        client.texts.some((message) => {
          const { method, params } = JSON.parse(message) as { method?: string; params: Event<'fs/changed'> };
          return (
            method === 'fs/changed' &&
            params.changes.some((change) => change.path === treeOf().in(`pub/${name}`))
          );
        }) || undefined;
      await client.waitFor('both changes', () => told('from-outside')() && told('from-inside')());
      await client.call('fs/unwatch', { watchId: 'pub' });
    });

    test('a missing path is waited for, also one whose place is held', async () => {
      const client = clientOf();
      const missing = { watchId: 1_000, missing: [treeOf().in('to-come'), treeOf().in('.codex')] };
      const { sandbox } = at('');
      expect(await client.call('fs/watchMissing', { ...missing, sandbox })).toEqual({ watching: true });
      const later = { watchId: 1_001, missing: [treeOf().in('to-come')] };
      expect(await client.call('fs/watchMissing', { ...later, sandbox })).toEqual({ watching: true });
      await writeFile(treeOf().in('to-come'), '');
      const told = (): true | undefined =>
        client.texts.some((message) => message.includes('"fs/missingChanged"') && message.includes('1001')) ||
        undefined;
      await client.waitFor('fs/missingChanged', told);
      expect(
        client.texts.some((message) => message.includes('"fs/missingChanged"') && message.includes('1000')),
      ).toBe(false);
    });
  });
}
