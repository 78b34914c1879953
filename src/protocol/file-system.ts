import { z } from 'zod';
import { limits } from './limits.ts';
import { Bytes, Count, FileBytes, FilePath } from './primitives.ts';
import { Sandbox } from './sandbox.ts';

/** What every method that takes a path has. */
export const Common = { sandbox: Sandbox };

export const FollowSymlinks = z
  .boolean()
  .nullish()
  .transform((follow) => follow ?? true)
  .meta({
    description: 'false: a symbolic link anywhere in the path is refused, never followed. true if absent.',
  });

export const flag = (absent: boolean, description: string) =>
  z
    .boolean()
    .nullish()
    .transform((value) => value ?? absent)
    .meta({ description: `${description} ${absent} if absent.` });

export const Mode = z.int().min(0).max(0o7777).meta({ description: 'Permission bits.' });
export const TimeMs = z.number().meta({ description: 'Milliseconds since 1970.' });

export const ReadFileParams = z.object({
  path: FilePath,
  followSymlinks: FollowSymlinks,
  offset: Count.nullish().meta({ description: 'First byte; 0 if absent.' }),
  length: Count.nullish().meta({ description: 'At most so many bytes; all if absent.' }),
  ...Common,
});

export const ReadFileResult = z.object({
  dataBase64: Bytes,
});

export const WriteFileParams = z.object({
  path: FilePath,
  dataBase64: FileBytes,
  followSymlinks: FollowSymlinks,
  atomic: flag(
    false,
    'Write a new file beside it, sync it, and rename it: readers see the old content or the new, never a part.',
  ),
  createParents: flag(false, 'Create missing parent directories.'),
  mode: Mode.nullish().meta({
    description:
      'Permission bits of a new file, exactly; 0666 less the umask if absent. An existing file keeps its own.',
  }),
  ...Common,
});

export const CreateDirectoryParams = z.object({
  path: FilePath,
  recursive: flag(true, 'Create missing parents, and accept a directory that is there.'),
  followSymlinks: FollowSymlinks,
  ...Common,
});

export const GetMetadataParams = z.object({
  path: FilePath,
  followSymlinks: FollowSymlinks.meta({
    description: 'false: describes a link itself, and refuses one in the parents. true if absent.',
  }),
  details: flag(false, 'Also mode, uid, gid, inode, links, accessedAtMs and linkTarget.'),
  ...Common,
});

export const GetMetadataResult = z.object({
  isDirectory: z.boolean(),
  isFile: z.boolean(),
  isSymlink: z.boolean(),
  size: Count.optional(),
  createdAtMs: TimeMs.meta({ description: 'Milliseconds since 1970; 0 when unknown.' }),
  modifiedAtMs: TimeMs,
  accessedAtMs: TimeMs.optional(),
  mode: Mode.optional(),
  uid: z.int().optional(),
  gid: z.int().optional(),
  inode: z.string().optional().meta({ description: 'Decimal; a string, because it can exceed 2^53.' }),
  links: z.int().optional(),
  linkTarget: z.string().optional().meta({ description: "A link's text." }),
  linkTargetBase64: Bytes.optional().meta({ description: 'The same, where the text is not UTF-8.' }),
});

export const ReadDirectoryParams = z.object({ path: FilePath, ...Common });

export const ReadDirectoryResult = z.object({
  entries: z.array(
    z.object({
      fileName: z
        .string()
        .meta({ description: 'With U+FFFD where it is not UTF-8; `uri` then names the entry.' }),
      isDirectory: z.boolean().meta({ description: "Of a link's target; false for a dangling link." }),
      isFile: z.boolean(),
      isSymlink: z.boolean().optional(),
      uri: z
        .string()
        .optional()
        .meta({ description: 'The entry as a file: URI, only where its name is not UTF-8.' }),
    }),
  ),
});

export const RemoveParams = z.object({
  path: FilePath,
  recursive: flag(true, 'Remove a directory with everything in it.'),
  force: flag(true, 'A path that does not exist is no error.'),
  followSymlinks: FollowSymlinks.meta({
    description:
      'false: a link in the parents is refused. A link at the end is always removed itself. true if absent.',
  }),
  ...Common,
});

