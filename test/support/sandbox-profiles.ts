import type { z } from 'zod';
import type { SandboxContextParam } from '../../src/protocol/sandbox.ts';

/** A `sandbox` member as a client writes it. */
export type WireSandbox = z.input<typeof SandboxContextParam>;

type WireProfile = Extract<WireSandbox['permissions'], { type: 'managed' }>;
type WireFiles = Extract<WireProfile['file_system'], { type: 'restricted' }>;
export type WireEntry = WireFiles['entries'][number];
export type WireAccess = WireEntry['access'];
export type WireSpecial = Extract<WireEntry['path'], { type: 'special' }>['value'];

export const special = (value: WireSpecial, access: WireAccess): WireEntry => ({
  path: { type: 'special', value },
  access,
});
export const root = (access: WireAccess): WireEntry => special({ kind: 'root' }, access);
export const projectRoots = (access: WireAccess, subpath?: string): WireEntry =>
  special(subpath === undefined ? { kind: 'project_roots' } : { kind: 'project_roots', subpath }, access);
export const at = (path: string, access: WireAccess): WireEntry => ({ path: { type: 'path', path }, access });
export const glob = (pattern: string, access: WireAccess): WireEntry => ({
  path: { type: 'glob_pattern', pattern },
  access,
});

export function restricted(
  entries: readonly WireEntry[],
  { depth, network = 'restricted' }: { depth?: number | undefined; network?: 'restricted' | 'enabled' } = {},
): WireProfile {
  const scan = depth === undefined ? {} : { glob_scan_max_depth: depth };
  return {
    type: 'managed',
    network,
    file_system: { type: 'restricted', entries: [...entries], ...scan },
  };
}

/** Names an enforcer that this executor does not have: refused whatever its host can do. */
export const unenforceable: WireSandbox = {
  permissions: restricted([root('read')]),
  useLegacyLandlock: true,
};

/** Grants nothing at all. */
export const nothing: WireSandbox = { permissions: restricted([]) };
