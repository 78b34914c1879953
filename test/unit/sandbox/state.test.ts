import { access, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SandboxState } from '../../../src/sandbox/state.ts';

let root: string;

beforeEach(async () => {
  root = join(await realpath(await mkdtemp(join(tmpdir(), 'sandbox-state-'))), 'state');
});

afterEach(async () => rm(join(root, '..'), { recursive: true, force: true }));

it('leaves executors what they need that start while others do', async () => {
  const startAndEnd = async (): Promise<void> => {
    for (let round = 0; round < 30; round++) {
      await using state = await SandboxState.open(root);
      await access(state.deniedFile);
    }
  };
  await Promise.all(Array.from({ length: 12 }, startAndEnd));
  expect(await readdir(root)).toEqual([]);
});
