import { posix } from 'node:path';
import { EnvironmentError } from '../environment-error.ts';
import type { Environment } from '../environment.ts';
import { type SandboxPolicy, SandboxSettingError, checkedPolicy, policyOf } from '../sandbox-setting.ts';

/** What a workspace knows of the manager. */
export interface EnvironmentLookup {
  readonly defaultId: string | undefined;
  has(id: string): boolean;
  /** Throws an EnvironmentError for an id that nobody has. */
  get(id: string): Environment;
}

/** An environment that a workspace works in, and where. */
export interface Selection {
  readonly environmentId: string;
  /** An absolute path there, which need not exist. Where work begins in the environment if absent. */
  readonly cwd?: string | undefined;
  /** What counts as the workspace for the sandbox; cwd if absent. */
  readonly workspaceRoots?: readonly string[] | null | undefined;
}

/** What stays the same until something else is said. */
export interface WorkspaceSettings {
  /** Of the workspace; an environment's own is in its selection. */
  readonly cwd: string | undefined;
  /** The first one is where work is done that names none. */
  readonly environments: readonly Selection[];
  /** undefined: what each environment says. */
  readonly sandbox: SandboxPolicy | undefined;
}

/** Changes to the settings, or the first ones. What is absent stays. */
export interface WorkspaceChange {
  /** Absolute, or relative to the one before. Without `environments` it selects the default environment there. */
  readonly cwd?: string | undefined;
  /** `[]`: none, until something else is said. null as if absent. */
  readonly environments?: readonly Selection[] | null | undefined;
  /** A coarse mode. `sandboxPolicy` wins over it. */
  readonly sandbox?: string | null | undefined;
  /** A policy in full. */
  readonly sandboxPolicy?: unknown;
}

/** A change that cannot be made; nothing of it was. `member`: what is wrong. */
export class WorkspaceError extends Error {
  override readonly name = 'WorkspaceError';
  readonly member: string;

  constructor(member: string, problem: string, options?: ErrorOptions) {
    super(`${member}: ${problem}`, options);
    this.member = member;
  }
}

/** The settings after a change. Throws a WorkspaceError, or an EnvironmentError for an id that nobody has. */
export function changed(
  before: WorkspaceSettings | undefined,
  change: WorkspaceChange,
  manager: EnvironmentLookup,
): WorkspaceSettings {
  const cwd = changedCwd(before?.cwd, change.cwd);
  const { environments } = change;
  const reselects = before === undefined || change.cwd !== undefined;
  const kept = reselects ? defaultSelection(manager.defaultId, cwd) : before.environments;
  return Object.freeze({
    cwd,
    environments: environments == null ? kept : checkedSelections(environments, manager),
    sandbox: changedSandbox(before?.sandbox, change),
  });
}

function changedCwd(before: string | undefined, cwd: string | undefined): string | undefined {
  if (cwd === undefined) return before;
  if (isAbsolute(cwd)) return cwd;
  if (before !== undefined && cwd !== '') return posix.resolve(before, cwd);
  throw new WorkspaceError('cwd', 'must be an absolute path');
}

function defaultSelection(id: string | undefined, cwd: string | undefined): readonly Selection[] {
  return id === undefined ? [] : [{ environmentId: id, cwd }];
}

function checkedSelections(
  selections: readonly Selection[],
  manager: EnvironmentLookup,
): readonly Selection[] {
  const seen = new Set<string>();
  return selections.map(({ environmentId, cwd, workspaceRoots }, index) => {
    const member = `environments[${index}]`;
    // Throws for an id that nobody has.
    if (!manager.has(environmentId)) manager.get(environmentId);
    if (seen.has(environmentId)) {
      throw new WorkspaceError(`${member}.environmentId`, `"${environmentId}" is there twice; name it once`);
    }
    seen.add(environmentId);
    if (cwd !== undefined && !isAbsolute(cwd)) {
      throw new WorkspaceError(`${member}.cwd`, 'must be an absolute path of the environment');
    }
    for (const [root, path] of (workspaceRoots ?? []).entries()) {
      if (!isAbsolute(path)) {
        throw new WorkspaceError(
          `${member}.workspaceRoots[${root}]`,
          'must be an absolute path of the environment',
        );
      }
    }
    return Object.freeze({
      environmentId,
      cwd,
      ...(workspaceRoots != null && { workspaceRoots: [...workspaceRoots] }),
    });
  });
}

/** Both are checked, so that a mistake in the one that loses is told, too. */
function changedSandbox(
  before: SandboxPolicy | undefined,
  change: WorkspaceChange,
): SandboxPolicy | undefined {
  const { sandbox, sandboxPolicy } = change;
  const mode = sandbox == null ? undefined : inMember('sandbox', () => policyOf(sandbox));
  const policy =
    sandboxPolicy == null ? undefined : inMember('sandboxPolicy', () => checkedPolicy(sandboxPolicy));
  return policy ?? mode ?? before;
}

function inMember<T>(member: string, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof SandboxSettingError)) throw cause;
    throw new WorkspaceError(member, cause.message, { cause });
  }
}

/** Of POSIX or of Windows: which of them it is, its executor knows. */
function isAbsolute(path: string): boolean {
  return path.startsWith('/') || /^[A-Za-z]:[\\/]/.test(path) || path.startsWith('\\\\');
}

export function noneSelected(): EnvironmentError {
  const text = 'No environment is selected. Select one, or wait for one, before using this.';
  return new EnvironmentError('disabled', undefined, text);
}
