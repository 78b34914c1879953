import { createHash } from 'node:crypto';
import type { EnvironmentPath } from '../../protocol/path.ts';
import type { SandboxContext } from '../../protocol/sandbox.ts';
import type { Plan } from '../../sandbox/plan.ts';
import type { ResolvedSandbox } from '../../sandbox/rules.ts';
import type { Sandboxes } from '../../sandbox/sandboxes.ts';
import { type WorkerSandbox, withOwnFiles } from './own-files.ts';

/** Files as a profile allows them, here and now. */
export interface Confinement {
  /** What the client may do. */
  readonly granted: ResolvedSandbox;
  readonly plan: Plan;
  /** Equal where one worker can serve both. */
  readonly digest: string;
  /** What a worker can read and its client may not. */
  readonly lifted: readonly Buffer[];
}

/** undefined: the profile confines no files. Throws an RpcError that says what cannot be enforced. */
export async function confinementOf(
  sandbox: SandboxContext,
  params: object,
  { sandboxes, tmpdir }: { readonly sandboxes: Sandboxes; readonly tmpdir: string | undefined },
): Promise<Confinement | undefined> {
  let own: WorkerSandbox | undefined;
  const form = Object.values(params).find(isPath)?.form;
  const { resolved, plan } = await sandboxes.plan(filesOnly(sandbox), { tmpdir, form }, async (found) => {
    own = await withOwnFiles(found);
    return own.enforced;
  });
  if (own === undefined || plan.enforcement.enforcer === 'none') return undefined;
  const { granted, lifted } = own;
  return { granted, plan: { ...plan, networkCut: true }, digest: digestOf(resolved, plan), lifted };
}

function isPath(value: unknown): value is EnvironmentPath {
  return typeof value === 'object' && value !== null && 'form' in value;
}

/** Whether the network is cut is no matter of files; for a worker it always is. */
function filesOnly(sandbox: SandboxContext): SandboxContext {
  const { permissions } = sandbox;
  if (permissions.type !== 'managed') return sandbox;
  return { ...sandbox, permissions: { ...permissions, network: 'enabled' } };
}

/** Equal where a worker for the one can serve the other: not what a client wrote, but what it means on this disk at this moment. */
function digestOf({ fileSystem }: ResolvedSandbox, plan: Plan): string {
  if (fileSystem.kind === 'unrestricted') return '';
  const text = (path: Buffer | undefined): string => path?.toString('latin1') ?? '';
  const rules = fileSystem.rules.map(({ path, place, access, kind, identity, aliases }) =>
    [text(path), text(place), access, kind, identity, ...aliases.map(text)].join('\0'),
  );
  const how = [plan.enforcement.enforcer, ...plan.givenUp];
  return createHash('sha256')
    .update(JSON.stringify([how, rules]))
    .digest('base64');
}
