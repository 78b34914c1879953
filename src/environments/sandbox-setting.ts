import type { SandboxPolicy } from '../protocol/sandbox-policy.ts';

/** The coarse modes. */
export const sandboxModes = ['read-only', 'workspace-write', 'danger-full-access'] as const;
export type SandboxMode = (typeof sandboxModes)[number];

/** What work may touch: a mode, or a policy in full. */
export type SandboxSetting = SandboxMode | SandboxPolicy;
