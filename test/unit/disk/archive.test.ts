import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { packTree } from '../../../src/disk/pack.ts';
import { TreeUnpacker } from '../../../src/disk/unpack.ts';
import { tarArchive, tarEntry } from '../../support/transfer-tar.ts';
import { differences, makeTree, snapshotOf, variedEntries } from '../../support/transfer-trees.ts';
import { openFilesIn, temporaryFolder } from '../../support/unit-folder.ts';
import { expectSoon, turn } from '../../support/unit-wait.ts';

const b = (text: string): Buffer => Buffer.from(text);

async function unpack(root: string, parts: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<number> {
  const unpacker = await TreeUnpacker.open(b(root));
  try {
    for await (const part of parts) await expectSoon('a write', unpacker.write(part));
    await expectSoon('the end', unpacker.finish());
    return unpacker.entries;
  } finally {
    await expectSoon('the giving up', unpacker.dispose());
  }
}

function* bytewise(archive: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < archive.length; at += length) yield archive.subarray(at, at + length);
}

describe('a tree', () => {
  test('is packed and unpacked the same', async () => {
    await using temporary = await temporaryFolder();
    const [from, to] = [join(temporary.path, 'from'), join(temporary.path, 'to')];
    makeTree(from, variedEntries);
    mkdirSync(to);
    const { stream, facts } = packTree(b(from));
    const before = snapshotOf(from);
    expect(await unpack(to, stream)).toBe(before.size);
    expect(facts).toEqual({ entries: before.size, skipped: 0, skippedUris: [] });
    expect(differences(before, snapshotOf(to))).toEqual([]);
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test.each([1, 7, 511, 512, 513, 100_000])('is unpacked from pieces of %i bytes', async (length) => {
    await using temporary = await temporaryFolder();
    const archive = tarArchive(
      tarEntry({ name: 'a/b' }, 'x'.repeat(700)),
      tarEntry({ name: 'a/', type: '5' }),
      tarEntry({ name: 'l', type: '2', linkname: 'a' }),
    );
    expect(await unpack(temporary.path, bytewise(archive, length))).toBe(3);
    expect(await readFile(join(temporary.path, 'a', 'b'), 'utf8')).toBe('x'.repeat(700));
  });
});

describe('the packing of a tree', () => {
  /** Resolves when the packing goes no further by itself: its calls of the system take turns with ours. */
  async function atRest(facts: { readonly entries: number }): Promise<void> {
    let last = -1;
    while (facts.entries !== last) {
      last = facts.entries;
      for (let round = 0; round < 20; round++) await lstat('/');
    }
  }

  test('waits for its reader, also where no entry has a content', async () => {
    await using temporary = await temporaryFolder();
    const root = join(temporary.path, 'root');
    mkdirSync(root);
    for (let index = 0; index < 20_000; index++) symlinkSync('x', join(root, `${index}`));
    const { stream, facts } = packTree(b(root));
    let parts = 0;
    for await (const _ of stream) {
      parts += 1;
      await atRest(facts);
      // Four parts are an entry.
      if (parts === 40) break;
    }
    expect(facts.entries, 'entries that were packed while 10 were read').toBeLessThan(1000);
  });

  test('closes what it has open when its reader goes away', async () => {
    await using temporary = await temporaryFolder();
    const root = join(temporary.path, 'root');
    mkdirSync(root);
    writeFileSync(join(root, 'large'), Buffer.alloc(4 << 20));
    const { stream } = packTree(b(root));
    for await (const _ of stream) break;
    for (let round = 0; round < 100 && openFilesIn(temporary.path) > 0; round++) await turn();
    expect(openFilesIn(temporary.path)).toBe(0);
  });

  test('fails where the directory is not there', async () => {
    const { stream } = packTree(b('/no/such/directory'));
    const read = (async () => {
      for await (const _ of stream);
    })();
    await expect(expectSoon('the failure', read)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('leaves out what tar cannot carry, and names the first of them', async () => {
    await using temporary = await temporaryFolder();
    const root = join(temporary.path, 'root');
    mkdirSync(root);
    for (let index = 0; index < 120; index++)
      writeFileSync(Buffer.concat([b(`${root}/${index}-`), Buffer.from([0xff])]), '');
    execFileSync('mkfifo', [join(root, 'fifo')]);
    const { stream, facts } = packTree(b(root));
    for await (const _ of stream);
    expect(facts).toMatchObject({ entries: 0, skipped: 121 });
    expect(facts.skippedUris).toHaveLength(100);
  });
});

describe('the unpacking of an archive', () => {
  const file = tarEntry({ name: 'a/file' }, 'x'.repeat(100_000));
  const small = tarEntry({ name: 'a/small' }, 'x');

  test.each([
    ['before anything came', []],
    ['right behind an entry', [small]],
    ['right behind several entries', [small, file, small]],
    ['in the midst of a content', [small, file.subarray(0, 5000)]],
    ['in the midst of a header', [small, file.subarray(0, 100)]],
    ['behind the end of the archive', [tarArchive(small)]],
  ])('can be given up %s, at once and later, and leaves nothing open', async (_what, parts) => {
    await using temporary = await temporaryFolder();
    for (const later of [false, true]) {
      const unpacker = await TreeUnpacker.open(b(temporary.path));
      for (const part of parts) await expectSoon('a write', unpacker.write(part));
      if (later) await turn();
      await expectSoon('the giving up', unpacker.dispose());
      expect(openFilesIn(temporary.path)).toBe(0);
    }
  });

  test('can be given up twice, and behind its end', async () => {
    await using temporary = await temporaryFolder();
    const unpacker = await TreeUnpacker.open(b(temporary.path));
    await unpacker.write(tarArchive(small));
    await unpacker.finish();
    await unpacker.dispose();
    await unpacker.dispose();
    expect(await readFile(join(temporary.path, 'a', 'small'), 'utf8')).toBe('x');
  });

  test('fails every write behind a refusal with the same words', async () => {
    await using temporary = await temporaryFolder();
    const unpacker = await TreeUnpacker.open(b(temporary.path));
    await unpacker.write(tarArchive(tarEntry({ name: '../x' }, 'x'))).catch(() => {});
    const refusal = { message: expect.stringMatching(/"\.\.\/x"/u) as string };
    await expect(expectSoon('the end', unpacker.finish())).rejects.toMatchObject(refusal);
    await expect(unpacker.write(small)).rejects.toMatchObject(refusal);
    await unpacker.dispose();
  });
});
