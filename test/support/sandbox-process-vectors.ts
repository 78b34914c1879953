import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';

import { type Enforcer, runConfined } from './sandbox-arena.ts';
import { expand } from './sandbox-fixture.ts';
import { type WireSandbox, special } from './sandbox-profiles.ts';
import {
  type User,
  type VectorRun,
  expressible,
  refusalOf,
  stateOf,
  vectorCases,
} from './sandbox-vector-cases.ts';
import { type Vector, pathOf, sandboxOf } from './sandbox-vectors.ts';

/** Rows that say something of file methods only: shared memory is a process's own, and its effect lasts as long as it does. */
const filesOnly = new Set([7]);

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
  return { ...sandbox, permissions: { ...permissions, file_system: { ...files, entries } } };
}

async function runProcessVector({ vector, enforcer, places, client }: VectorRun): Promise<void> {
  const path = pathOf(vector, places);
  const to = vector.to === undefined ? undefined : expand(vector.to, places);
  const target = to ?? path.replace(/^\/proc\/self\/root/, '');
  const before = await stateOf(target);
  const env = { PATH: '/usr/bin:/bin', LANG: 'C', ...(vector.tmpdir && { TMPDIR: places.T }) };
  const sandbox = withPlatform(sandboxOf(vector, places, 'uri'));
  const run = runConfined({ client }, commandOf(vector, path, to), sandbox, { env });
  const { expected } = vector;
  if (typeof expected === 'object' || (enforcer === 'landlock' && !expressible(vector))) {
    const error = await refusalOf(run);
    if (typeof expected === 'object') expect(error.code).toBe(expected.refused[0]);
    else expect(error.data).toMatchObject({ sandbox: { refused: true, rule: expect.any(String) } });
    expect(await stateOf(target)).toBe(before);
    return;
  }
  const { exitCode, output } = await run;
  if (expected === 'denied') {
    expect(exitCode).not.toBe(0);
    expect(await stateOf(target)).toBe(before);
    return;
  }
  expect(output).toBe('');
  expect(exitCode).toBe(0);
  if (vector.operation === 'write' && !path.startsWith('/dev/'))
    expect(await readFile(target, 'utf8')).toBe('written');
  if (vector.operation === 'remove') expect(await stateOf(target)).toBe('missing');
}

/** The vectors by commands of a shell. */
export function processVectors(enforcer: Enforcer, user: User): void {
  vectorCases(
    { enforcer, user },
    (vector) => !filesOnly.has(vector.number) && vector.permissions === undefined,
    runProcessVector,
  );
}
