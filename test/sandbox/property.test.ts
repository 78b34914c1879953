import { lstat, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LocalExecutor } from '../../src/environments/local.ts';
import { RpcError } from '../../src/protocol/errors.ts';
import { SandboxContextParam } from '../../src/protocol/sandbox.ts';
import { resolveSandbox } from '../../src/sandbox/resolve.ts';
import type { ResolvedSandbox } from '../../src/sandbox/rules.ts';
import { decide } from '../../src/sandbox/verdict.ts';
import { arena, confinedExecutor, requireSandbox, runConfined } from '../support/sandbox-arena.ts';
import { realOf } from '../support/sandbox-oracle.ts';
import {
  type WireAccess,
  type WireEntry,
  type WireSandbox,
  at,
  glob,
  projectRoots,
  restricted,
  root,
  special,
} from '../support/sandbox-profiles.ts';
import { Random } from '../support/unit-random.ts';

/** Add the one that failed elsewhere. */
const seeds = [1, 2, 3, 20_261_120];
const rounds = 18;
const askedPaths = 28;

const names = ['a', 'b', 'ab', 'a.b', '.git', '.codex', 'c d', 'gen'];

async function randomTree(base: string, random: Random): Promise<string[]> {
  const made = [base];
  const folders = [base];
  for (let i = 0; i < 16; i++) {
    const name = path.join(random.pick(folders), random.pick(names));
    if (made.includes(name)) continue;
    const kind = random.below(10);
    if (kind < 6) {
      await mkdir(name);
      folders.push(name);
    } else if (kind < 9) await writeFile(name, 'x');
    else await symlink(path.relative(path.dirname(name), random.pick(made)) || '.', name);
    made.push(name);
  }
  return made;
}

function randomPath(tree: readonly string[], random: Random): string {
  const parts = Array.from({ length: random.below(5) === 0 ? 2 : random.below(2) }, () => random.pick(names));
  return path.join(random.pick(tree), ...parts);
}

function randomEntry(base: string, tree: readonly string[], random: Random): WireEntry {
  const access: WireAccess = random.pick(['read', 'write', 'write', 'none']);
  switch (random.below(8)) {
    case 0:
      return glob(`${base}/**/${random.pick(names).replace(' ', '?')}`, 'none');
    case 1:
      return projectRoots(access, random.pick([...names, 'a/b', 'gen/x']));
    case 2:
      return projectRoots(access);
    default:
      return at(randomPath(tree, random), access);
  }
}

function randomProfile(base: string, tree: readonly string[], random: Random): WireSandbox {
  const entries = Array.from({ length: 1 + random.below(5) }, () => randomEntry(base, tree, random));
  // Landlock can grant less by less, and deny nothing in a grant: half of the profiles are of that kind.
  const usable = random.below(2) === 0 ? entries : entries.filter(({ access }) => access !== 'none');
  const around: WireEntry[][] = [[root('read')], [root('read')], [root('write')], [root('none')], []];
  const all = [special({ kind: 'minimal' }, 'read'), ...random.pick(around), ...usable];
  return { permissions: restricted(random.shuffle(all)), cwd: base, workspaceRoots: [base] };
}

/** `f` and `d`: a file or a directory is there; `m`: nothing is; `o`: only looked at, because it is not ours. */
type Kind = 'f' | 'd' | 'm' | 'o';

interface Asked {
  readonly path: string;
  readonly kind: Kind;
}

async function askedOf(base: string, tree: readonly string[], random: Random): Promise<Asked[]> {
  const written = [...tree, ...Array.from({ length: askedPaths }, () => randomPath(tree, random))];
  const canonical = [...new Set(written.map(realOf))].slice(0, askedPaths);
  const inside = canonical.map(async (name): Promise<Asked> => {
    const stats = await lstat(name).catch(() => undefined);
    return { path: name, kind: stats === undefined ? 'm' : stats.isDirectory() ? 'd' : 'f' };
  });
  const outside = ['/usr/bin', '/var', path.dirname(base)].map((name): Asked => ({ path: name, kind: 'o' }));
  return [...(await Promise.all(inside)), ...outside];
}

/** Opens each path for reading, and then makes a change where one can be made; says what has worked. */
const script = `
i=0
while [ $# -gt 0 ]; do
  (exec 3< "$2") 2>/dev/null && echo "$i r"
  case $1 in
    d) (: > "$2/probe") 2>/dev/null && echo "$i w" ;;
    f) (printf y >> "$2") 2>/dev/null && echo "$i w" ;;
    m) (: > "$2") 2>/dev/null && echo "$i w" ;;
  esac
  i=$((i+1)); shift 2
done`;

interface Verdict {
  readonly reads: boolean;
  readonly writes: boolean;
}

