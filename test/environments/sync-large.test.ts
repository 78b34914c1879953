import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { expect, test } from 'vitest';

import type { SyncProgress } from '../../src/environments/sync/options.ts';
import { syncPair } from '../support/sync-pair.ts';
import { differences, snapshotOf } from '../support/transfer-trees.ts';

const [folders, each] = [100, 100];
const count = folders * each;

const name = (at: number): string => `pkg-${at % folders}/src/file-${Math.floor(at / folders)}.ts`;

/** Up to 4 KiB, another one for each file and edition. */
function contentOf(at: number, edition: number): Buffer {
  const seed = createHash('sha256').update(`${at} ${edition}`).digest();
  return Buffer.alloc(1 + ((at * 37) % 4096), seed);
}

function write(root: string, at: number, edition: number): void {
  mkdirSync(path.dirname(path.join(root, name(at))), { recursive: true });
  writeFileSync(path.join(root, name(at)), contentOf(at, edition));
}

/** Contents and modes: a directory's own time is not carried over where only something in it has changed. */
function filesOf(root: string): Map<string, string> {
  return new Map([...snapshotOf(root)].filter(([, text]) => !text.startsWith('directory')));
}

// Both ways over both roads go the small trees of sync.test.ts.
test.each([
  ['up', 'websocket'],
  ['down', 'memory'],
] as const)(
  '10,000 files go %s over %s: all of them once, then only what has changed',
  async (direction, road) => {
    await using pair = await syncPair(road);
    const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
    for (let at = 0; at < count; at++) write(from, at, 1);
    const times: string[] = [];
    const run = async (label: string, options = {}): Promise<Awaited<ReturnType<typeof pair.sync>>> => {
      const started = performance.now();
      const result = await pair.sync({ direction, ...options });
      times.push(`${label} ${Math.round(performance.now() - started)} ms`);
      return result;
    };

    const seen: SyncProgress[] = [];
    const first = await run('first', { onProgress: (now: SyncProgress) => void seen.push(now) });
    expect(first).toMatchObject({
      sentFiles: count,
      hashed: { source: 0, target: 0 },
      unsettled: [],
      conflicts: [],
    });
    expect(seen.at(-1)).toMatchObject({ files: count, filesTotal: count, bytes: first.sentBytes });
    expect(differences(filesOf(from), filesOf(to))).toEqual([]);

    const second = await run('none');
    expect(second).toMatchObject({
      sent: [],
      sentBytes: 0,
      deleted: [],
      compared: { source: count + 2 * folders },
    });
    // Those written last, in whose tick a change could have gone unseen.
    expect(second.hashed.source + second.hashed.target).toBeLessThan(count / 10);

    for (let at = 0; at < 50; at++) write(from, at * 199, 2);
    const changed = await run('50 changes');
    expect(changed).toMatchObject({ sentFiles: 50, deleted: [], conflicts: [] });
    expect(changed.sentBytes).toBe(
      Array.from({ length: 50 }, (_, at) => contentOf(at * 199, 2).length).reduce(
        (sum, size) => sum + size,
        0,
      ),
    );

    for (let at = 0; at < 200; at++) rmSync(path.join(from, name(at * 7)));
    const deleted = await run('200 deletes', { delete: true });
    expect(deleted).toMatchObject({ sent: [], conflicts: [] });
    expect(deleted.deleted).toHaveLength(200);
    expect(differences(filesOf(from), filesOf(to))).toEqual([]);

    write(from, 9999, 3);
    write(to, 9999, 4);
    const conflict = await run('a conflict');
    expect(conflict).toMatchObject({
      sent: [],
      conflicts: [{ path: name(9999), source: 'changed', target: 'changed' }],
    });
    expect(differences(filesOf(from), filesOf(to))).toHaveLength(1);
    if (process.env['EXEC_SERVER_TEST_TIMES'] !== undefined)
      process.stderr.write(`${direction} over ${road}: ${times.join(', ')}\n`);
  },
  // For a machine that does other things, too: it takes 10 s alone.
  180_000,
);
