import { rename, symlink } from 'node:fs/promises';
import { copy } from '../../file-system/copy.ts';
import { createDirectory } from '../../disk/create-directory.ts';
import { readDirectory, remove } from '../../file-system/directory.ts';
import { realPath } from '../../disk/folder.ts';
import { getMetadata, readLink, setMetadata } from '../../file-system/metadata.ts';
import { readFile, truncateFile, writeFile } from '../../file-system/regular-file.ts';
import { walk } from '../../file-system/walk.ts';
import { invalidRequest } from '../../protocol/errors.ts';
import type { fileRequests } from '../../protocol/file-methods.ts';
import { limits } from '../../protocol/limits.ts';
import { showPath } from '../../protocol/path.ts';
import type { FileHandlers } from '../handlers.ts';
import { guarded } from './guarded.ts';

type Operations = Pick<FileHandlers, keyof typeof fileRequests>;

const operations: Operations = {
  'fs/readFile': async ({ path, followSymlinks, offset, length }) => {
    const options = { follow: followSymlinks, offset: offset ?? 0, length: length ?? undefined };
    return { dataBase64: (await readFile(path.bytes, options)).toString('base64') };
  },

  'fs/writeFile': async ({ path, dataBase64, followSymlinks, atomic, createParents, mode }) => {
    await writeFile(path.bytes, dataBase64, {
      follow: followSymlinks,
      atomic,
      createParents,
      mode: mode ?? undefined,
    });
    return {};
  },

  'fs/createDirectory': async ({ path, recursive, followSymlinks }) => {
    await createDirectory(path.bytes, recursive, followSymlinks);
    return {};
  },

  'fs/getMetadata': ({ path, followSymlinks, details }) =>
    getMetadata(path.bytes, { follow: followSymlinks, details }),

  'fs/readDirectory': async ({ path }, { files }) => ({ entries: await readDirectory(path, files.unseen) }),

  'fs/remove': async ({ path, recursive, force, followSymlinks }) => {
    await remove(path.bytes, { recursive, force, follow: followSymlinks });
    return {};
  },

  'fs/copy': async ({ sourcePath, destinationPath, recursive }, { files }) => {
    const skipped = await copy(sourcePath.bytes, destinationPath.bytes, recursive, files.unseen);
    return skipped === 0 ? {} : { skipped };
  },

  'fs/canonicalize': async ({ path }) => ({ path: showPath(await realPath(path.bytes), path.form) }),

  'fs/walk': ({ path, options }, { files }) => walk(path, options, files.unseen),

  'fs/open': async ({ handleId, path, mode, followSymlinks }, { files }) => {
    await files.handles.open(handleId, path.bytes, mode, followSymlinks);
    return { handleId };
  },

  'fs/readBlock': async ({ handleId, offset, len }, { files }) => {
    const { bytes, eof } = await files.handles.readBlock(handleId, offset, len);
    return { chunk: bytes.toString('base64'), eof };
  },

  'fs/writeBlock': async ({ handleId, offset, chunk }, { files }) => {
    await files.handles.writeBlock(handleId, offset, chunk);
    return {};
  },

  'fs/close': async ({ handleId }, { files }) => {
    await files.handles.close(handleId);
    return {};
  },

  'fs/watchMissing': async ({ watchId, missing, present }, { files, notify, request }) => {
    if (missing.length > limits.missingPaths) {
      throw invalidRequest(`at most ${limits.missingPaths} paths may be watched`);
    }
    // A change may come before the answer; it is told behind it.
    const answered = Promise.withResolvers<void>();
    request.afterReply(() => answered.resolve());
    const onChange = (): void => void answered.promise.then(() => notify('fs/missingChanged', { watchId }));
    const paths = missing.map((path) => path.bytes);
    const options = { missing: paths, present: present?.bytes, unseen: files.unseen, onChange };
    return { watching: await files.watchMissing(watchId, options) };
  },

  'fs/rename': async ({ sourcePath, destinationPath }) => {
    await rename(sourcePath.bytes, destinationPath.bytes);
    return {};
  },

  'fs/createSymlink': async ({ path, target }) => {
    await symlink(target, path.bytes);
    return {};
  },

  'fs/readLink': ({ path }) => readLink(path.bytes),

  'fs/setMetadata': async ({ path, mode, modifiedAtMs, accessedAtMs, followSymlinks }) => {
    await setMetadata(path.bytes, {
      mode: mode ?? undefined,
      modifiedAtMs: modifiedAtMs ?? undefined,
      accessedAtMs: accessedAtMs ?? undefined,
      follow: followSymlinks,
    });
    return {};
  },

  'fs/truncate': async ({ path, size, followSymlinks }) => {
    await truncateFile(path.bytes, size, followSymlinks);
    return {};
  },
};

export const fileHandlers = guarded(operations);
