import { lstat, readFile, readdir, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { LocalExecutor } from '../../src/environments/local.ts';
import { RpcError } from '../../src/protocol/errors.ts';
import { type Enforcer, arena, confinedExecutor, requireSandbox } from './sandbox-arena.ts';
import { type Places, makePlaces } from './sandbox-fixture.ts';
import { giveAway, ordinaryExecutor } from './sandbox-ordinary.ts';
import { type Vector, titleOf, vectors } from './sandbox-vectors.ts';

/** root: the executor is the tests' own user, who is often that. */
export type User = 'root' | 'ordinary';

export interface VectorRun {
  readonly vector: Vector;
  readonly enforcer: Enforcer;
  readonly places: Places;
  readonly client: LocalExecutor['client'];
}

/** What Landlock has no words for is refused; a read-only place inside of a writable one is the broker's work. */
export function expressible({ entries }: Vector): boolean {
  return !entries.some((entry) => entry.endsWith(':none') && entry !== 'root:none');
}

/** Runs each vector that this is about on a tree of its own. */
export function vectorCases(
  { enforcer, user }: { readonly enforcer: Enforcer; readonly user: User },
  concerns: (vector: Vector) => boolean,
  run: (run: VectorRun) => Promise<void>,
): void {
  const start = async (env: Readonly<Record<string, string>> = {}): Promise<LocalExecutor> =>
    user === 'ordinary'
      ? ordinaryExecutor({ enforcer, env })
      : confinedExecutor(enforcer, { env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C', ...env } });
  let executor: LocalExecutor | undefined;
  beforeAll(async () => {
    executor = await start();
  });
  afterAll(async () => executor?.[Symbol.asyncDispose]());

  const rows = vectors.filter(
    (vector) => concerns(vector) && (vector.host === undefined || enforcer === 'landlock'),
  );
  test.for(rows.map((vector) => [titleOf(vector), vector] as const))('%s', async ([, vector], context) => {
    requireSandbox(context);
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await arena());
    const places = await makePlaces(folder.path);
    stack.defer(async () => rm(places.PROBE, { force: true }));
    await vector.setUp?.(places);
    if (user === 'ordinary') await giveAway(folder.path);
    const own = vector.tmpdir ? stack.use(await start({ TMPDIR: places.T })) : executor;
    if (own === undefined) throw new Error('There is no executor.');
    await run({ vector, enforcer, places, client: own.client });
  });
}

export async function stateOf(path: string): Promise<string> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return 'missing';
  // What is only there for a sandbox that lives.
  if ((stats.mode & 0o1022) === 0o1000 && stats.isDirectory() && (await readdir(path)).length === 0)
    return 'missing';
  if (!stats.isFile()) return stats.isDirectory() ? 'directory' : 'there';
  return `file ${await readFile(path, 'latin1')}`;
}

export async function refusalOf(call: Promise<unknown>): Promise<RpcError> {
  const error: unknown = await call.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}
