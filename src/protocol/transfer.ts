import { z } from 'zod';
import { limits } from './limits.ts';
import { Bytes, Count, FilePath } from './primitives.ts';
import { Common, FollowSymlinks, Mode, TimeMs, flag } from './file-system.ts';
import { HttpFields } from './http-field.ts';
import { Empty, type NotificationRow, type RequestRow } from './row.ts';

export const StreamId = z
  .string()
  .min(1)
  .max(64)
  .meta({ description: 'Chosen by the client, unique on its connection while the stream is open.' });

const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
  .meta({ description: 'Of all bytes of the stream.' });

export const CreditBytes = z
  .int()
  .min(limits.streamChunkBytes)
  .max(limits.streamCreditBytes)
  .default(limits.streamDefaultCreditBytes)
  .meta({ description: 'Bytes that may be sent before the first stream/credit.' });

const Entries = Count.optional().meta({ description: 'Of an archive: files, links and directories.' });

const DownloadParams = z.object({
  streamId: StreamId,
  path: FilePath,
  offset: Count.nullish().meta({ description: 'First byte; 0 if absent.' }),
  length: Count.nullish().meta({ description: 'At most so many bytes; all if absent.' }),
  creditBytes: CreditBytes,
  followSymlinks: FollowSymlinks,
  ...Common,
});

const DownloadResult = z.object({
  size: Count.meta({ description: 'Of the file, now.' }),
  mode: Mode,
  modifiedAtMs: TimeMs,
});

const UploadParams = z.object({
  streamId: StreamId,
  path: FilePath,
  atomic: flag(
    false,
    'The file keeps its old content, or stays missing, until the stream is finished with the right digest.',
  ),
  createParents: flag(false, 'Create missing parent directories.'),
  mode: Mode.nullish().meta({
    description: 'Permission bits; those of an existing file, or 0666 less the umask, if absent.',
  }),
  modifiedAtMs: TimeMs.nullish(),
  followSymlinks: FollowSymlinks,
  ...Common,
});

const Names = z.array(z.string().min(1).max(limits.treeNameLength)).max(limits.treeNames);

/** Of streams of a tree. */
const FollowLinks = flag(false, 'Links are taken as what they lead to.');

const ArchiveParams = z.object({
  streamId: StreamId,
  path: FilePath,
  creditBytes: CreditBytes,
  entries: Names.nullish().meta({
    description:
      'Only these: paths relative to `path`, a directory without what is in it. What is not there any more, or changes all the time, is left out and counted in `skipped`. Everything if absent.',
  }),
  followSymlinks: FollowLinks.meta({
    description: 'With `entries`: links are taken as what they lead to. false if absent.',
  }),
  ...Common,
});

const ManifestParams = z.object({
  streamId: StreamId,
  path: FilePath.meta({ description: 'The directory. Links in this path are followed.' }),
  creditBytes: CreditBytes,
  entries: Names.nullish().meta({
    description:
      'Only these, as they are found now, files with their SHA-256: paths relative to `path`. What is not there is left out. Everything without digests if absent.',
  }),
  ignore: z
    .array(z.string().max(limits.treeNameLength))
    .max(limits.ignoreRules)
    .refine((rules) => rules.reduce((sum, rule) => sum + rule.length, 0) <= limits.ignoreRuleChars, {
      message: `must have at most ${limits.ignoreRuleChars} characters in all`,
    })
    .nullish()
    .transform((rules) => rules ?? [])
    .meta({
      description:
        'What is left out, as lines of a .gitignore file in the directory. Nothing below an ignored directory is looked at. For a manifest of everything.',
    }),
  followSymlinks: FollowLinks,
  ...Common,
});

/** A line of a manifest. */
export const ManifestEntry = z.object({
  path: z.string(),
  kind: z.enum(['file', 'directory', 'link', 'other', 'leftover']),
  size: Count.optional(),
  mode: Mode.optional(),
  modifiedAtMs: TimeMs.optional(),
  version: z.string().optional(),
  target: z.string().optional(),
  sha256: Sha256.optional(),
  problem: z.string().optional(),
});

