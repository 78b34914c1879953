import { lstat, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RpcError } from '../../src/protocol/errors.ts';
import type { LocalExecutor } from '../../src/environments/local.ts';
import {
  type Enforcer,
  arena,
  confinedExecutor,
  requireSandbox,
  runConfined,
} from '../support/sandbox-arena.ts';
import { expand, makePlaces } from '../support/sandbox-fixture.ts';
import { type WireSandbox, special } from '../support/sandbox-profiles.ts';
import { type Vector, pathOf, sandboxOf, titleOf, vectors } from '../support/sandbox-vectors.ts';

/** Rows that say something of file methods only: shared memory is a process's own, and its effect lasts as long as it does. */
const filesOnly = new Set([7]);

/** What Landlock has no words for is refused; a read-only place inside of a writable one is the broker's work. */
function expressible(vector: Vector): boolean {
  const denies = vector.entries.some((entry) => entry.endsWith(':none') && entry !== 'root:none');
  return !denies;
}

function commandOf(vector: Vector, path: string, to: string | undefined): string {
  switch (vector.operation) {
    case 'read':
      return `cat ${path} >/dev/null`;
    case 'write':
      return `printf written > ${path}`;
    case 'remove':
      return `rm -r ${path}`;
    case 'mkdir':
      // Without -p: a directory that is only there to be mounted on is none that was made.
      return vector.expected === 'allowed' ? `mkdir -p ${path}` : `mkdir ${path}`;
    case 'list':
      return `ls ${path}`;
    case 'copy':
      return `cp ${path} ${to}`;
  }
}

/** A shell needs the platform, and so does whoever wants to see what it may do. */
function withPlatform(sandbox: WireSandbox): WireSandbox {
  const { permissions } = sandbox;
  if (permissions.type !== 'managed' || permissions.file_system?.type !== 'restricted') return sandbox;
  const files = permissions.file_system;
  const entries = [...files.entries, special({ kind: 'minimal' }, 'read')];
  return { ...sandbox, permissions: { ...permissions, file_system: { ...files, entries } } } as WireSandbox;
}

async function stateOf(path: string): Promise<string> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return 'missing';
  if (!stats.isFile()) return 'there';
  return `file ${await readFile(path, 'latin1')}`;
}

describe.each(['bubblewrap', 'landlock'] as const)('by %s', (enforcer: Enforcer) => {
  let executor: LocalExecutor;
  beforeAll(async () => {
    executor = await confinedExecutor(enforcer);
  });
  afterAll(async () => executor[Symbol.asyncDispose]());

  const rows = vectors.filter(
    (vector) =>
      !filesOnly.has(vector.number) &&
      vector.permissions === undefined &&
      (vector.host === undefined || enforcer === 'landlock'),
  );
  test.for(rows.map((vector) => [titleOf(vector), vector] as const))('%s', async ([, vector], context) => {
    requireSandbox(context);
    await using folder = await arena();
    const places = await makePlaces(folder.path);
    await vector.setUp?.(places);
    const path = pathOf(vector, places);
    const to = vector.to === undefined ? undefined : expand(vector.to, places);
    const target = to ?? path.replace(/^\/proc\/self\/root/, '');
    const before = await stateOf(target);
    const run = runConfined(
      executor,
      commandOf(vector, path, to),
      withPlatform(sandboxOf(vector, places, 'uri')),
      {
        env: { PATH: '/usr/bin:/bin', LANG: 'C', ...(vector.tmpdir && { TMPDIR: places.T }) },
      },
    );
    const { expected } = vector;
    const refused = typeof expected === 'object' || (enforcer === 'landlock' && !expressible(vector));
    if (refused) {
      const error: unknown = await run.catch((error: unknown) => error);
      expect(error).toBeInstanceOf(RpcError);
      if (typeof expected === 'object') expect((error as RpcError).code).toBe(expected.refused[0]);
      else
        expect((error as RpcError).data).toMatchObject({
          sandbox: { refused: true, rule: expect.any(String) },
        });
      expect(await stateOf(target)).toBe(before);
      return;
    }
    const { exitCode, output } = await run;
    if (expected === 'allowed') {
      expect(output).toBe('');
      expect(exitCode).toBe(0);
      if (vector.operation === 'write' && !path.startsWith('/dev/')) {
        expect(await readFile(target, 'utf8')).toBe('written');
      }
      if (vector.operation === 'remove') expect(await stateOf(target)).toBe('missing');
    } else {
      expect(exitCode).not.toBe(0);
      expect(await stateOf(target)).toBe(before);
    }
  });
});
