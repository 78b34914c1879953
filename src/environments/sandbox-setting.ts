import { type EnvironmentPath, showPath } from '../protocol/path.ts';
import { policySchema } from '../protocol/sandbox-policy.ts';

/** The coarse modes. */
export const sandboxModes = ['read-only', 'workspace-write', 'danger-full-access'] as const;
export type SandboxMode = (typeof sandboxModes)[number];

/** What work may touch, in full. Paths are absolute and of the environment. The kebab-case form of configurations is read, too. */
export type SandboxPolicy =
  | { readonly type: 'dangerFullAccess' }
  | { readonly type: 'readOnly'; readonly networkAccess?: boolean }
  | {
      readonly type: 'workspaceWrite';
      readonly writableRoots?: readonly string[];
      readonly networkAccess?: boolean;
      readonly excludeTmpdirEnvVar?: boolean;
      readonly excludeSlashTmp?: boolean;
    }
  /** Somebody else confines it. */
  | { readonly type: 'externalSandbox'; readonly networkAccess?: 'restricted' | 'enabled' };

/** What work may touch: a mode, or a policy in full. */
export type SandboxSetting = SandboxMode | SandboxPolicy;

/** What was given is no sandbox setting. */
export class SandboxSettingError extends Error {
  override readonly name = 'SandboxSettingError';
}

const policyOfMode: Readonly<Record<SandboxMode, SandboxPolicy>> = {
  'read-only': { type: 'readOnly' },
  'workspace-write': { type: 'workspaceWrite' },
  'danger-full-access': { type: 'dangerFullAccess' },
};

/** The policy that a mode stands for, with all of its members. Throws a SandboxSettingError for anything else. */
export function policyOf(mode: unknown): SandboxPolicy {
  const known = sandboxModes.find((one) => one === mode);
  if (known !== undefined) return checkedPolicy(policyOfMode[known]);
  throw new SandboxSettingError(
    `${JSON.stringify(mode)?.slice(0, 80)} is no sandbox mode; write ${sandboxModes.map((one) => `"${one}"`).join(', ')}.`,
  );
}

/** Checks a policy, and gives it with all of its members. Throws a SandboxSettingError that names what is wrong. */
export function checkedPolicy(policy: unknown): SandboxPolicy {
  const parsed = policySchema(policy).safeParse(policy);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const member = issue?.path.map(String).join('.') ?? '';
    throw new SandboxSettingError(
      `The sandbox policy is wrong: ${member === '' ? '' : `${member} `}${issue?.message}`,
    );
  }
  const { data } = parsed;
  if (data.type !== 'workspaceWrite') return data;
  return {
    ...data,
    writableRoots: data.writableRoots.map((path: EnvironmentPath) => showPath(path.bytes, 'plain')),
  };
}

/** Either of the two, checked. */
export function checkedSetting(setting: unknown): SandboxPolicy {
  return typeof setting === 'string' ? policyOf(setting) : checkedPolicy(setting);
}
