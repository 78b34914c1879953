import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { ExecClient } from '../../src/client/exec-client.ts';
import { type SyncOptions, type SyncResult } from '../../src/environments/sync/options.ts';
import { syncDirectory } from '../../src/environments/sync/sync.ts';
import { memoryTarget, webSocketTarget } from './conformance-targets.ts';
import { removeTree } from './transfer-trees.ts';

/** Two directories, and an executor between them. */
export interface SyncPair extends AsyncDisposable {
  readonly folder: string;
  readonly local: string;
  readonly remote: string;
  readonly client: ExecClient;
  sync(options?: Partial<SyncOptions>): Promise<SyncResult>;
}

export async function syncPair(road: 'memory' | 'websocket' = 'memory'): Promise<SyncPair> {
  const target = road === 'memory' ? memoryTarget() : webSocketTarget();
  const executor = await target.start();
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-sync-')));
  const client = await ExecClient.connect({ transport: await executor.connect() });
  const [local, remote] = [path.join(folder, 'local'), path.join(folder, 'remote')];
  const state = { directory: path.join(folder, 'state'), environment: 'test' };
  return {
    folder,
    local,
    remote,
    client,
    sync: (options = {}) => syncDirectory(client, { local, remote, direction: 'up', state, ...options }),
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await executor[Symbol.asyncDispose]();
      removeTree(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
