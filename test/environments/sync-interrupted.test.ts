import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { syncDirectory } from '../../src/environments/sync/sync.ts';
import { spawnExecutor } from '../support/conformance-targets.ts';
import { syncPair } from '../support/sync-pair.ts';
import { differences, removeTree, snapshotOf } from '../support/transfer-trees.ts';

const MiB = 1024 * 1024;

/** Some small files, and large ones that a transfer is in the middle of for most of its time. */
function write(root: string): void {
  mkdirSync(path.join(root, 'dir'), { recursive: true });
  for (let at = 0; at < 50; at++) writeFileSync(path.join(root, `dir/small-${at}`), `small ${at}`);
  for (let at = 0; at < 4; at++)
    writeFileSync(path.join(root, `large-${at}`), Buffer.alloc(8 * MiB + at, `${at} `));
}

const isLeftover = (name: string): boolean => name.includes('.exec-server-');

/** Files that are there and are not the source's. Unfinished ones have names of their own. */
function torn(from: string, to: string): string[] {
  const [source, target] = [snapshotOf(from), snapshotOf(to)];
  return [...target]
    .filter(([name, text]) => text.startsWith('file') && !isLeftover(name) && source.get(name) !== text)
    .map(([name]) => name);
}

describe.each(['up', 'down'] as const)('a sync %s that is interrupted', (direction) => {
  test('by its caller leaves only whole files, and the next one goes on', async () => {
    await using pair = await syncPair('websocket');
    const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
    write(from);
    const stop = new AbortController();
    const stopped = pair.sync({
      direction,
      signal: stop.signal,
      onProgress: ({ files }) => {
        if (files === 52) stop.abort(new Error('enough'));
      },
    });
    await expect(stopped).rejects.toThrow('enough');
    // What the executor has of an upload is given up when its stream is; the answer to the next request is behind that.
    await pair.client.call('environment/status', undefined);
    expect(torn(from, to)).toEqual([]);
    const next = await pair.sync({ direction });
    expect(next).toMatchObject({ conflicts: [], unsettled: [] });
    expect(
      differences(snapshotOf(from), snapshotOf(to)).filter((line) => !line.includes('directory')),
    ).toEqual([]);
    expect((await pair.sync({ direction })).sent).toEqual([]);
  });

  test('by the death of the executor leaves only whole files, and the next one goes on', async () => {
    const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-sync-killed-')));
    const [local, remote] = [path.join(folder, 'local'), path.join(folder, 'remote')];
    const [from, to] = direction === 'up' ? [local, remote] : [remote, local];
    write(from);
    const state = { directory: path.join(folder, 'state'), environment: 'test' };
    const mark = randomUUID();
    const open = async (): Promise<{ client: ExecClient; child: ReturnType<typeof spawnExecutor> }> => {
      const child = spawnExecutor(['--listen', 'ws://127.0.0.1:0'], mark);
      const client = await ExecClient.connect({ url: await child.firstLine() }, { reconnectMs: 0 });
      return { client, child };
    };
    try {
      const first = await open();
      const cut = syncDirectory(first.client, {
        local,
        remote,
        direction,
        state,
        onProgress: ({ files }) => void (files === 52 && first.child.process.kill('SIGKILL')),
      });
      await expect(cut).rejects.toThrow();
      expect(torn(from, to)).toEqual([]);
      const leftovers = readdirSync(to).filter(isLeftover);
      // They are known as what they are, and go when nobody can be at work at them any more.
      for (const name of leftovers) utimesSync(path.join(to, name), 1000, 1000);
      const second = await open();
      const next = await syncDirectory(second.client, { local, remote, direction, state });
      expect(next).toMatchObject({ conflicts: [], unsettled: [] });
      expect(torn(from, to)).toEqual([]);
      expect(readdirSync(to).sort()).toEqual(readdirSync(from).sort());
      await second.client.close();
      second.child.process.kill('SIGTERM');
      await second.child.expectExit();
    } finally {
      removeTree(folder);
    }
  });
});

describe('a file that is written to during a sync', () => {
  test.each(['up', 'down'] as const)('is sent %s once more, and is in step in the end', async (direction) => {
    await using pair = await syncPair();
    const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
    mkdirSync(from);
    writeFileSync(path.join(from, 'still'), 'still');
    writeFileSync(path.join(from, 'moving'), 'first');
    let writes = 0;
    const result = await pair.sync({
      direction,
      onProgress: ({ phase }) => {
        if (phase === 'verify' && ++writes === 1) appendFileSync(path.join(from, 'moving'), ' second');
      },
    });
    expect(result).toMatchObject({ sent: ['still', 'moving'], unsettled: [] });
    expect(readFileSync(path.join(to, 'moving'), 'utf8')).toBe('first second');
  });

  test.each(['up', 'down'] as const)(
    'all the time is told %s, and brought by a later run',
    async (direction) => {
      await using pair = await syncPair();
      const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
      mkdirSync(from);
      writeFileSync(path.join(from, 'moving'), 'x');
      const options = {
        direction,
        onProgress: ({ phase }: { readonly phase: string }): void => {
          if (phase === 'verify') appendFileSync(path.join(from, 'moving'), 'x');
        },
      };
      expect(await pair.sync(options)).toMatchObject({
        sent: [],
        unsettled: [{ path: 'moving', why: expect.stringContaining('written to') as string }],
      });
      expect(await pair.sync({ direction, onConflict: 'source' })).toMatchObject({ sent: ['moving'] });
      expect(readFileSync(path.join(to, 'moving'), 'utf8')).toBe(
        readFileSync(path.join(from, 'moving'), 'utf8'),
      );
    },
  );

  test.each(['up', 'down'] as const)('and is large never arrives torn %s', async (direction) => {
    await using pair = await syncPair();
    const [from, to] = direction === 'up' ? [pair.local, pair.remote] : [pair.remote, pair.local];
    write(from);
    const file = openSync(path.join(from, 'large-2'), 'r+');
    let isOver = false;
    let version = 0;
    // The first byte and the last are of one version; in a mix of two they differ.
    const rewrite = (): void => {
      if (isOver) return closeSync(file);
      const byte = Buffer.of(version++ % 256);
      for (const place of [0, 8 * MiB + 1]) writeSync(file, byte, 0, 1, place);
      setImmediate(rewrite);
    };
    rewrite();
    const result = await pair.sync({ direction }).finally(() => void (isOver = true));
    expect(result.sent).toHaveLength(1 + 50 + 3);
    expect(result.unsettled.map(({ path: name }) => name)).toEqual(['large-2']);
    const arrived = path.join(to, 'large-2');
    const bytes = existsSync(arrived) ? readFileSync(arrived) : Buffer.alloc(1);
    expect(bytes.at(0)).toBe(bytes.at(-1));
    expect(await pair.sync({ direction, onConflict: 'source' })).toMatchObject({
      unsettled: [],
      conflicts: [],
    });
    expect(
      differences(snapshotOf(from), snapshotOf(to)).filter((line) => !line.includes('directory')),
    ).toEqual([]);
  });
});
