import { mkdtemp, realpath, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { MiB } from '../support/faults-bytes.ts';
import { startExecutor } from '../support/faults-executor.ts';
import { within } from '../support/faults-proc.ts';

const BULK_BYTES = 1024 * MiB;
/**
 * What is copied meanwhile, of 99 of 100 echoes: a key and its echo wait behind what both streams have on the way, 2 MiB up and 4 MiB down,
 * and not behind a file. Milliseconds depend on the machine; `npm run bench` measures them.
 */
const OVERTAKING_BYTES = 12 * MiB;
const ECHOES = 100;
const LONG_MS = 150_000;

let folder = '';

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-bulk-')));
  await writeFile(path.join(folder, 'source'), '');
  await truncate(path.join(folder, 'source'), BULK_BYTES);
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test(
  'keys are echoed between the blocks of 1 GiB that goes up and 1 GiB that comes down on the same connection',
  async () => {
    await using executor = await startExecutor();
    await using client = await ExecClient.connect({ url: executor.url }, { callTimeoutMs: LONG_MS });
    const cat = await client.start({ argv: ['/bin/cat'], cwd: '/', pipeStdin: true });
    const output = cat.stdout[Symbol.asyncIterator]();
    const copied = { up: 0, down: 0 };
    const [source = '', up = '', down = ''] = ['source', 'up', 'down'].map((name) => path.join(folder, name));
    const state = { running: true };
    const copies = Promise.all([
      client.files.upload(source, up, { onProgress: ({ bytes }) => void (copied.up = bytes) }),
      client.files.download(source, down, { onProgress: ({ bytes }) => void (copied.down = bytes) }),
    ]).finally(() => void (state.running = false));
    const overtaking: number[] = [];
    while (state.running) {
      const before = copied.up + copied.down;
      await cat.write('x');
      const { value } = await within(LONG_MS, 'an echo', output.next());
      expect(Buffer.from(value ?? []).toString()).toBe('x');
      overtaking.push(copied.up + copied.down - before);
    }
    const [uploaded, downloaded] = await copies;
    expect([uploaded.bytes, downloaded.bytes]).toEqual([BULK_BYTES, BULK_BYTES]);
    expect(uploaded.sha256).toBe(downloaded.sha256);
    const sorted = overtaking.toSorted((one, other) => one - other);
    const most = sorted[Math.floor(sorted.length * 0.99)] ?? Infinity;
    process.stdout.write(`${sorted.length} echoes, 99 % behind ${(most / MiB).toFixed(1)} MiB\n`);
    expect(sorted.length).toBeGreaterThan(ECHOES);
    expect(most, 'bytes that were copied during an echo').toBeLessThan(OVERTAKING_BYTES);
  },
  LONG_MS,
);
