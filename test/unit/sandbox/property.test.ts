import { mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RpcError } from '../../../src/protocol/errors.ts';
import { SandboxContextParam } from '../../../src/protocol/sandbox.ts';
import { resolveSandbox } from '../../../src/sandbox/resolve.ts';
import { decide } from '../../../src/sandbox/verdict.ts';
import { type OracleEntry, oracle, realOf } from '../../support/sandbox-oracle.ts';
import { at, restricted } from '../../support/sandbox-profiles.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';
import { Random, seeds } from '../../support/unit-random.ts';

const folders = ['a', 'b', 'ab', 'a.b', '.git', '.codex', 'c'];

/** Directories, files and links that lead somewhere; the names of all of them, the base first. */
async function randomTree(base: string, random: Random): Promise<string[]> {
  const made = [base];
  const inside = [base];
  for (let i = 0; i < 14; i++) {
    const name = path.join(random.pick(inside), random.pick(folders));
    if (made.includes(name)) continue;
    const kind = random.below(10);
    if (kind < 6) {
      await mkdir(name);
      inside.push(name);
    } else if (kind < 8) await writeFile(name, 'x');
    else await symlink(path.relative(path.dirname(name), random.pick(made)) || '.', name);
    made.push(name);
  }
  return made;
}

function randomPath(tree: readonly string[], random: Random): string {
  const parts = Array.from({ length: random.below(3) }, () => random.pick(folders));
  return path.join(random.pick(tree), ...parts);
}

describe('random profiles over random trees', () => {
  const seen = { verdicts: 0, refusals: 0 };

  it.each(seeds)('mean what the words of the model say (seed %i)', async (seed) => {
    const random = new Random(seed);
    for (let round = 0; round < 60; round++) {
      await using folder = await temporaryFolder();
      const base = await realpath(folder.path);
      const tree = await randomTree(base, random);
      const entries: OracleEntry[] = Array.from({ length: 1 + random.below(6) }, () => ({
        path: random.below(8) === 0 ? '/' : randomPath(tree, random),
        access: random.pick(['read', 'write', 'write', 'none'] as const),
      }));
      const context = SandboxContextParam.parse({
        permissions: restricted(entries.map(({ path, access }) => at(path, access))),
      });
      const shown = JSON.stringify({ seed, round, entries }, undefined, 1);
      const expected = oracle(entries);
      const sandbox = await resolveSandbox(context, { tmpdir: undefined }).catch((error: unknown) => error);
      if (expected === 'refused') {
        expect(sandbox, shown).toBeInstanceOf(RpcError);
        seen.refusals += 1;
        continue;
      }
      expect(sandbox, shown).not.toBeInstanceOf(Error);
      const asked = [...tree, ...Array.from({ length: 20 }, () => randomPath(tree, random))].map(realOf);
      for (const name of [...asked, '/', '/usr/bin', path.dirname(base)]) {
        const { access } = decide(sandbox as Awaited<ReturnType<typeof resolveSandbox>>, Buffer.from(name));
        expect(access, `${name} under ${shown}`).toBe(expected(name));
        seen.verdicts += 1;
      }
    }
  });

  it('are refused in some cases and not in most', () => {
    expect(seen.refusals).toBeGreaterThan(10);
    expect(seen.verdicts).toBeGreaterThan(1000);
  });
});