const ExtractParams = z.object({
  streamId: StreamId,
  path: FilePath.meta({ description: 'The directory to unpack into. It is created if it is missing.' }),
  ...Common,
});

const FinishResult = z.object({ bytes: Count, sha256: Sha256, entries: Entries });

/** The rows of transfers: files and trees as streams of bytes, with credit, so that neither side holds a whole one. */
export const transferRequests = {
  'fs/download': {
    params: DownloadParams,
    result: DownloadResult,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary:
      'Streams a regular file to the client: stream/data as credit allows, then stream/end with the digest.',
  },
  'fs/upload': {
    params: UploadParams,
    result: Empty,
    gate: 'session',
    replay: 'never',
    extension: true,
    summary:
      'Opens a stream that the client fills by stream/write into a regular file, and ends by stream/finish.',
  },
  'fs/archive': {
    params: ArchiveParams,
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary:
      'Streams a directory, or some of its entries, to the client as a tar archive, with modes, links and times.',
  },
  'fs/manifest': {
    params: ManifestParams,
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary:
      'Streams what is below a directory as lines of JSON: `path` relative to it (empty for itself, which is first), `kind` (file, directory, ' +
      'link, other, leftover), `size`, `mode`, `modifiedAtMs`, `target` of a link, `sha256`, `version` (the same text means the same content; absent while a ' +
      'change could go unseen), and `problem` for what could not be looked at. Directories come before what is in them.',
  },
  'fs/extract': {
    params: ExtractParams,
    result: Empty,
    gate: 'session',
    replay: 'never',
    extension: true,
    summary:
      'Opens a stream that unpacks a tar archive into a directory. Whatever would leave the directory is refused.',
  },
  'stream/credit': {
    params: z.object({ streamId: StreamId, bytes: z.int().positive().max(limits.streamCreditBytes) }),
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary: 'Lets the executor send so many further bytes. A stream that has ended is no error.',
  },
  'stream/write': {
    params: z.object({
      streamId: StreamId,
      offset: Count.meta({
        description: 'How many bytes came before: a lost or doubled write is noticed at once.',
      }),
      chunk: Bytes.meta({ description: `At most ${limits.fileBlockBytes} bytes.` }),
    }),
    result: Empty,
    gate: 'session',
    replay: 'never',
    extension: true,
    summary: 'Sends bytes; answered when they are taken. Several may be under way, in order.',
  },
  'stream/finish': {
    params: z.object({ streamId: StreamId, bytes: Count, sha256: Sha256 }),
    result: FinishResult,
    gate: 'session',
    replay: 'never',
    extension: true,
    summary:
      'Ends a stream to the executor. Refused, and nothing committed, where bytes or digest differ from what arrived.',
  },
  'stream/cancel': {
    params: z.object({ streamId: StreamId }),
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary: 'Gives a stream up, in either direction. One that has ended is no error.',
  },
} as const satisfies Record<string, RequestRow>;

export const transferNotifications = {
  'stream/data': {
    params: z.object({ streamId: StreamId, offset: Count, chunk: Bytes }),
    extension: true,
    summary: 'The next bytes of a stream.',
  },
  'stream/end': {
    params: z.object({
      streamId: StreamId,
      bytes: Count,
      sha256: Sha256,
      entries: Entries,
      skipped: Count.optional().meta({ description: 'Of an archive: what tar cannot carry.' }),
      skippedUris: z.array(z.string()).optional().meta({ description: 'The first of them.' }),
      trailers: HttpFields.optional().meta({ description: 'Of the body of an http/request.' }),
    }),
    extension: true,
    summary: 'The stream is complete. The client compares bytes and digest with what it got.',
  },
  'stream/error': {
    params: z.object({ streamId: StreamId, code: z.int(), message: z.string() }),
    extension: true,
    summary: 'The stream has failed: what came of it is not whole.',
  },
} as const satisfies Record<string, NotificationRow>;
