import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RpcError } from '../../../src/protocol/errors.ts';
import { SandboxContextParam } from '../../../src/protocol/sandbox.ts';
import { findDestination } from '../../../src/sandbox/canonical.ts';
import { resolveSandbox } from '../../../src/sandbox/resolve.ts';
import type { ResolvedSandbox } from '../../../src/sandbox/rules.ts';
import { decide } from '../../../src/sandbox/verdict.ts';
import { expand, makePlaces } from '../../support/sandbox-fixture.ts';
import { type Operation, pathOf, sandboxOf, titleOf, vectors } from '../../support/sandbox-vectors.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

async function isAllowed(sandbox: ResolvedSandbox, operation: Operation, name: string): Promise<boolean> {
  const accessTo = (bytes: Buffer): string => decide(sandbox, bytes).access;
  if (operation === 'remove') {
    const parent = (await findDestination(Buffer.from(path.dirname(name)))).path;
    const entry = Buffer.from(path.join(parent.toString(), path.basename(name)));
    return accessTo(parent) === 'write' && accessTo(entry) === 'write';
  }
  const access = accessTo((await findDestination(Buffer.from(name))).path);
  const reads = operation === 'read' || operation === 'list' || operation === 'copy';
  return reads ? access !== 'none' : access === 'write';
}

describe.each(['uri', 'plain'] as const)('with paths in the form %s', (form) => {
  it.each(vectors.map((vector) => [titleOf(vector), vector] as const))('%s', async (_title, vector) => {
    await using folder = await temporaryFolder();
    const places = await makePlaces(folder.path);
    await vector.setUp?.(places);
    const context = SandboxContextParam.parse(sandboxOf(vector, places, form));
    const ambient = { tmpdir: vector.tmpdir && places.T, form, minimal: vector.filesOnly };
    const { expected } = vector;
    if (typeof expected === 'object') {
      const error: unknown = await resolveSandbox(context, ambient).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(RpcError);
      expect((error as RpcError).code).toBe(expected.refused[form === 'uri' ? 0 : 1]);
      return;
    }
    const sandbox = await resolveSandbox(context, ambient);
    const allowed =
      (await isAllowed(sandbox, vector.operation, pathOf(vector, places))) &&
      (vector.to === undefined || (await isAllowed(sandbox, 'write', expand(vector.to, places))));
    expect(allowed ? 'allowed' : 'denied').toBe(expected);
  });
});

it('has all 87 vectors', () => {
  const numbers = new Set(vectors.map(({ number }) => number));
  expect([...numbers]).toEqual(Array.from({ length: 87 }, (_one, index) => index + 1));
});
