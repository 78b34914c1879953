import { type Destination, type FindDestination, UnusablePathError } from './canonical.ts';
import { refusal } from './refusal.ts';
import type { Access, Rule } from './rules.ts';
import { nearestRule, strength } from './verdict.ts';

/** A rule on its way, with what was seen when its path was followed. */
export interface FoundRule {
  readonly rule: Rule;
  /** The links that led to it, where they really are. */
  readonly links: readonly Buffer[];
  /** A file that its path goes on behind. */
  readonly fileInTheWay: Buffer | undefined;
}

export interface RuleOrigin {
  readonly access: Access;
  readonly source: string;
  /** As the profile writes it. */
  readonly path: Buffer;
  readonly protectedMetadata?: boolean;
}

export function foundRule(destination: Destination, origin: RuleOrigin): FoundRule {
  const { path, kind, identity, firstMissing, links, fileInTheWay } = destination;
  const rule: Rule = {
    path,
    place: firstMissing ?? path,
    access: origin.access,
    source: origin.source,
    kind,
    identity,
    firstMissing,
    protectedMetadata: origin.protectedMetadata ?? false,
    aliases: origin.path.equals(path) ? [] : [origin.path],
  };
  return { rule, links, fileInTheWay };
}

export async function findNamed(find: FindDestination, path: Buffer, source: string): Promise<Destination> {
  try {
    return await find(path);
  } catch (error) {
    if (!(error instanceof UnusablePathError)) throw error;
    const problem = `names ${path.toString()}, which cannot be followed: ${error.message}`;
    throw refusal(problem, source, 'name a path that leads somewhere');
  }
}

/** One for each path: a denial counts before a write grant, and that before a read grant. */
export function mergeRules(found: readonly FoundRule[]): FoundRule[] {
  const byPath = new Map<string, FoundRule>();
  for (const candidate of found) {
    const key = candidate.rule.path.toString('latin1');
    const other = byPath.get(key);
    byPath.set(key, other === undefined ? candidate : mergeTwo(other, candidate));
  }
  return [...byPath.values()];
}

function mergeTwo(first: FoundRule, second: FoundRule): FoundRule {
  const stronger = strength[second.rule.access] > strength[first.rule.access];
  const [strong, weak] = stronger ? [second, first] : [first, second];
  const aliases = [...strong.rule.aliases, ...weak.rule.aliases];
  const protects = weak.rule.protectedMetadata && weak.rule.access === strong.rule.access;
  const protectedMetadata = strong.rule.protectedMetadata || protects;
  return {
    ...strong,
    rule: { ...strong.rule, aliases, protectedMetadata },
    links: [...strong.links, ...weak.links],
  };
}

export function rulesOf(found: readonly FoundRule[]): readonly Rule[] {
  return found.map(({ rule }) => rule);
}

/** What these rules say of a path that they need not be about. */
export function accessAt(rules: readonly Rule[], path: Buffer): Access {
  return nearestRule(rules, path)?.access ?? 'none';
}
