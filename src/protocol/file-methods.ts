import * as files from './file-system.ts';
import { Empty, type RequestRow } from './row.ts';

/** The rows of the file system. */
export const fileRequests = {
  'fs/readFile': {
    params: files.ReadFileParams,
    result: files.ReadFileResult,
    gate: 'session',
    summary: 'Reads a regular file, whole or a range of it.',
  },
  'fs/writeFile': {
    params: files.WriteFileParams,
    result: Empty,
    gate: 'session',
    summary: 'Creates or replaces a regular file, in place or atomically.',
  },
  'fs/createDirectory': {
    params: files.CreateDirectoryParams,
    result: Empty,
    gate: 'session',
    summary: 'Creates a directory.',
  },
  'fs/getMetadata': {
    params: files.GetMetadataParams,
    result: files.GetMetadataResult,
    gate: 'session',
    summary: 'Describes what is at a path.',
  },
  'fs/readDirectory': {
    params: files.ReadDirectoryParams,
    result: files.ReadDirectoryResult,
    gate: 'session',
    summary: 'Lists a directory, in no particular order.',
  },
  'fs/remove': {
    params: files.RemoveParams,
    result: Empty,
    gate: 'session',
    summary:
      'Removes a file, a link or a directory. Both flags are true if absent: everything below a directory goes.',
  },
  'fs/copy': {
    params: files.CopyParams,
    result: files.CopyResult,
    gate: 'session',
    summary: 'Copies a file, a link or a directory. A file onto itself stays as it is.',
  },
  'fs/canonicalize': {
    params: files.CanonicalizeParams,
    result: files.CanonicalizeResult,
    gate: 'session',
    summary: 'Resolves every link of a path.',
  },
  'fs/walk': {
    params: files.WalkParams,
    result: files.WalkResult,
    gate: 'session',
    summary: 'Lists regular files and directories below a directory, breadth first, sorted by name.',
  },
  'fs/open': {
    params: files.OpenParams,
    result: files.HandleResult,
    gate: 'session',
    summary: 'Opens a regular file for fs/readBlock or fs/writeBlock. The handle ends with the connection.',
  },
  'fs/readBlock': {
    params: files.ReadBlockParams,
    result: files.ReadBlockResult,
    gate: 'session',
    summary: 'Reads a block of an open file.',
  },
  'fs/writeBlock': {
    params: files.WriteBlockParams,
    result: Empty,
    gate: 'session',
    summary: 'Writes a block of a file that was opened with mode "replace".',
  },
  'fs/close': {
    params: files.HandleParams,
    result: Empty,
    gate: 'session',
    summary: 'Closes a handle. One that is not open is no error.',
  },
  'fs/watchMissing': {
    params: files.WatchMissingParams,
    result: files.WatchMissingResult,
    gate: 'session',
    summary:
      'Tells once, by fs/missingChanged, when one of some paths appears. Replaces the watch before on this connection.',
  },
  'fs/rename': {
    params: files.RenameParams,
    result: Empty,
    gate: 'session',
    extension: true,
    summary: 'Renames within one file system; an existing file at the destination is replaced.',
  },
  'fs/createSymlink': {
    params: files.CreateSymlinkParams,
    result: Empty,
    gate: 'session',
    extension: true,
    summary: 'Creates a symbolic link.',
  },
  'fs/readLink': {
    params: files.ReadLinkParams,
    result: files.ReadLinkResult,
    gate: 'session',
    extension: true,
    summary: 'Reads the text of a symbolic link.',
  },
  'fs/setMetadata': {
    params: files.SetMetadataParams,
    result: Empty,
    gate: 'session',
    extension: true,
    summary: 'Sets permission bits and times of a file or directory.',
  },
  'fs/truncate': {
    params: files.TruncateParams,
    result: Empty,
    gate: 'session',
    extension: true,
    summary: 'Sets the length of a regular file.',
  },
} as const satisfies Record<string, RequestRow>;
