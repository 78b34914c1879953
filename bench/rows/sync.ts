import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ExecClient } from '../../src/client/exec-client.ts';
import { syncDirectory } from '../../src/environments/sync/sync.ts';
import { BrokenRow } from '../process-run.ts';
import { type Sample, milliseconds } from '../stats.ts';
import { NotApplicable, type Row, type Subject } from './row.ts';

const FOLDERS = 100;
const FILES = 10_000;
const CHANGES = 50;

/** The executor is on this machine, so both directories are; nothing else about it is. */
export const syncTree: Row = {
  name: 'sync',
  title: `${FILES} files of 2 KiB kept in step (the first time, no change, ${CHANGES} changes)`,
  servedByNull: false,
  run: async ({ url }: Subject): Promise<readonly Sample[]> => {
    await using client = await ExecClient.connect({ url });
    const methods = client.environment?.capabilities?.execServer?.methods ?? [];
    if (!methods.includes('fs/manifest')) throw new NotApplicable('fs/manifest');
    const folder = await mkdtemp(path.join(tmpdir(), 'exec-bench-sync-'));
    try {
      const [local, remote] = [path.join(folder, 'local'), path.join(folder, 'remote')];
      const write = async (at: number, text: string): Promise<void> => {
        const parent = path.join(local, `folder-${at % FOLDERS}`);
        await mkdir(parent, { recursive: true });
        await writeFile(path.join(parent, `file-${at}`), text.repeat(2048));
      };
      for (let at = 0; at < FILES; at += 1) await write(at, 'a');
      const state = { directory: path.join(folder, 'state'), environment: 'bench' };
      const timed = async (metric: string, files: number): Promise<Sample> => {
        const before = performance.now();
        const { sentFiles } = await syncDirectory(client, { local, remote, direction: 'up', state });
        if (sentFiles !== files) throw new BrokenRow(`${sentFiles} files were sent, not ${files}`);
        return milliseconds(metric, performance.now() - before);
      };
      const samples = [await timed('first', FILES), await timed('no change', 0)];
      for (let at = 0; at < CHANGES; at += 1) await write(at * 199, 'b');
      return [...samples, await timed(`${CHANGES} changes`, CHANGES)];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
