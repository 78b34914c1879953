import { z } from 'zod';
import { limits } from './limits.ts';
import type { EnvironmentPath } from './path.ts';
import { type PermissionProfile, PermissionProfileParam, objectWith, oneOf } from './permission-profile.ts';
import { Path } from './primitives.ts';

export interface SandboxContext {
  readonly permissions: PermissionProfile;
  readonly cwd: EnvironmentPath | undefined;
  readonly workspaceRoots: readonly EnvironmentPath[] | undefined;
  readonly temporaryDirectories: readonly EnvironmentPath[] | undefined;
  readonly useLegacyLandlock: boolean;
  /** Which clients write a context like this one; undefined where nothing in it tells. They know some refusals by other codes. */
  readonly generation: 'may2026' | 'current' | undefined;
}

const PathList = z.array(Path).max(limits.sandboxRoots).nullish();

export const SandboxContextParam = z
  .object(
    {
      permissions: PermissionProfileParam,
      cwd: Path.nullish().meta({ description: 'What project_roots and relative patterns start from.' }),
      workspaceRoots: PathList.meta({
        description: 'What project_roots stands for; cwd if absent or empty.',
      }),
      userHomeDir: z.string().nullish(),
      temporaryDirectories: PathList.meta({
        description:
          'What tmpdir stands for; TMPDIR if absent: of the process, or for files of the executor.',
      }),
      windowsSandboxLevel: oneOf(['disabled', 'restricted-token', 'elevated', 'mxc']).nullish(),
      windowsSandboxProxySettingsMode: oneOf(['reconcile', 'preserve']).nullish(),
      windowsSandboxPrivateDesktop: z.boolean().nullish(),
      useLegacyLandlock: z.boolean().nullish(),
      sandboxOverride: oneOf([
        'noOverride',
        'escalatedSandboxWithRestrictions',
        'bypassSandboxFirstAttempt',
      ]).nullish(),
    },
    objectWith('an object with permissions'),
  )
  .transform((context): SandboxContext => {
    const { permissions, cwd, workspaceRoots, temporaryDirectories, useLegacyLandlock } = context;
    return {
      permissions,
      cwd: cwd ?? undefined,
      workspaceRoots: workspaceRoots ?? undefined,
      temporaryDirectories: temporaryDirectories ?? undefined,
      useLegacyLandlock: useLegacyLandlock ?? false,
      generation: generationOf(context),
    };
  });

/** The `sandbox` member of a method. */
export const Sandbox = SandboxContextParam.nullish().meta({
  description: 'What the operation may touch. Absent, null, or permissions of type "disabled": everything.',
});

interface Telltales {
  readonly permissions: PermissionProfile;
  readonly cwd?: EnvironmentPath | null | undefined;
  readonly workspaceRoots?: readonly EnvironmentPath[] | null | undefined;
  readonly temporaryDirectories?: readonly EnvironmentPath[] | null | undefined;
  readonly userHomeDir?: string | null | undefined;
  readonly windowsSandboxLevel?: string | null | undefined;
  readonly windowsSandboxProxySettingsMode?: string | null | undefined;
  readonly windowsSandboxPrivateDesktop?: boolean | null | undefined;
  readonly sandboxOverride?: string | null | undefined;
}

function generationOf(context: Telltales): SandboxContext['generation'] {
  const { permissions, cwd, workspaceRoots, temporaryDirectories } = context;
  const fileSystem = permissions.type === 'managed' ? permissions.fileSystem : undefined;
  const entries = fileSystem?.type === 'restricted' ? fileSystem.entries : [];
  const inEntries = entries.flatMap(({ place }) => (place.type === 'path' ? [place.path] : []));
  const paths = [
    ...inEntries,
    ...(cwd ? [cwd] : []),
    ...(workspaceRoots ?? []),
    ...(temporaryDirectories ?? []),
  ];
  const members = [
    workspaceRoots,
    temporaryDirectories,
    context.userHomeDir,
    context.windowsSandboxProxySettingsMode,
    context.sandboxOverride,
  ];
  if (members.some((member) => member != null) || context.windowsSandboxLevel === 'mxc') return 'current';
  if (paths.some(({ form }) => form === 'uri') || entries.some(({ skipMissing }) => skipMissing))
    return 'current';
  if (paths.length > 0 || context.windowsSandboxPrivateDesktop != null) return 'may2026';
  return undefined;
}
