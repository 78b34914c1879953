import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { startExecutor } from '../support/faults-executor.ts';
import { until, within } from '../support/faults-proc.ts';
import { Watcher } from '../support/faults-watcher.ts';
import { finish } from '../support/conformance-targets.ts';
import { startPrefixed } from '../support/files-session.ts';
import { temporaryFolder } from '../support/unit-folder.ts';
import { WatchView, kernelWatches, overflow } from '../support/watch-view.ts';

const STORM_MS = 60_000;
const AGREE_MS = 30_000;
const STOP_MS = 10_000;
const FILES = 10_000;
const storm = path.join(import.meta.dirname, '../support/faults-tree-storm.ts');

/** Changes the tree from another process until that has created so many files. */
async function rage(root: string, seed: number, files: number): Promise<void> {
  const child = spawn(process.execPath, [storm, root, String(seed), String(files)], { stdio: 'inherit' });
  try {
    const [code] = (await within(STORM_MS, 'the end of the storm', once(child, 'exit'))) as [number | null];
    expect(code).toBe(0);
  } finally {
    child.kill('SIGKILL');
  }
}

async function isStopped(pid: number): Promise<void> {
  const state = (): string =>
    /^State:\s+(\w)/mu.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
  await until(STOP_MS, () => state() === 'T', state);
}

describe.skipIf(process.platform !== 'linux')('the model of a client that watches', () => {
  test.each([1, 2, 3])(
    'equals the disk after a storm of changes with a forced resync in it (seed %i)',
    async (seed) => {
      await using folder = await temporaryFolder();
      const root = path.join(await realpath(folder.path), 'root');
      mkdirSync(root);
      await using executor = await startExecutor();
      await using watcher = await Watcher.open(executor.url, root);

      await rage(root, seed, FILES);
      await watcher.agrees(AGREE_MS);

      // Nobody takes the events of the kernel: it drops those that do not fit into its queue.
      executor.kill('SIGSTOP');
      await isStopped(executor.pid);
      overflow(root);
      await rage(root, seed + 100, FILES);
      executor.kill('SIGCONT');
      await watcher.agrees(AGREE_MS);
      expect(watcher.resyncs).toContain('overflow');

      // And what has changed meanwhile is watched.
      await rage(root, seed + 200, FILES / 10);
      await watcher.agrees(AGREE_MS);
      writeFileSync(path.join(root, 'last'), '');
      await until(
        AGREE_MS,
        () => watcher.model.has('last'),
        () => 'a file is not told',
      );
      expect(watcher.model.size).toBeGreaterThan(50);
    },
  );

  test('equals the disk after storms in several directories at once', async () => {
    await using folder = await temporaryFolder();
    const root = path.join(await realpath(folder.path), 'root');
    const parts = ['one', 'two', 'three'].map((name) => path.join(root, name));
    for (const part of parts) mkdirSync(part, { recursive: true });
    await using executor = await startExecutor();
    await using watcher = await Watcher.open(executor.url, root);
    await using other = await Watcher.open(executor.url, parts[0] ?? root);
    await Promise.all(parts.map(async (part, index) => rage(part, index, FILES / 2)));
    await watcher.agrees(AGREE_MS);
    await other.agrees(AGREE_MS);
  });
});

describe.skipIf(process.platform !== 'linux')('where the kernel allows few watches', () => {
  const mark = 'faults-watch';
  /** In a user namespace of its own, whose limit is no other's. */
  const prefix = [
    'unshare',
    '-Ur',
    'sh',
    '-c',
    'echo 20 > /proc/sys/user/max_inotify_watches && exec "$@"',
    'sh',
  ];

  test('a watch beyond them is refused or ended with advice, and gives all of them back', async (context) => {
    const works = spawn('unshare', ['-Ur', 'test', '-w', '/proc/sys/user/max_inotify_watches']);
    const [code] = (await once(works, 'exit').catch(() => [1])) as [number];
    if (code !== 0) {
      const note =
        'There are no user namespaces here: the limit of the kernel cannot be lowered for this test alone.';
      if (process.env['CI'] === 'true') throw new Error(note);
      return context.skip(note);
    }
    await using folder = await temporaryFolder();
    const root = await realpath(folder.path);
    for (let index = 0; index < 30; index++)
      mkdirSync(path.join(root, `large/${index}`), { recursive: true });
    mkdirSync(path.join(root, 'small'));
    {
      await using executor = await startPrefixed('stdio', prefix, mark);
      const { client } = executor;
      const pid = path.basename((await client.call('fs/canonicalize', { path: '/proc/self' })).path);
      const advice = /max_user_watches/u;

      const error = await client.refused('fs/watch', { watchId: 'w', path: path.join(root, 'large') });
      expect(error).toMatchObject({ code: -32011, message: expect.stringMatching(advice) });
      await gone(pid);

      await client.call('fs/watch', { watchId: 'w', path: path.join(root, 'small') });
      const view = new WatchView(client, 'w', path.join(root, 'small'));
      for (let index = 0; index < 30; index++) mkdirSync(path.join(root, `small/${index}`));
      const last = await view.report('the end', ({ ended }) => ended === true);
      expect(last).toMatchObject({ resync: true, reason: 'limit', message: expect.stringMatching(advice) });
      await gone(pid);
    }
    await finish({ mark }, undefined);
  });

  async function gone(pid: string): Promise<void> {
    for (let left = await kernelWatches(pid); left !== undefined; left = await kernelWatches(pid)) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
  }
});