/** What the rules say, in the kernel's words; undefined where both are right. */
async function expectedOf(
  sandbox: ResolvedSandbox,
  { path: name, kind }: Asked,
  enforcer: string,
  asked: readonly Asked[],
): Promise<{ reads: boolean | undefined; writes: boolean }> {
  const { access, rule } = decide(sandbox, Buffer.from(name));
  const writes = access === 'write' && kind !== 'o';
  if (kind === 'm') {
    // Nothing can be made in a directory that is not there. Who makes one of the paths here makes a file.
    const parent = await lstat(path.dirname(name)).catch(() => undefined);
    const there =
      parent?.isDirectory() === true &&
      !asked.some((one) => one.path === path.dirname(name) && one.kind === 'm');
    // What must not be made is taken by an empty directory, which can be seen where the rule grants reading.
    return { reads: access === 'read' ? undefined : false, writes: writes && there };
  }
  // On the way to a grant there are directories with nothing in them but that way. Only what is denied itself is closed.
  const isOnTheWay =
    enforcer === 'bubblewrap' &&
    access === 'none' &&
    rule?.place.toString() !== name &&
    grants(sandbox).some((granted) => granted.startsWith(`${name}/`));
  return { reads: isOnTheWay ? undefined : access !== 'none', writes };
}

/** By all names that they have in the profile. */
function grants({ fileSystem }: ResolvedSandbox): string[] {
  if (fileSystem.kind === 'unrestricted') return [];
  const granted = fileSystem.rules.filter(({ access }) => access !== 'none');
  return granted.flatMap((rule) => rule.aliases.concat(rule.path)).map(String);
}

/** Whether something has come of a change, on the host. */
async function isChanged({ path: name, kind }: Asked): Promise<boolean> {
  if (kind === 'f') return (await readFile(name, 'latin1')) !== 'x';
  const made = await lstat(kind === 'd' ? `${name}/probe` : name).catch(() => undefined);
  return kind !== 'o' && made?.isFile() === true;
}

describe.each(['bubblewrap', 'landlock'] as const)('by %s', (enforcer) => {
  let executor: LocalExecutor;
  beforeAll(async () => {
    executor = await confinedExecutor(enforcer);
  });
  afterAll(async () => executor[Symbol.asyncDispose]());
  const seen = { verdicts: 0, ran: 0, refused: 0, notExpressible: 0 };

  async function round(random: Random, shown: (sandbox: WireSandbox) => string): Promise<void> {
    await using folder = await arena();
    const tree = await randomTree(folder.path, random);
    const wire = randomProfile(folder.path, tree, random);
    const asked = await askedOf(folder.path, tree, random);
    const sandbox = await resolveSandbox(SandboxContextParam.parse(wire), { tmpdir: undefined }).catch(
      (error: unknown) => error,
    );
    const argv = ['/bin/sh', '-c', script, 'sh', ...asked.flatMap(({ kind, path: name }) => [kind, name])];
    const ran = await runConfined(executor, '', wire, { argv }).catch((error: unknown) => error);
    if (sandbox instanceof RpcError) {
      expect(ran, shown(wire)).toBeInstanceOf(RpcError);
      expect((ran as RpcError).message, shown(wire)).toBe(sandbox.message);
      seen.refused += 1;
      return;
    }
    if (enforcer === 'landlock' && ran instanceof RpcError) {
      expect(ran.data, shown(wire)).toMatchObject({ sandbox: { refused: true, rule: expect.any(String) } });
      seen.notExpressible += 1;
      return;
    }
    if (ran instanceof Error) throw new Error(shown(wire), { cause: ran });
    const { output } = ran as { output: string };
    const did = new Set(output.split('\n'));
    for (const [index, one] of asked.entries()) {
      const kernel: Verdict = { reads: did.has(`${index} r`), writes: did.has(`${index} w`) };
      const expected = await expectedOf(sandbox as ResolvedSandbox, one, enforcer, asked);
      const about = `${one.kind} ${one.path} under ${shown(wire)}\nrules: ${rulesText(sandbox as ResolvedSandbox)}`;
      expect(kernel.writes, `writing ${about}`).toBe(expected.writes);
      if (expected.reads !== undefined) expect(kernel.reads, `reading ${about}`).toBe(expected.reads);
      // What has worked is there, and nothing else.
      expect(await isChanged(one), `the effect on ${about}`).toBe(kernel.writes);
      seen.verdicts += 1;
    }
    seen.ran += 1;
  }

  test.for(seeds)('the kernel decides as the rules do (seed %i)', async (seed, context) => {
    requireSandbox(context);
    const random = new Random(seed);
    for (let index = 0; index < rounds; index++) {
      await round(random, (wire) => JSON.stringify({ seed, round: index, wire }, undefined, 1));
    }
  });

  test('most profiles are enforced, and some are refused', (context) => {
    requireSandbox(context);
    expect(seen.ran).toBeGreaterThan(20);
    expect(seen.verdicts).toBeGreaterThan(500);
    expect(seen.refused).toBeGreaterThan(2);
    if (enforcer === 'landlock') expect(seen.notExpressible).toBeGreaterThan(2);
  });
});

function rulesText({ fileSystem }: ResolvedSandbox): string {
  if (fileSystem.kind === 'unrestricted') return 'none';
  return fileSystem.rules
    .map(
      ({ path: name, place, access, kind }) => `${access} ${name.toString()} (${kind}, ${place.toString()})`,
    )
    .join('\n');
}
