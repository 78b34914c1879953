import type { EnvironmentPath } from '../protocol/path.ts';
import type {
  Access,
  EntryPlace,
  PermissionProfile,
  SandboxEntry,
  SpecialPlace,
} from '../protocol/permission-profile.ts';
import { type SandboxPolicy, policySchema } from '../protocol/sandbox-policy.ts';
import { invalidParams } from '../protocol/errors.ts';
import { issuesText } from './issues.ts';
import { protectedNames } from './metadata.ts';

/** The profile that says what a policy of one of the older forms said. Throws an RpcError for anything that is none. */
export function profileOfPolicy(policy: unknown): PermissionProfile {
  const parsed = policySchema(policy).safeParse(policy);
  if (!parsed.success)
    throw invalidParams(`The sandbox policy is not understood: ${issuesText(parsed.error)}.`);
  return profileOf(parsed.data);
}

function profileOf(policy: SandboxPolicy): PermissionProfile {
  switch (policy.type) {
    case 'dangerFullAccess':
      return { type: 'disabled' };
    case 'externalSandbox':
      return { type: 'external', network: policy.networkAccess };
    case 'readOnly':
      return managed(policy.networkAccess, [special({ kind: 'root' }, 'read')]);
    case 'workspaceWrite':
      return managed(policy.networkAccess, [
        special({ kind: 'root' }, 'read'),
        special({ kind: 'projectRoots', subpath: undefined }, 'write'),
        ...(policy.excludeSlashTmp ? [] : [special({ kind: 'slashTmp' }, 'write')]),
        ...(policy.excludeTmpdirEnvVar ? [] : [special({ kind: 'tmpdir' }, 'write')]),
        ...policy.writableRoots.map((path) => writable(path)),
        // Marked as clients do it: what is not there is not denied by name, it is protected anyway.
        ...protectedNames.map((name) => special({ kind: 'projectRoots', subpath: name }, 'read', true)),
      ]);
  }
}

function managed(network: boolean, entries: readonly SandboxEntry[]): PermissionProfile {
  return {
    type: 'managed',
    network: network ? 'enabled' : 'restricted',
    fileSystem: { type: 'restricted', entries, globScanMaxDepth: undefined },
  };
}

function special(place: SpecialPlace, access: Access, skipMissing = false): SandboxEntry {
  return entry({ type: 'special', special: place }, access, skipMissing);
}

function writable(path: EnvironmentPath): SandboxEntry {
  return entry({ type: 'path', path }, 'write');
}

function entry(place: EntryPlace, access: Access, skipMissing = false): SandboxEntry {
  return { place, access, skipMissing };
}
