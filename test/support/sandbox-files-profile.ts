import type { WireParams } from '../../src/protocol/methods.ts';

export type SandboxContextInput = NonNullable<WireParams<'fs/readFile'>['sandbox']>;

export interface Entry {
  readonly path: unknown;
  readonly access: 'read' | 'write' | 'none';
}

export function special(kind: string, access: Entry['access']): Entry {
  return { path: { type: 'special', value: { kind } }, access };
}

export function place(path: string, access: Entry['access']): Entry {
  return { path: { type: 'path', path }, access };
}

/** A context as clients send it. */
export function context(
  cwd: string | undefined,
  entries: readonly Entry[],
  network = 'restricted',
): SandboxContextInput {
  const permissions = { type: 'managed', network, file_system: { type: 'restricted', entries } };
  return { permissions, ...(cwd !== undefined && { cwd }) } as unknown as SandboxContextInput;
}
