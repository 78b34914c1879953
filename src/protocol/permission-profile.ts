import { z } from 'zod';
import { limits } from './limits.ts';
import type { EnvironmentPath } from './path.ts';
import { Path } from './primitives.ts';

export type Access = 'read' | 'write' | 'none';
export type Network = 'restricted' | 'enabled';

/** A place that depends on the context or the host. */
export type SpecialPlace =
  | { readonly kind: 'root' | 'minimal' | 'tmpdir' | 'slashTmp' | 'unknown' }
  | { readonly kind: 'projectRoots'; readonly subpath: string | undefined };

export type EntryPlace =
  | { readonly type: 'path'; readonly path: EnvironmentPath }
  | { readonly type: 'glob'; readonly pattern: string }
  | { readonly type: 'special'; readonly special: SpecialPlace };

export interface SandboxEntry {
  readonly place: EntryPlace;
  readonly access: Access;
  /** The entry does not count where its path does not exist. */
  readonly skipMissing: boolean;
}

export type FileSystemProfile =
  | { readonly type: 'unrestricted' }
  | {
      readonly type: 'restricted';
      readonly entries: readonly SandboxEntry[];
      /** Levels below the fixed part of a glob pattern: 1 is its direct children. */
      readonly globScanMaxDepth: number | undefined;
    };

export type PermissionProfile =
  | { readonly type: 'managed'; readonly network: Network; readonly fileSystem: FileSystemProfile }
  | { readonly type: 'disabled' }
  /** Somebody else confines the files. */
  | { readonly type: 'external'; readonly network: Network };

/** What to say of something that is no object. */
export const objectWith = (what: string) => ({
  error: (issue: z.core.$ZodRawIssue) => (issue.code === 'invalid_type' ? `must be ${what}` : undefined),
});
export const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, `must be one of ${values.map((value) => `"${value}"`).join(', ')}`);

const AccessText = oneOf(['read', 'write', 'none', 'deny']).transform((access): Access =>
  access === 'deny' ? 'none' : access,
);

const Subpath = z
  .string()
  .max(limits.sandboxTextLength)
  .refine((text) => !text.includes('\0'), 'must not contain a NUL character')
  .nullish()
  .transform((text) => (text == null || text === '' ? undefined : text));

const plainKind = <K extends string, R extends SpecialPlace['kind']>(kind: K, read: R) =>
  z.object({ kind: z.literal(kind) }).transform(() => ({ kind: read }));

const Special = z.discriminatedUnion(
  'kind',
  [
    plainKind('root', 'root'),
    plainKind('minimal', 'minimal'),
    z
      .object({ kind: z.literal('project_roots'), subpath: Subpath })
      .transform(({ subpath }) => ({ kind: 'projectRoots' as const, subpath })),
    z
      .object({ kind: z.literal('current_working_directory') })
      .transform(() => ({ kind: 'projectRoots' as const, subpath: undefined })),
    plainKind('tmpdir', 'tmpdir'),
    plainKind('slash_tmp', 'slashTmp'),
    z
      .object({ kind: z.literal('unknown'), path: z.string(), subpath: z.string().nullish() })
      .transform(() => ({ kind: 'unknown' as const })),
  ],
  'must be an object whose kind is root, minimal, project_roots, current_working_directory, tmpdir, slash_tmp or unknown',
);

const Place = z.discriminatedUnion(
  'type',
  [
    z
      .object({ type: z.literal('path'), path: Path })
      .transform(({ path }) => ({ type: 'path' as const, path })),
    z
      .object({ type: z.literal('glob_pattern'), pattern: z.string().min(1).max(limits.sandboxTextLength) })
      .transform(({ pattern }) => ({ type: 'glob' as const, pattern })),
    z
      .object({ type: z.literal('special'), value: Special })
      .transform(({ value }) => ({ type: 'special' as const, special: value })),
  ],
  'must be an object whose type is path, glob_pattern or special',
);

const Entry = z
  .object(
    {
      path: Place,
      access: AccessText,
      missing_path_behavior: z.literal('skip', 'must be "skip", or absent').nullish(),
    },
    objectWith('an object with path and access'),
  )
  .transform(({ path, access, missing_path_behavior: missing }): SandboxEntry => ({
    place: path,
    access,
    skipMissing: missing === 'skip',
  }));

const Entries = z.array(Entry).max(limits.sandboxEntries);
const ScanDepth = z
  .int()
  .min(1)
  .nullish()
  .transform((depth) => depth ?? undefined);

const FileSystem = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('unrestricted') }).transform(() => ({ type: 'unrestricted' as const })),
    z
      .object({ type: z.literal('restricted'), entries: Entries, glob_scan_max_depth: ScanDepth })
      .transform(({ entries, glob_scan_max_depth: globScanMaxDepth }) => ({
        type: 'restricted' as const,
        entries,
        globScanMaxDepth,
      })),
  ],
  'must be an object whose type is unrestricted or restricted',
);

const NetworkText = oneOf(['restricted', 'enabled']);

const Roots = z.array(Path).max(limits.sandboxEntries).nullish();

/** Without `type`, of clients of spring 2026. A member that it does not know could be a denial, so it knows all of its members. */
const LegacyFileSystem = z
  .strictObject({
    read: Roots,
    write: Roots,
    entries: Entries.optional(),
    glob_scan_max_depth: ScanDepth,
  })
  .refine(
    ({ entries, read, write, glob_scan_max_depth: depth }) =>
      entries === undefined ? depth === undefined : read === undefined && write === undefined,
    'must have read and write, or entries and glob_scan_max_depth',
  )
  .transform(({ read, write, entries, glob_scan_max_depth: globScanMaxDepth }): FileSystemProfile => {
    const listed = (paths: readonly EnvironmentPath[] | null | undefined, access: Access): SandboxEntry[] =>
      (paths ?? []).map((path) => ({ place: { type: 'path', path }, access, skipMissing: false }));
    return {
      type: 'restricted',
      entries: entries ?? [...listed(read, 'read'), ...listed(write, 'write')],
      globScanMaxDepth,
    };
  });

export const PermissionProfileParam = z
  .discriminatedUnion(
    'type',
    [
      z
        .object({ type: z.literal('managed'), network: NetworkText, file_system: FileSystem })
        .transform(({ type, network, file_system: fileSystem }): PermissionProfile => ({
          type,
          network,
          fileSystem,
        })),
      z.object({ type: z.literal('disabled') }).transform(({ type }): PermissionProfile => ({ type })),
      z
        .object({ type: z.literal('external'), network: NetworkText })
        .transform(({ type, network }): PermissionProfile => ({ type, network })),
      z
        .strictObject({
          type: z.undefined().optional(),
          network: z.strictObject({ enabled: z.boolean() }).nullish(),
          file_system: LegacyFileSystem.nullish(),
        })
        .transform(({ network, file_system: fileSystem }): PermissionProfile => ({
          type: 'managed',
          network: network?.enabled === true ? 'enabled' : 'restricted',
          fileSystem: fileSystem ?? { type: 'restricted', entries: [], globScanMaxDepth: undefined },
        })),
    ],
    'must be an object whose type is managed, disabled or external',
  )
  .meta({
    type: 'object',
    description:
      'What is allowed: `{"type":"managed","network":"restricted"|"enabled","file_system":…}`, `{"type":"disabled"}`, or ' +
      '`{"type":"external","network":…}`. docs/sandbox.md has the entries.',
  });
