import { execFile, execFileSync } from 'node:child_process';
import { chmod, lstat, mkdir, readFile, readdir, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'vitest';

import type { WireError } from '../../../src/protocol/errors.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { base256, gnuLong, paxEntry, tarArchive, tarEntry } from '../../support/transfer-tar.ts';
import { differences, makeTree, snapshotOf, variedEntries } from '../../support/transfer-trees.ts';
import {
  fill,
  finishParams,
  nothingOpen,
  numbered,
  oneChunk,
  pidOf,
  streamId,
  writeAhead,
} from '../../support/transfer-view.ts';
import type { Case, Topic } from '../case.ts';
import { unenforceable } from '../../support/sandbox-profiles.ts';

const run = promisify(execFile);

async function extract(client: WireClient, root: string, archive: Buffer): Promise<number | undefined> {
  const id = streamId();
  await client.call('fs/extract', { streamId: id, path: root });
  return (await fill(client, id, archive)).entries;
}

/** The error of an archive that is refused, whenever that is noticed. Every request of its stream is answered. */
async function refusedArchive(client: WireClient, root: string, archive: Buffer): Promise<WireError> {
  const id = streamId();
  await client.call('fs/extract', { streamId: id, path: root });
  const writes = writeAhead(client, id, archive, { chunkBytes: 4096 });
  const error = await client.refused('stream/finish', finishParams(id, archive));
  for (const { error: ofWrite } of await Promise.all(writes))
    if (ofWrite !== undefined) expect(ofWrite).toEqual(error);
  return error;
}

const first = tarEntry({ name: 'first' }, 'before it');
const last = tarEntry({ name: 'last' }, 'behind it');

/** Entries that would leave the directory, or are nothing to unpack. Each is between two that are right. */
const hostile: readonly (readonly [string, readonly Buffer[]])[] = [
  ['an absolute name', [tarEntry({ name: '/tmp/exec-transfer-absolute' }, 'x')]],
  [
    'an absolute name in a pax header',
    [paxEntry({ path: '/tmp/exec-transfer-pax' }), tarEntry({ name: 'x' }, 'x')],
  ],
  ['an absolute name of GNU', [gnuLong('L', '/tmp/exec-transfer-gnu'), tarEntry({ name: 'x' }, 'x')]],
  ['.. at the beginning', [tarEntry({ name: '../outside/new' }, 'x')]],
  ['.. in the middle', [tarEntry({ name: 'a/../../outside/new' }, 'x')]],
  ['.. in the middle that stays inside', [tarEntry({ name: 'a/../new' }, 'x')]],
  ['.. in a prefix', [tarEntry({ name: 'new', prefix: '../outside' }, 'x')]],
  ['.. as a directory', [tarEntry({ name: '../outside/', type: '5', mode: 0 })]],
  ['a link to an absolute path', [tarEntry({ name: 'l', type: '2', linkname: '/etc' })]],
  ['a link that leads out', [tarEntry({ name: 'l', type: '2', linkname: '../outside' })]],
  [
    'a link that leads out from a directory',
    [tarEntry({ name: 'a/l', type: '2', linkname: '../../outside' })],
  ],
  ['a link that leads out behind a name', [tarEntry({ name: 'a/l', type: '2', linkname: 'b/../../..' })]],
  ['a link to nothing', [tarEntry({ name: 'l', type: '2' })]],
  [
    'a long link that leads out',
    [paxEntry({ linkpath: `../${'x/'.repeat(100)}` }), tarEntry({ name: 'l', type: '2', linkname: 'x' })],
  ],
  ['a file through a link that is there', [tarEntry({ name: 'out/new' }, 'x')]],
  ['a directory through a link that is there', [tarEntry({ name: 'out/new/', type: '5' })]],
  ['a directory in place of a link', [tarEntry({ name: 'out/', type: '5', mode: 0 })]],
  [
    'a file through a link that came before',
    [
      tarEntry({ name: 'a/', type: '5' }),
      tarEntry({ name: 'l', type: '2', linkname: 'a' }),
      tarEntry({ name: 'l/new' }, 'x'),
    ],
  ],
  ['a hard link to what is outside', [tarEntry({ name: 'h', type: '1', linkname: '../outside/file' })]],
  ['a hard link to an absolute path', [tarEntry({ name: 'h', type: '1', linkname: '/etc/passwd' })]],
  ['a hard link through a link', [tarEntry({ name: 'h', type: '1', linkname: 'out/file' })]],
  ['a hard link to nothing', [tarEntry({ name: 'h', type: '1', linkname: 'nowhere' })]],
  ['a hard link to a directory', [tarEntry({ name: 'h', type: '1', linkname: 'there' })]],
  [
    'a hard link to a link, which would lead out from there',
    [
      tarEntry({ name: 'a/b/l', type: '2', linkname: '../../first' }),
      tarEntry({ name: 'h', type: '1', linkname: 'a/b/l' }),
    ],
  ],
  ['a character device', [tarEntry({ name: 'd', type: '3' })]],
  ['a block device', [tarEntry({ name: 'd', type: '4' })]],
  ['a FIFO', [tarEntry({ name: 'd', type: '6' })]],
  ['a type that nobody knows', [tarEntry({ name: 'd', type: 'Z' })]],
  ['a file in place of a directory', [tarEntry({ name: 'there' }, 'x')]],
  ['a directory in place of a file', [tarEntry({ name: 'first/', type: '5' })]],
  ['a NUL in a name', [paxEntry({ path: 'a\0b' }), tarEntry({ name: 'x' }, 'x')]],
  ['a name of more than 4096 bytes', [paxEntry({ path: 'x/'.repeat(2500) }), tarEntry({ name: 'x' }, 'x')]],
  [
    'a part of a name of more than 255 bytes',
    [paxEntry({ path: 'x'.repeat(256) }), tarEntry({ name: 'x' }, 'x')],
  ],
  ['a file without a name', [tarEntry({ name: './', type: '2', linkname: 'first' })]],
];

const hostileCases = hostile.map(([what, entries], index): Case => ({
  id: `EX-2.${index + 1}`,
  title: `an archive with ${what} is refused there: what came before it stays, and nothing is touched outside`,
  covers: ['fs/extract', 'stream/write', 'stream/finish'],
  run: async (context) => {
    const client = await context.open();
    const folder = await context.folder();
    const root = path.join(folder, 'root');
    makeTree(path.join(folder, 'outside'), [
      { name: 'file', mode: 0o640, timeMs: 1_700_000_000_000, content: 'outside' },
      { name: 'dir/', mode: 0o750, timeMs: 1_700_000_000_001 },
    ]);
    await mkdir(path.join(root, 'there'), { recursive: true });
    await symlink('../outside', path.join(root, 'out'));
    const before = snapshotOf(path.join(folder, 'outside'), { links: true, root: true });
    const error = await refusedArchive(client, root, tarArchive(first, ...entries, last));
    expect([-32600, -32603, -32004]).toContain(error.code);
    expect(error.message).not.toMatch(/its log has the cause/u);
    const after = snapshotOf(path.join(folder, 'outside'), { links: true, root: true });
    expect(differences(before, after)).toEqual([]);
    expect(await readFile(path.join(root, 'first'), 'utf8')).toBe('before it');
    expect(await readdir(root)).not.toContain('last');
    expect(await readlink(path.join(root, 'out'))).toBe('../outside');
    await nothingOpen(await pidOf(client), folder);
  },
}));

const whole = tarArchive(first, tarEntry({ name: 'big' }, numbered(oneChunk)), last);
const noise = Buffer.from(numbered(2048).map((byte) => byte | 1));

const damaged: readonly (readonly [string, Buffer])[] = [
  ['is cut in a header', whole.subarray(0, 1024 + 100)],
  ['is cut in a content', whole.subarray(0, 1024 + 5000)],
  ['is cut in what fills up a block', whole.subarray(0, 600)],
  ['is no archive', noise],
  ['is text', Buffer.from('no archive at all\n')],
  ['has a wrong sum', Buffer.concat([first, Buffer.from(last).fill('x', 0, 3)])],
  ['has noise behind an entry', Buffer.concat([first, noise])],
  ['has noise behind its end', Buffer.concat([whole, noise])],
  ['has a negative size', tarArchive(first, tarEntry({ name: 'n', size: base256(-512n, 12) }))],
  [
    'has a size in a form that nobody knows',
    tarArchive(first, tarEntry({ name: 'n', size: Buffer.alloc(12, 0x81) }), last),
  ],
  ['has a size that is no number', tarArchive(first, tarEntry({ name: 'n', size: 'zzzzzzzzzzz' }))],
  [
    'has more than can be in a pax header',
    tarArchive(first, tarEntry({ name: 'p', type: 'x', size: 2 ** 32 }), last),
  ],
  ['ends behind a pax header', Buffer.concat([first, paxEntry({ path: 'y' })]).subarray(0, 1600)],
];

const damagedCases = damaged.map(([what, archive], index): Case => ({
  id: `EX-3.${index + 1}`,
  title: `an archive that ${what} is refused as a wrong request, which says so`,
  covers: ['fs/extract', 'stream/finish'],
  run: async (context) => {
    const client = await context.open(await context.own());
    const folder = await context.folder();
    const error = await refusedArchive(client, path.join(folder, 'root'), archive);
    expect(error).toMatchObject({ code: -32600, message: expect.stringMatching(/archive|tar/iu) });
    await nothingOpen(await pidOf(client), folder);
  },
}));

export const extracts: Topic = {
  name: 'unpacking of an archive',
  cases: [
    {
      id: 'EX-1',
      title: 'a directory that is there is merged into: files and links are replaced, never written through',
      covers: ['fs/extract', 'stream/write', 'stream/finish'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const root = path.join(folder, 'root');
        await mkdir(path.join(root, 'dir'), { recursive: true });
        await writeFile(path.join(root, 'dir', 'stays'), 'stays');
        await writeFile(path.join(root, 'file'), 'old');
        await writeFile(path.join(folder, 'outside'), 'outside');
        await symlink('../outside', path.join(root, 'link'));
        await run('mkfifo', [path.join(root, 'fifo')]);
        const archive = tarArchive(
          tarEntry({ name: './', type: '5', mode: 0 }),
          tarEntry({ name: 'file', mode: 0o600 }, 'new'),
          tarEntry({ name: 'link' }, 'no link any more'),
          tarEntry({ name: 'fifo' }, 'no FIFO any more'),
          tarEntry({ name: './dir//new' }, 'beside'),
          tarEntry({ name: 'twice' }, 'one'),
          tarEntry({ name: 'twice' }, 'two'),
        );
        expect(await extract(client, root, archive)).toBe(7);
        expect(await readFile(path.join(root, 'file'), 'utf8')).toBe('new');
        expect(await readFile(path.join(root, 'link'), 'utf8')).toBe('no link any more');
        expect(await readFile(path.join(root, 'fifo'), 'utf8')).toBe('no FIFO any more');
        expect((await lstat(path.join(root, 'link'))).isFile()).toBe(true);
        expect(await readFile(path.join(folder, 'outside'), 'utf8')).toBe('outside');
        expect((await readdir(path.join(root, 'dir'))).sort()).toEqual(['new', 'stays']);
        expect(await readFile(path.join(root, 'twice'), 'utf8')).toBe('two');
        expect((await stat(root)).mode & 0o777, 'of the root').not.toBe(0);
      },
    },
    ...hostileCases,
    ...damagedCases,
    {
      id: 'EX-4',
      title: 'set-uid, set-gid and sticky bits and owners do not come out of an archive',
      covers: ['fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const root = path.join(await context.folder(), 'root');
        await extract(
          client,
          root,
          tarArchive(
            tarEntry({ name: 'f', mode: 0o7755, uid: 12_345, gid: 12_345 }, 'x'),
            tarEntry({ name: 'd/', type: '5', mode: 0o7777, uid: 12_345 }),
          ),
        );
        const own = await stat(root);
        for (const [name, mode] of [
          ['f', 0o755],
          ['d', 0o777],
        ] as const) {
          const found = await stat(path.join(root, name));
          expect([found.mode & 0o7777, found.uid, found.gid]).toEqual([mode, own.uid, own.gid]);
        }
      },
    },
    {
      id: 'EX-5',
      title: 'hard links inside the tree are made',
      covers: ['fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const root = path.join(await context.folder(), 'root');
        const archive = tarArchive(
          tarEntry({ name: 'a/one' }, 'shared'),
          tarEntry({ name: 'b/two', type: '1', linkname: 'a/one' }),
          tarEntry({ name: 'three', type: '1', linkname: './b/two' }),
        );
        await extract(client, root, archive);
        const inodes = await Promise.all(
          ['a/one', 'b/two', 'three'].map(async (name) => stat(path.join(root, name))),
        );
        expect(new Set(inodes.map(({ ino }) => ino)).size).toBe(1);
      },
    },
    {
      id: 'EX-6',
      title:
        'directories that may not be written or searched are filled, in any order, and get their modes at the end',
      covers: ['fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const root = path.join(await context.folder(), 'root');
        const archive = tarArchive(
          tarEntry({ name: 'a/b/', type: '5', mode: 0o500 }),
          tarEntry({ name: 'a/', type: '5', mode: 0o500 }),
          tarEntry({ name: 'a/b/f', mode: 0o400 }, 'inside'),
          tarEntry({ name: 'a/g', mode: 0o400 }, 'inside'),
        );
        expect(await extract(client, root, archive)).toBe(4);
        const modes = ['a', 'a/b', 'a/b/f'].map(
          async (name) => (await stat(path.join(root, name))).mode & 0o777,
        );
        expect(await Promise.all(modes)).toEqual([0o500, 0o500, 0o400]);
        await chmod(path.join(root, 'a'), 0o700);
        await chmod(path.join(root, 'a/b'), 0o700);
      },
    },
    ...(['ustar', 'gnu', 'pax'] as const).map((format): Case => ({
      id: `EX-7.${format}`,
      title: `what the tar of the system packs as ${format} is unpacked the same`,
      needs: ['tar'] as const,
      covers: ['fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
        // The old format has no place for long names, and none but pax has milliseconds.
        const entries = variedEntries
          .filter(({ name, target = '' }) => format !== 'ustar' || Math.max(name.length, target.length) < 100)
          .map((entry) =>
            format === 'pax'
              ? entry
              : Object.assign({}, entry, { timeMs: Math.floor(entry.timeMs / 1000) * 1000 }),
          );
        makeTree(from, entries);
        // Those that were only made on the way to others.
        if (format !== 'pax')
          execFileSync('find', [
            from,
            '-newermt',
            '2025-01-01',
            '-not',
            '-newermt',
            '2090-01-01',
            '-exec',
            'touch',
            '-h',
            '-d',
            '@1600000000',
            '{}',
            '+',
          ]);
        const before = snapshotOf(from);
        const program = [`--format=${format}`, '-cf', '-', '-C', from, '.'];
        const archive = execFileSync('tar', program, { maxBuffer: 1 << 26 });
        await extract(client, to, archive);
        expect(differences(before, snapshotOf(to))).toEqual([]);
      },
    })),
    {
      id: 'EX-8',
      title: 'an extract that is cancelled or loses its connection closes everything, and what came stays',
      covers: ['fs/extract', 'stream/cancel'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const pid = await pidOf(client);
        const begun = Buffer.concat([first, tarEntry({ name: 'a/b/big' }, numbered(oneChunk))]).subarray(
          0,
          -1024,
        );
        const roots = ['one', 'two'].map((name) => path.join(folder, name));
        const ids = roots.map(() => streamId());
        for (const [index, root] of roots.entries()) {
          await client.call('fs/extract', { streamId: ids[index] ?? '', path: root });
          await Promise.all(writeAhead(client, ids[index] ?? '', begun));
        }
        expect(await client.call('stream/cancel', { streamId: ids[0] ?? '' })).toEqual({});
        const other = await context.open();
        await client[Symbol.asyncDispose]();
        // The executor over stdio has ended with its connection.
        if (context.target.sharesSessions) await nothingOpen(await pidOf(other), folder);
        expect(pid).not.toBe('');
        for (const root of roots) expect(await readFile(path.join(root, 'first'), 'utf8')).toBe('before it');
      },
    },
    ...(
      [
        ['into a file', 'file', -32603],
        ['below a file', 'file/x', -32603],
        ['in a sandbox that cannot be', 'new', -32600],
      ] as const
    ).map(([what, name, code], index): Case => ({
      id: `EX-9.${index + 1}`,
      title: `an extract ${what} is refused`,
      covers: ['fs/extract'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        await writeFile(path.join(folder, 'file'), 'old');
        const sandbox = code === -32600 ? unenforceable : null;
        const params = { streamId: 's', path: path.join(folder, name), sandbox };
        expect((await client.refused('fs/extract', params)).code).toBe(code);
        expect(await readdir(folder)).toEqual(['file']);
      },
    })),
    {
      id: 'EX-10',
      title:
        'an archive without its closing blocks is unpacked, and one with wrong digest is told to be wrong',
      covers: ['fs/extract', 'stream/finish'],
      run: async (context) => {
        const client = await context.open();
        const root = path.join(await context.folder(), 'root');
        expect(await extract(client, root, Buffer.concat([first, last]))).toBe(2);
        expect(await extract(client, root, Buffer.alloc(0))).toBe(0);
        const id = streamId();
        await client.call('fs/extract', { streamId: id, path: root });
        await Promise.all(writeAhead(client, id, whole));
        const wrong = { ...finishParams(id, whole), sha256: 'f'.repeat(64) };
        expect((await client.refused('stream/finish', wrong)).code).toBe(-32600);
      },
    },
  ],
};
