import { createReadStream, readdirSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { limits } from '../../src/protocol/limits.ts';
import { MiB } from '../support/faults-bytes.ts';
import { type ListeningExecutor, startExecutor } from '../support/faults-executor.ts';
import { residentMiB, until, within } from '../support/faults-proc.ts';
import { nothingOpen } from '../support/transfer-view.ts';
import { type TreeEntry, differences, makeTree, removeTree, snapshotOf } from '../support/transfer-trees.ts';

const LARGE_BYTES = 2048 * MiB;
const FILES = 50_000;
const FILES_IN_FOLDER = 250;
const MEMORY_MIB = 200;
/** Between two looks at the memory. */
const SAMPLE_MS = 50;
/** Far above what it takes on an idle machine. */
const LONG_MS = 120_000;
const CLOSED_MS = 10_000;

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let folder = '';

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-transfer-')));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A file that takes almost no place, with a mark in each MiB that tells where it is. */
async function makeLarge(file: string, bytes: number): Promise<void> {
  await using handle = await open(file, 'w');
  await handle.truncate(bytes);
  for (let at = 0; at < bytes; at += MiB) {
    const mark = Buffer.from(`at ${at} `);
    await handle.write(mark, 0, mark.length, at + ((at / MiB) % 1000));
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await finished(createReadStream(file, { highWaterMark: MiB }).on('data', (part) => void hash.update(part)));
  return hash.digest('hex');
}

interface Measured<T> {
  readonly result: T;
  readonly seconds: number;
  /** The most that was seen of the executor. */
  readonly residentMiB: number;
}

/** Does the work and watches the executor meanwhile. */
async function measured<T>(
  executor: ListeningExecutor,
  what: string,
  work: Promise<T>,
): Promise<Measured<T>> {
  let most = 0;
  const begin = performance.now();
  const sampler = setInterval(() => {
    most = Math.max(most, residentMiB(executor.pid).now);
  }, SAMPLE_MS);
  try {
    const result = await within(LONG_MS, what, work);
    return { result, seconds: (performance.now() - begin) / 1000, residentMiB: most };
  } finally {
    clearInterval(sampler);
  }
}

function tell(what: string, { seconds, residentMiB: most }: Measured<unknown>): void {
  process.stdout.write(`${what}: ${seconds.toFixed(1)} s, executor at most ${most.toFixed(0)} MiB\n`);
}

describe('over a WebSocket', () => {
  test('2 GiB go up and come down whole, and the executor stays small', async () => {
    await using executor = await startExecutor();
    await using client = await ExecClient.connect({ url: executor.url }, { callTimeoutMs: LONG_MS });
    const source = path.join(folder, 'source');
    const target = path.join(folder, 'target');
    await makeLarge(source, LARGE_BYTES);
    const digest = await digestOf(source);
    const seen: number[] = [];
    for (const way of ['upload', 'download'] as const) {
      const done = await measured(executor, way, client.files[way](source, target));
      tell(`2 GiB ${way}`, done);
      seen.push(done.residentMiB);
      expect(done.result).toEqual({ ...done.result, bytes: LARGE_BYTES, sha256: digest });
      expect(await digestOf(target)).toBe(digest);
      await rm(target);
    }
    await nothingOpen(executor.pid, folder);
    await nothingOpen(process.pid, folder);
    expect(Math.max(...seen), `MiB of resident memory: ${seen.join(', ')}`).toBeLessThan(MEMORY_MIB);
    expect(executor.stderr).toBe('');
  });

  test('a stream whose writing fails leaves no temporary file, and gives its place up', async () => {
    const full = path.join(folder, 'full');
    await mkdir(full);
    const args = ['--fsize=1000000', '--', process.execPath, main, 'serve', '--listen', 'stdio'];
    const command = { program: 'prlimit', args, stderr: 'ignore' } as const;
    await using client = await ExecClient.connect({ command });
    for (let round = 0; round <= limits.streams; round++) {
      const writer = client.files.writeStream(path.join(full, `${round}`), { atomic: true }).getWriter();
      writer.closed.catch(() => {});
      const written = (async () => {
        for (let count = 0; count < 8; count++) await writer.write(Buffer.alloc(300_000));
        await writer.close();
      })();
      await expect(written).rejects.toMatchObject({
        message: expect.stringMatching(/\(os error 27\)$/u) as string,
      });
    }
    await until(
      CLOSED_MS,
      () => readdirSync(full).length === 0,
      () => `left over: ${readdirSync(full).join(', ')}`,
    );
  });

  test(`${FILES} small files go up and come down as they are`, async () => {
    await using executor = await startExecutor();
    await using client = await ExecClient.connect({ url: executor.url }, { callTimeoutMs: LONG_MS });
    const source = path.join(folder, 'source');
    const target = path.join(folder, 'target');
    makeTree(source, manySmall());
    const before = snapshotOf(source);
    const seen: number[] = [];
    for (const way of ['upload', 'download'] as const) {
      const done = await measured(executor, way, client.files[way](source, target));
      tell(`${FILES} files ${way}`, done);
      seen.push(done.residentMiB);
      expect(done.result).toMatchObject({ entries: before.size, skipped: 0 });
      expect(differences(before, snapshotOf(target)).slice(0, 5)).toEqual([]);
      removeTree(target);
    }
    await nothingOpen(executor.pid, folder);
    await nothingOpen(process.pid, folder);
    expect(Math.max(...seen), `MiB of resident memory: ${seen.join(', ')}`).toBeLessThan(MEMORY_MIB);
    expect(executor.stderr).toBe('');
  });
});

/** Small files, links, and directories of which some have nothing in them. */
function manySmall(): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let index = 0; index < FILES; index++) {
    const inFolder = index % FILES_IN_FOLDER;
    const parent = `d${Math.trunc(index / FILES_IN_FOLDER / 10)}/e${Math.trunc(index / FILES_IN_FOLDER)}`;
    // Odd milliseconds of different years.
    const timeMs = 1_200_000_000_000 + index * 10_000_019;
    if (inFolder === 0) {
      if (index % (10 * FILES_IN_FOLDER) === 0)
        entries.push({ name: `${path.dirname(parent)}/`, mode: 0o755, timeMs });
      entries.push({ name: `${parent}/`, mode: index % 2 === 0 ? 0o750 : 0o755, timeMs });
    }
    const name = `${parent}/file number ${index}`;
    const mode = [0o644, 0o600, 0o755, 0o444][index % 4] ?? 0o644;
    if (inFolder === 17) entries.push({ name, timeMs, target: `file number ${index - 1}` });
    else if (inFolder === 19) entries.push({ name: `${name}/`, mode: 0o700, timeMs });
    else entries.push({ name, mode, timeMs, content: `${index} `.repeat(index % 60) });
  }
  return entries;
}
