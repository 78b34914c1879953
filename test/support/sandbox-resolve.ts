import { RpcError } from '../../src/protocol/errors.ts';
import type { Access } from '../../src/protocol/permission-profile.ts';
import { SandboxContextParam } from '../../src/protocol/sandbox.ts';
import { resolveSandbox } from '../../src/sandbox/resolve.ts';
import type { ResolvedSandbox, Rule } from '../../src/sandbox/rules.ts';
import type { Ambient } from '../../src/sandbox/targets.ts';
import { decide } from '../../src/sandbox/verdict.ts';
import { type WireEntry, type WireSandbox, restricted } from './sandbox-profiles.ts';

export interface ResolveOptions extends Partial<Ambient> {
  readonly context?: Omit<WireSandbox, 'permissions'>;
  readonly depth?: number;
}

/** Resolves entries as they come over the wire. */
export async function resolved(
  entries: readonly WireEntry[],
  { context, depth, ...ambient }: ResolveOptions = {},
): Promise<ResolvedSandbox> {
  const sandbox = SandboxContextParam.parse({ ...context, permissions: restricted(entries, { depth }) });
  return resolveSandbox(sandbox, { tmpdir: undefined, ...ambient });
}

/** The error that refuses entries. */
export async function refusalOf(
  entries: readonly WireEntry[],
  options: ResolveOptions = {},
): Promise<RpcError> {
  const outcome: unknown = await resolved(entries, options).catch((error: unknown) => error);
  if (outcome instanceof RpcError) return outcome;
  throw outcome instanceof Error ? outcome : new Error('It is not refused.');
}

export function accessTo(sandbox: ResolvedSandbox, path: string): Access {
  return decide(sandbox, Buffer.from(path)).access;
}

export function rulesOf({ fileSystem }: ResolvedSandbox): readonly Rule[] {
  return fileSystem.kind === 'restricted' ? fileSystem.rules : [];
}

/** The rule with exactly this path. */
export function ruleAt(sandbox: ResolvedSandbox, path: string): Rule | undefined {
  return rulesOf(sandbox).find((rule) => rule.path.toString() === path);
}