export const CopyParams = z.object({
  sourcePath: FilePath,
  destinationPath: FilePath,
  recursive: z
    .boolean()
    .meta({ description: 'Needed for a directory. An existing destination directory is merged into.' }),
  ...Common,
});

export const CopyResult = z.object({
  skipped: Count.optional().meta({
    description: 'FIFOs, sockets and devices below a directory, which are not copied.',
  }),
});

export const CanonicalizeParams = z.object({ path: FilePath, ...Common });
export const CanonicalizeResult = z.object({
  path: z.string().meta({ description: 'Without links and dots, in the form of the request.' }),
});

export const WalkParams = z.object({
  path: FilePath,
  options: z.object({
    maxDepth: Count.meta({ description: '0: the children of the root only.' }),
    maxDirectories: Count.meta({ description: 'Directories opened.' }),
    maxEntries: Count.meta({ description: 'Entries examined.' }),
    followDirectorySymlinks: z.boolean(),
    pruneHiddenDirectories: z
      .boolean()
      .default(false)
      .meta({ description: 'Directories whose name begins with a dot are listed and not entered.' }),
  }),
  ...Common,
});

export const WalkResult = z.object({
  entries: z.array(z.object({ path: z.string(), kind: z.enum(['file', 'directory']) })),
  errors: z.array(z.object({ path: z.string(), message: z.string() })),
  truncated: z.boolean().meta({ description: 'A limit was reached: there is more.' }),
});

const HandleId = z
  .string()
  .meta({ description: 'Chosen by the client, unique on its connection; at most 32 bytes.' });

export const OpenParams = z.object({
  handleId: HandleId,
  path: FilePath,
  mode: z
    .enum(['read', 'replace'])
    .nullish()
    .transform((mode) => mode ?? 'read')
    .meta({ description: 'replace: creates the file, or empties it in place. read if absent.' }),
  followSymlinks: FollowSymlinks,
  ...Common,
});

export const HandleResult = z.object({ handleId: z.string() });
export const HandleParams = z.object({ handleId: HandleId });

export const ReadBlockParams = z.object({
  handleId: HandleId,
  offset: Count,
  len: Count.meta({ description: `1 to ${limits.fileBlockBytes}` }),
});

export const ReadBlockResult = z.object({
  chunk: Bytes,
  eof: z.boolean().meta({ description: 'Fewer than len bytes were left.' }),
});

export const WriteBlockParams = z.object({
  handleId: HandleId,
  offset: Count,
  chunk: Bytes.meta({ description: `1 to ${limits.fileBlockBytes} bytes. Blocks may come in any order.` }),
});

export const WatchMissingParams = z.object({
  watchId: Count,
  missing: z.array(FilePath),
  present: FilePath.nullish().meta({
    description: 'A path that is there now; its disappearance is told, too.',
  }),
  ...Common,
});

export const WatchMissingResult = z.object({
  watching: z.boolean().meta({ description: 'false: there is nothing to wait for.' }),
});

export const MissingChanged = z.object({ watchId: Count });

export const RenameParams = z.object({ sourcePath: FilePath, destinationPath: FilePath, ...Common });

export const CreateSymlinkParams = z.object({
  path: FilePath.meta({ description: 'The link to be made.' }),
  target: z
    .string()
    .min(1)
    .meta({ description: 'Its text, taken as it is: relative or absolute, existing or not.' }),
  ...Common,
});

export const ReadLinkParams = z.object({ path: FilePath, ...Common });
export const ReadLinkResult = z.object({
  target: z.string().meta({ description: 'With U+FFFD where it is not UTF-8.' }),
  targetBase64: Bytes.optional().meta({ description: 'The same as bytes, only where it is not UTF-8.' }),
});

export const SetMetadataParams = z.object({
  path: FilePath,
  mode: Mode.nullish(),
  modifiedAtMs: TimeMs.nullish(),
  accessedAtMs: TimeMs.nullish().meta({ description: 'Unchanged if absent, like each of them.' }),
  followSymlinks: FollowSymlinks,
  ...Common,
});

export const TruncateParams = z.object({
  path: FilePath,
  size: Count.meta({ description: 'A longer file is cut, a shorter one is filled with zeros.' }),
  followSymlinks: FollowSymlinks,
  ...Common,
});
