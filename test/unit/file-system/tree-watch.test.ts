import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { TreeWatch } from '../../../src/file-system/tree-watch.ts';
import { RpcError } from '../../../src/protocol/errors.ts';
import type * as Limits from '../../../src/protocol/limits.ts';
import { kernelWatches, overflow } from '../../support/watch-view.ts';
import { WatchRecorder } from '../../support/watch-recorder.ts';
import { expectSoon, turn } from '../../support/unit-wait.ts';

/** Small enough to be reached at once. */
vi.mock('../../../src/protocol/limits.ts', async (original) => {
  const { limits } = await original<typeof Limits>();
  return { limits: { ...limits, watchedDirectories: 300, watchPendingChanges: 4000 } };
});

/** Names of directories below the root, so that with the root and the one above there are `watches` of them. */
function directories(watches: number): string[] {
  return Array.from({ length: watches - 2 }, (_, index) => `d${index}`);
}

function fill(root: string, names: readonly string[]): void {
  for (const name of names) mkdirSync(path.join(root, name), { recursive: true });
}

describe.skipIf(process.platform !== 'linux')('a watch of a tree', () => {
  beforeEach(async () => {
    expect(await kernelWatches('self')).toBeUndefined();
  });
  afterEach(async () => {
    expect(await kernelWatches('self')).toBeUndefined();
  });

  test('merges what happens within a short time', async () => {
    await using recorder = await WatchRecorder.open();
    for (let round = 0; round < 50; round++) writeFileSync(recorder.at('f'), `${round}`);
    mkdirSync(recorder.at('d'));
    await recorder.tells('created d');
    expect(recorder.told).toEqual(['created f', 'created d']);
    expect(recorder.reports.map(({ cursor }) => cursor)).toEqual([1]);
  });

  test('tells nothing while the connection takes nothing, and then everything once', async () => {
    await using recorder = await WatchRecorder.open();
    recorder.taking = false;
    for (let round = 0; round < 5; round++) {
      for (let index = 0; index < 1500; index++) await writeFile(recorder.at(`f${index}`), `${round}`);
    }
    expect(recorder.reports).toEqual([]);
    recorder.taking = true;
    await recorder.tells('created f1499');
    expect(recorder.told.filter((text) => text.startsWith('created'))).toHaveLength(1500);
    expect(recorder.resyncs).toEqual([]);
  });

  test('tells one resync where too much waits for the connection', async () => {
    await using recorder = await WatchRecorder.open();
    recorder.taking = false;
    for (let index = 0; index < 4100; index++) await writeFile(recorder.at(`f${index}`), '');
    recorder.taking = true;
    await recorder.until('a resync', () => recorder.resyncs.length > 0);
    await writeFile(recorder.at('after'), '');
    await recorder.tells('created after');
    expect(recorder.resyncs).toMatchObject([{ reason: 'backlog', changes: [] }]);
  });

  test('tells a resync when the kernel has dropped events, and has found by then what they were about', async () => {
    await using recorder = await WatchRecorder.open({ prepare: (root) => fill(root, ['old/a', 'kept/b']) });
    // Nobody reads the events before this code returns to the event loop.
    overflow(recorder.root);
    fill(recorder.root, ['new/c']);
    renameSync(recorder.at('kept'), recorder.at('moved'));
    rmSync(recorder.at('old'), { recursive: true });
    await recorder.until('a resync', () => recorder.resyncs.length > 0);
    expect(recorder.resyncs).toMatchObject([{ reason: 'overflow', changes: [] }]);
    expect(recorder.resyncs[0]).not.toHaveProperty('ended');
    // The root, the one above, new, new/c, moved, moved/b.
    expect(await kernelWatches('self')).toBe(6);
    for (const file of ['new/c/f', 'moved/b/f']) {
      await writeFile(recorder.at(file), '');
      await recorder.tells(`created ${file}`);
    }
  });

  test('ends after an overflow when its root has been replaced meanwhile', async () => {
    await using recorder = await WatchRecorder.open();
    // Nobody reads the events before this code returns to the event loop.
    overflow(recorder.root);
    renameSync(recorder.root, `${recorder.root}-old`);
    mkdirSync(recorder.root);
    await recorder.until('the end', () => recorder.reports.some(({ ended }) => ended === true));
    expect(recorder.reports.at(-1)).toMatchObject({ resync: true, reason: 'moved' });
    expect(recorder.endings).toBe(1);
  });

  test('keeps both names of an exchange', async ({ skip }) => {
    await using recorder = await WatchRecorder.open({ prepare: (root) => fill(root, ['a/x', 'b/y']) });
    const exchange = `import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(0 if libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2) == 0 else 1)`;
    try {
      execFileSync('python3', ['-c', exchange, recorder.at('a'), recorder.at('b')], { stdio: 'ignore' });
    } catch {
      return skip('python3 or renameat2 is missing');
    }
    await recorder.tells('created b/x');
    await recorder.tells('created a/y');
    await writeFile(recorder.at('b/x/f'), '');
    await recorder.tells('created b/x/f');
    await writeFile(recorder.at('a/y/f'), '');
    await recorder.tells('created a/y/f');
    const last = new Map(recorder.told.map((text) => text.split(' ').toReversed() as [string, string]));
    expect([last.get('a'), last.get('b')]).toEqual(['created', 'created']);
  });

  test('is refused beyond the budget of directories, and leaves nothing', async () => {
    const error = await WatchRecorder.open({ prepare: (root) => fill(root, directories(301)) }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({
      code: -32011,
      message: expect.stringMatching(/300 directories.*[Ee]xclude/),
    });
  });

  test('fits the budget exactly', async () => {
    await using recorder = await WatchRecorder.open({ prepare: (root) => fill(root, directories(300)) });
    expect(await kernelWatches('self')).toBe(300);
    expect(recorder.reports).toEqual([]);
  });

  test('fits the budget without what is excluded', async () => {
    const prepare = (root: string): void =>
      fill(root, [...directories(400).map((name) => `no/${name}`), 'a']);
    await using recorder = await WatchRecorder.open({ prepare, exclude: ['no'] });
    expect(await kernelWatches('self')).toBe(3);
    expect(recorder.endings).toBe(0);
  });

  test('ends with the reason when it grows beyond the budget', async () => {
    await using recorder = await WatchRecorder.open({ prepare: (root) => fill(root, directories(290)) });
    fill(
      recorder.root,
      Array.from({ length: 20 }, (_, index) => `more/${index}`),
    );
    await recorder.until('the end', () => recorder.reports.some(({ ended }) => ended === true));
    expect(recorder.reports.at(-1)).toMatchObject({
      changes: [],
      resync: true,
      ended: true,
      reason: 'limit',
      message: expect.stringContaining('300 directories'),
    });
    expect(recorder.endings).toBe(1);
  });

  test('shares the budget for a directory that two watch', async () => {
    await using recorder = await WatchRecorder.open({ prepare: (root) => fill(root, directories(290)) });
    const second = new TreeWatch({
      root: { bytes: Buffer.from(recorder.root), form: 'uri' },
      recursive: true,
      exclude: [],
      send: () => {},
      canSend: () => true,
      onEnded: () => {},
    });
    await second.open();
    expect(await kernelWatches('self')).toBe(290);
    second.dispose();
    await writeFile(recorder.at('d7/f'), '');
    await recorder.tells('created d7/f');
  });

  test('leaves nothing when it is ended before it is complete', async () => {
    await using recorder = await WatchRecorder.create({ prepare: (root) => fill(root, directories(200)) });
    const opening = recorder.watch.open();
    opening.catch(() => {});
    while ((await kernelWatches('self')) === undefined) await turn();
    recorder.watch.dispose();
    await expect(expectSoon('the refusal', opening)).rejects.toThrow('ended before it had begun');
  });

  test('lets the event loop run while a large tree is read', async () => {
    await using recorder = await WatchRecorder.create({ prepare: (root) => fill(root, directories(280)) });
    let turns = 0;
    const ticking = setInterval(() => void (turns += 1), 0);
    await recorder.watch.open();
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(0);
  });

  test('holds what happens in directories that are being read', async () => {
    await using recorder = await WatchRecorder.open();
    for (let round = 0; round < 30; round++) {
      await mkdir(recorder.at('a/b'), { recursive: true });
      await writeFile(recorder.at('a/b/f'), '');
      await rm(recorder.at('a/b/f'));
      await rename(recorder.at('a/b'), recorder.at('a/c'));
      await rm(recorder.at('a'), { recursive: true });
    }
    await writeFile(recorder.at('fence'), '');
    await recorder.tells('created fence');
    const last = new Map(recorder.told.map((text) => text.split(' ').toReversed() as [string, string]));
    expect(last.get('a')).toBe('removed');
    const removedAt = recorder.told.lastIndexOf('removed a');
    expect(recorder.told.slice(removedAt + 1).filter((text) => text.includes(' a/'))).toEqual([]);
  });

  test('is unsupported on other systems, and says so', async () => {
    await using recorder = await WatchRecorder.create();
    const platform = vi.spyOn(process, 'platform', 'get').mockReturnValue('darwin');
    try {
      await expect(recorder.watch.open()).rejects.toMatchObject({
        code: -32600,
        message: expect.stringContaining('unsupported'),
      });
    } finally {
      platform.mockRestore();
    }
  });
});
