import { type MountPlan, planMounts } from './mounts.ts';
import type { HostFacts } from './host.ts';
import type { ResolvedSandbox, Rule } from './rules.ts';
import { isBelow } from './rule-paths.ts';

/** Guarantees that an operator may give up for an executor, where its host cannot enforce them. */
export const weakerGuarantees = ['protected-metadata'] as const;
export type WeakerGuarantee = (typeof weakerGuarantees)[number];

export interface LandlockPlan {
  /** undefined: everything is readable. */
  readonly readable: readonly Buffer[] | undefined;
  readonly writable: readonly Buffer[];
  /** Read-only inside of what is writable: changes of these trees go through the launcher. */
  readonly protected: readonly Buffer[];
}

export type Enforcement =
  /** Nothing was asked that needs enforcing. */
  | { readonly enforcer: 'none' }
  /** The network only. */
  | { readonly enforcer: 'seccomp' }
  | { readonly enforcer: 'bubblewrap'; readonly mounts: MountPlan; readonly ownProc: boolean }
  | { readonly enforcer: 'landlock'; readonly grants: LandlockPlan };

export interface Plan {
  readonly enforcement: Enforcement;
  readonly networkCut: boolean;
  /** What was asked and is not enforced, because the operator said so. */
  readonly givenUp: readonly WeakerGuarantee[];
}

export interface Refusal {
  readonly refused: string;
  /** The rule that cannot be enforced, in words; undefined where it is not about one. */
  readonly rule?: string | undefined;
  /** What to do about it. */
  readonly fix: string;
}

/** From rules and what the host can do to what is going to be done, or why nothing is. Nothing is ever enforced in part. */
export function plan(
  sandbox: ResolvedSandbox,
  host: HostFacts,
  allowed: ReadonlySet<WeakerGuarantee> = new Set(),
): Plan | Refusal {
  const networkCut = sandbox.network === 'restricted';
  if (sandbox.fileSystem.kind === 'unrestricted') {
    if (!networkCut) return { enforcement: { enforcer: 'none' }, networkCut, givenUp: [] };
    return host.launcher.usable
      ? { enforcement: { enforcer: 'seccomp' }, networkCut, givenUp: [] }
      : {
          refused: `A restricted network cannot be enforced: ${host.launcher.problem}.`,
          fix: host.launcher.fix,
        };
  }
  if (!host.launcher.usable) {
    return { refused: `No sandbox can be enforced: ${host.launcher.problem}.`, fix: host.launcher.fix };
  }
  const rules = sandbox.fileSystem.rules;
  if (host.bubblewrap.usable) {
    const mounts = planMounts(rules);
    return {
      enforcement: { enforcer: 'bubblewrap', mounts, ownProc: host.bubblewrap.ownProc },
      networkCut,
      givenUp: [],
    };
  }
  if (!host.landlock.usable) {
    return {
      refused: `This host cannot enforce a sandbox: ${host.bubblewrap.problem}; ${host.landlock.problem}.`,
      fix: host.bubblewrap.fix,
    };
  }
  return planLandlock(rules, host, networkCut, allowed);
}

function planLandlock(
  rules: readonly Rule[],
  host: HostFacts,
  networkCut: boolean,
  allowed: ReadonlySet<WeakerGuarantee>,
): Plan | Refusal {
  const fix = host.bubblewrap.usable ? '' : host.bubblewrap.fix;
  const protectedRules: Rule[] = [];
  let givenUp = false;
  for (const rule of rules) {
    const outer = nearest(rule, rules);
    if (outer === undefined || outer.access === rule.access || outer.access === 'none') continue;
    // What is not there yet has nothing to read: it is enough that nobody creates it.
    if (rule.access === 'none' && rule.kind !== 'missing' && rule.kind !== 'hidden') {
      return {
        refused: `This host enforces by Landlock, which cannot deny a path inside of a grant: ${rule.source}.`,
        rule: rule.source,
        fix,
      };
    }
    if (rule.access === 'write' || outer.access !== 'write') continue;
    if (host.landlock.usable && host.landlock.broker) protectedRules.push(rule);
    else if (rule.protectedMetadata && allowed.has('protected-metadata')) givenUp = true;
    else {
      return {
        refused: `This host enforces by Landlock without a broker, which cannot keep a path read-only inside of a writable one: ${rule.source}.`,
        rule: rule.source,
        fix: `${fix}${rule.protectedMetadata ? ', or start the executor with --allow-weaker protected-metadata' : ''}`,
      };
    }
  }
  const there = rules.filter(
    ({ access, kind }) => access !== 'none' && kind !== 'missing' && kind !== 'hidden',
  );
  const root = rules.find((rule) => rule.path.length === 1);
  return {
    enforcement: {
      enforcer: 'landlock',
      grants: {
        readable: root !== undefined && root.access !== 'none' ? undefined : there.map((rule) => rule.path),
        writable: there.filter((rule) => rule.access === 'write').map((rule) => rule.path),
        protected: protectedRules.map((rule) => rule.place),
      },
    },
    networkCut,
    givenUp: givenUp ? ['protected-metadata'] : [],
  };
}

/** The innermost other rule around it. */
function nearest(rule: Rule, rules: readonly Rule[]): Rule | undefined {
  let best: Rule | undefined;
  for (const outer of rules) {
    if (isBelow(rule.path, outer.path) && (best === undefined || outer.path.length > best.path.length))
      best = outer;
  }
  return best;
}
