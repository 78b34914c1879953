import type { WireParams } from '../protocol/methods.ts';
import { protectedNames } from '../sandbox/metadata.ts';
import type { SandboxPolicy } from './sandbox-setting.ts';

/** A `sandbox` member as it is sent. */
export type SandboxContext = NonNullable<WireParams<'process/start'>['sandbox']>;
type Profile = Extract<SandboxContext['permissions'], { type: 'managed' }>;
type Entry = Extract<Profile['file_system'], { type: 'restricted' }>['entries'][number];
type Special = Extract<Entry['path'], { type: 'special' }>['value'];

/** The workspace that a policy is about. */
export interface SandboxPlace {
  readonly cwd: string;
  /** What is writable for `workspaceWrite`; cwd if there is none. */
  readonly workspaceRoots?: readonly string[] | undefined;
  /** Brings a path into the form that the executor takes. */
  readonly path: (path: string) => string;
}

/** What a policy comes to for work at a place; undefined: nothing is confined. */
export function sandboxContext(policy: SandboxPolicy, place: SandboxPlace): SandboxContext | undefined {
  if (policy.type === 'dangerFullAccess') return undefined;
  const roots = place.workspaceRoots ?? [];
  return {
    permissions: profileOf(policy, place),
    cwd: place.path(place.cwd),
    // Executors of May 2026 know no such member, and take cwd.
    ...(roots.length > 0 && { workspaceRoots: roots.map((root) => place.path(root)) }),
    // Those of that time insist on it, wherever they run.
    windowsSandboxLevel: 'disabled',
  };
}

function profileOf(
  policy: Exclude<SandboxPolicy, { type: 'dangerFullAccess' }>,
  place: SandboxPlace,
): SandboxContext['permissions'] {
  switch (policy.type) {
    case 'externalSandbox':
      return { type: 'external', network: policy.networkAccess ?? 'restricted' };
    case 'readOnly':
      return managed(policy.networkAccess, [special({ kind: 'root' }, 'read')]);
    case 'workspaceWrite':
      return managed(policy.networkAccess, [
        special({ kind: 'root' }, 'read'),
        special({ kind: 'project_roots' }, 'write'),
        ...(policy.excludeSlashTmp === true ? [] : [special({ kind: 'slash_tmp' }, 'write')]),
        ...(policy.excludeTmpdirEnvVar === true ? [] : [special({ kind: 'tmpdir' }, 'write')]),
        ...(policy.writableRoots ?? []).map((path): Entry => ({
          path: { type: 'path', path: place.path(path) },
          access: 'write',
        })),
        ...protectedNames.map((name) => special({ kind: 'project_roots', subpath: name }, 'read', 'skip')),
      ]);
  }
}

function managed(network: boolean | undefined, entries: Entry[]): Profile {
  return {
    type: 'managed',
    network: network === true ? 'enabled' : 'restricted',
    file_system: { type: 'restricted', entries },
  };
}

function special(value: Special, access: Entry['access'], missing?: 'skip'): Entry {
  return { path: { type: 'special', value }, access, missing_path_behavior: missing };
}
