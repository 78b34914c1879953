import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { latencies, milliseconds, type Sample } from '../stats.ts';
import { WireClient } from '../wire-client.ts';
import type { Row, Subject } from './row.ts';

const CALLS = 100;
/** Not below the temporary directory: that is writable in the profiles that agents use. */
const PARENT = '/var/tmp';

type Call = (method: string, params: object) => Promise<unknown>;

/** Calls in a workspace that may be written to, on a tree that may be read. */
async function confined<T>(
  { target, url }: Subject,
  work: (call: Call, file: string) => Promise<T>,
): Promise<T> {
  const workspace = await mkdtemp(path.join(PARENT, 'exec-bench-'));
  const shown = (place: string): string =>
    target.cwd.startsWith('file:') ? pathToFileURL(place).href : place;
  const special = (kind: string, access: string) => ({ path: { type: 'special', value: { kind } }, access });
  // Where nothing is denied the reference reads without a sandbox.
  const denied = {
    path: { type: 'path', path: shown(path.join(PARENT, 'exec-bench-denied')) },
    access: 'none',
  };
  const entries = [special('root', 'read'), special('project_roots', 'write'), denied];
  const sandbox = {
    permissions: { type: 'managed', network: 'restricted', file_system: { type: 'restricted', entries } },
    cwd: shown(workspace),
    workspaceRoots: [shown(workspace)],
    windowsSandboxLevel: 'disabled',
  };
  try {
    using client = await WireClient.open(url);
    const file = shown(path.join(workspace, 'file'));
    return await work((method, params) => client.call(method, { ...params, sandbox }), file);
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

const write = { dataBase64: Buffer.from('content').toString('base64') };

export const sandboxedWrite: Row = {
  name: 'sandboxed-write',
  title: `Sandboxed fs/writeFile (the first, then ${CALLS} in turn)`,
  servedByNull: false,
  run: async (subject: Subject): Promise<readonly Sample[]> =>
    confined(subject, async (call, file) => {
      const first = await timed(() => call('fs/writeFile', { path: file, ...write }));
      const times: number[] = [];
      for (let count = 0; count < CALLS; count += 1)
        times.push(await timed(() => call('fs/writeFile', { path: file, ...write })));
      return [milliseconds('first', first), ...latencies(times)];
    }),
};

export const sandboxedRead: Row = {
  name: 'sandboxed-read',
  title: `Sandboxed fs/readFile (${CALLS} in turn)`,
  servedByNull: false,
  run: async (subject: Subject): Promise<readonly Sample[]> =>
    confined(subject, async (call, file) => {
      await call('fs/writeFile', { path: file, ...write });
      const times: number[] = [];
      for (let count = 0; count < CALLS; count += 1)
        times.push(await timed(() => call('fs/readFile', { path: file })));
      return latencies(times);
    }),
};
