import { z } from 'zod';
import { limits } from './limits.ts';
import { Path } from './primitives.ts';

/** The forms in which sandboxes were written before there were profiles. No method takes them. */
const Roots = z.array(Path).max(limits.sandboxEntries).default([]);
const Off = z.boolean().default(false);

/** Of configurations: kebab-case tags, snake_case members. */
const CorePolicy = z
  .discriminatedUnion(
    'type',
    [
      z.strictObject({ type: z.literal('danger-full-access') }),
      z.strictObject({ type: z.literal('read-only'), network_access: Off }),
      z.strictObject({
        type: z.literal('workspace-write'),
        writable_roots: Roots,
        network_access: Off,
        exclude_tmpdir_env_var: Off,
        exclude_slash_tmp: Off,
      }),
      z.strictObject({
        type: z.literal('external-sandbox'),
        network_access: z.enum(['restricted', 'enabled']).default('restricted'),
      }),
    ],
    'must be danger-full-access, read-only, workspace-write or external-sandbox',
  )
  .transform((policy) => {
    switch (policy.type) {
      case 'danger-full-access':
        return { type: 'dangerFullAccess' as const };
      case 'read-only':
        return { type: 'readOnly' as const, networkAccess: policy.network_access };
      case 'workspace-write':
        return {
          type: 'workspaceWrite' as const,
          writableRoots: policy.writable_roots,
          networkAccess: policy.network_access,
          excludeTmpdirEnvVar: policy.exclude_tmpdir_env_var,
          excludeSlashTmp: policy.exclude_slash_tmp,
        };
      case 'external-sandbox':
        return { type: 'externalSandbox' as const, networkAccess: policy.network_access };
    }
  });

/** Of the app-server: camelCase throughout. */
const AppServerPolicy = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('dangerFullAccess') }),
    z.strictObject({ type: z.literal('readOnly'), networkAccess: Off }),
    z.strictObject({
      type: z.literal('workspaceWrite'),
      writableRoots: Roots,
      networkAccess: Off,
      excludeTmpdirEnvVar: Off,
      excludeSlashTmp: Off,
    }),
    z.strictObject({
      type: z.literal('externalSandbox'),
      networkAccess: z.enum(['restricted', 'enabled']).default('restricted'),
    }),
  ],
  'must be dangerFullAccess, readOnly, workspaceWrite or externalSandbox, or the same in kebab-case',
);

export type SandboxPolicy = z.output<typeof AppServerPolicy>;

const coreTags: ReadonlySet<unknown> = new Set([
  'danger-full-access',
  'read-only',
  'workspace-write',
  'external-sandbox',
]);

/** The schema that a policy is written in. */
export function policySchema(policy: unknown): z.ZodType<SandboxPolicy> {
  const isCore =
    typeof policy === 'object' && policy !== null && coreTags.has((policy as { type?: unknown }).type);
  return isCore ? CorePolicy : AppServerPolicy;
}
