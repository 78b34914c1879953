import type { HostFacts } from './host.ts';
import { type Enforcement, type WeakerGuarantee, plan } from './plan.ts';
import type { Access, ResolvedSandbox, Rule } from './rules.ts';

/** The profiles that every executor is asked for, and what makes the difference between hosts. */
export const profileNames = ['network', 'readOnly', 'workspaceWrite', 'restrictedRead', 'denial'] as const;
export type ProfileName = (typeof profileNames)[number];

export type ProfileReport =
  | {
      readonly enforced: true;
      readonly enforcer: Exclude<Enforcement['enforcer'], 'none'>;
      /** Asked for and not enforced, because the operator said so. */
      readonly givenUp: readonly WeakerGuarantee[];
    }
  | { readonly enforced: false; readonly problem: string; readonly fix: string };

/** What of each profile would be enforced here. Whatever is refused here is refused to a client, too: it is the same plan. */
export function reportProfiles(
  host: HostFacts,
  allowed: readonly WeakerGuarantee[],
): Readonly<Record<ProfileName, ProfileReport>> {
  const report = (name: ProfileName): ProfileReport => {
    const found = plan(examples[name], host, new Set(allowed));
    if ('refused' in found) return { enforced: false, problem: found.refused, fix: found.fix };
    const { enforcer } = found.enforcement;
    if (enforcer === 'none') throw new Error(`The example of ${name} confines nothing.`);
    return { enforced: true, enforcer, givenUp: found.givenUp };
  };
  return {
    network: report('network'),
    readOnly: report('readOnly'),
    workspaceWrite: report('workspaceWrite'),
    restrictedRead: report('restrictedRead'),
    denial: report('denial'),
  };
}

const everything = rule('/', 'read');
const workspace = rule('/workspace', 'write');
const metadata = { ...rule('/workspace/.git', 'read'), protectedMetadata: true };
const secret = { ...rule('/workspace/secret', 'none'), source: 'a denial below the workspace' };

/** A workspace that does not have to be there: a plan is made of rules, and looks at no disk. */
const examples: Readonly<Record<ProfileName, ResolvedSandbox>> = {
  network: { network: 'restricted', fileSystem: { kind: 'unrestricted' }, notes: [] },
  readOnly: restricted(everything),
  workspaceWrite: restricted(everything, workspace, metadata),
  restrictedRead: restricted(rule('/usr', 'read'), workspace, metadata),
  denial: restricted(everything, workspace, metadata, secret),
};

function restricted(...rules: readonly Rule[]): ResolvedSandbox {
  const denies = rules.some(({ access }) => access === 'none');
  return {
    network: 'restricted',
    fileSystem: { kind: 'restricted', rules, minimal: false, denies },
    notes: [],
  };
}

function rule(text: string, access: Access): Rule {
  const path = Buffer.from(text);
  return {
    path,
    place: path,
    access,
    source: `${access} ${text}`,
    kind: 'directory',
    identity: undefined,
    firstMissing: undefined,
    protectedMetadata: false,
    aliases: [],
  };
}
