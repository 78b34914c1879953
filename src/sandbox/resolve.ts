import type { FileSystemProfile } from '../protocol/permission-profile.ts';
import type { SandboxContext } from '../protocol/sandbox.ts';
import { type FindDestination, destinationFinder } from './canonical.ts';
import { findDenied } from './denied-globs.ts';
import { type FoundRule, accessAt, findNamed, foundRule, mergeRules, rulesOf } from './found-rules.ts';
import { protectMetadata } from './metadata.ts';
import { refusal } from './refusal.ts';
import { type ResolvedSandbox, comparePaths, isAtOrBelow } from './rules.ts';
import { type Ambient, type Target, type Targets, platformPaths, targetsOf } from './targets.ts';
import { nearestRule } from './verdict.ts';

const unrestricted = { kind: 'unrestricted' } as const;

/** From a profile to rules that hold here and now. Throws an RpcError that names what cannot be resolved. */
export async function resolveSandbox(context: SandboxContext, ambient: Ambient): Promise<ResolvedSandbox> {
  const { permissions } = context;
  switch (permissions.type) {
    case 'disabled':
      return { network: 'enabled', fileSystem: unrestricted, notes: [] };
    case 'external':
      return { network: permissions.network, fileSystem: unrestricted, notes: [] };
    case 'managed': {
      const { network, fileSystem } = permissions;
      if (fileSystem.type === 'unrestricted') return { network, fileSystem: unrestricted, notes: [] };
      return { network, ...(await resolveFiles(fileSystem, context, ambient)) };
    }
  }
}

async function resolveFiles(
  profile: Extract<FileSystemProfile, { type: 'restricted' }>,
  context: SandboxContext,
  ambient: Ambient,
): Promise<Omit<ResolvedSandbox, 'network'>> {
  const targets = targetsOf(profile, context, ambient);
  const find = destinationFinder();
  const named = mergeRules(await findTargets(targets, find));
  const denies = targets.denied.length > 0 || named.some(({ rule }) => rule.access === 'none');
  if (targets.everything && !denies && named.every(({ rule }) => rule.access === 'write'))
    return { fileSystem: unrestricted, notes: targets.notes };

  if (context.useLegacyLandlock) {
    const fix = 'leave it out: the executor picks what its host can enforce';
    throw refusal('asks for an enforcer that this executor does not have', 'useLegacyLandlock', fix);
  }
  const notes = [...targets.notes];
  const present = named.filter(({ rule }) => rule.kind !== 'missing' && rule.kind !== 'hidden');
  const absent = named.filter((found) => !present.includes(found));
  const denied = await findDenied(
    targets.denied,
    { depth: profile.globScanMaxDepth, cwd: context.cwd?.bytes },
    find,
  );
  const entries = mergeRules([...present, ...narrowing(absent, present, notes), ...denied]);
  const all = mergeRules([...entries, ...(await protectMetadata(entries, absent, find))]);
  refuseChangeableLinks(all);
  if (targets.minimal) all.push(...(await platformRules(all, find)));
  const rules = rulesOf(all).toSorted((a, b) => comparePaths(a.path, b.path));
  return { fileSystem: { kind: 'restricted', rules, minimal: targets.minimal, denies }, notes };
}

async function findTargets(targets: Targets, find: FindDestination): Promise<FoundRule[]> {
  const found = targets.paths.map(async (target): Promise<FoundRule | undefined> => {
    const destination = await findNamed(find, target.path, target.source);
    if (destination.kind === 'missing' && target.skipMissing) return undefined;
    if (target.directory && destination.kind !== 'directory') return undefined;
    await refuseLeaving(target, destination.path, find);
    return foundRule(destination, target);
  });
  return (await Promise.all(found)).filter((rule) => rule !== undefined);
}

async function refuseLeaving(target: Target, destination: Buffer, find: FindDestination): Promise<void> {
  if (target.within === undefined || target.access === 'none') return;
  const root = await findNamed(find, target.within, target.source);
  if (isAtOrBelow(destination, root.path)) return;
  const problem = `leaves its root through a link, to ${destination.toString()}`;
  throw refusal(problem, target.source, 'use an entry of type path for that, or remove the link');
}

/**
 * What is not there is not granted. Where something around it grants more than its own rule, that rule stays: it says what must not come
 * to be there.
 */
function narrowing(
  absent: readonly FoundRule[],
  present: readonly FoundRule[],
  notes: string[],
): FoundRule[] {
  const granted = rulesOf(present);
  return absent.flatMap((found): FoundRule[] => {
    const { rule, fileInTheWay } = found;
    const around = accessAt(granted, rule.path);
    const narrows = rule.access === 'none' ? around !== 'none' : rule.access === 'read' && around === 'write';
    const path = rule.path.toString();
    if (!narrows) {
      if (rule.access !== 'none')
        notes.push(`${rule.source} has no effect: ${path} is not there or not reachable.`);
      return [];
    }
    if (around !== 'write') return [{ ...found, rule: { ...rule, place: rule.path } }];
    if (rule.kind === 'hidden') {
      const problem = `names ${path}, which is behind a directory that the executor may not enter`;
      throw refusal(problem, rule.source, 'give it search permission for that directory');
    }
    if (fileInTheWay !== undefined) {
      const problem = `names ${path}, where ${fileInTheWay.toString()} is a file that could be replaced`;
      throw refusal(problem, rule.source, 'name the file itself');
    }
    return [found];
  });
}

/** A link that the sandboxed can replace would lead the same profile elsewhere the next time. */
function refuseChangeableLinks(all: readonly FoundRule[]): void {
  const rules = rulesOf(all);
  for (const { rule, links } of all) {
    const link = links.find((link) => accessAt(rules, link) === 'write');
    if (link === undefined) continue;
    const problem = `leads through the symbolic link ${link.toString()}, which the same profile makes writable`;
    throw refusal(problem, rule.source, `name what it leads to, ${rule.path.toString()}`);
  }
}

/** What the platform needs is readable, and nothing becomes narrower by it. */
async function platformRules(all: readonly FoundRule[], find: FindDestination): Promise<FoundRule[]> {
  const named = rulesOf(all);
  const found = await Promise.all(
    platformPaths.map(async (text): Promise<FoundRule | undefined> => {
      const path = Buffer.from(text);
      const destination = await find(path).catch(() => undefined);
      if (destination === undefined || destination.identity === undefined) return undefined;
      // A denial of the whole disk is what it starts from; any narrower one was meant.
      const around = nearestRule(named, destination.path);
      if (around !== undefined && (around.access !== 'none' || around.path.length > 1)) return undefined;
      return foundRule(destination, { access: 'read', source: 'minimal (read)', path });
    }),
  );
  return mergeRules(found.filter((rule) => rule !== undefined));
}
