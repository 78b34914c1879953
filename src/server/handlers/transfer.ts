import { fileSink, fileSource, treeSink } from '../../disk/transfer.ts';
import { packTree } from '../../disk/pack.ts';
import { systemError } from '../../file-system/file-error.ts';
import { getMetadata } from '../../file-system/metadata.ts';
import type { transferRequests } from '../../protocol/transfer.ts';
import { guarded } from './guarded.ts';

export const transferHandlers = guarded<keyof typeof transferRequests>({
  'fs/download': async (
    { streamId, path, offset, length, creditBytes, followSymlinks },
    { streams, request },
  ) => {
    const range = { offset: offset ?? 0, length: length ?? Infinity };
    const open = () => fileSource(path.bytes, range, followSymlinks);
    const { source, start } = await streams.openOutgoing(streamId, creditBytes, open);
    request.afterReply(start);
    return { size: source.size, mode: source.mode, modifiedAtMs: source.modifiedAtMs };
  },

  'fs/archive': async ({ streamId, path, creditBytes }, { files, streams, request }) => {
    const open = async () => {
      const { isDirectory } = await getMetadata(path.bytes, { follow: true, details: false });
      if (!isDirectory) throw systemError('ENOTDIR');
      const { stream, facts } = packTree(path.bytes, (folder, name) => files.unseen.hides(folder, name));
      return { blocks: stream, facts };
    };
    const { start } = await streams.openOutgoing(streamId, creditBytes, open, {
      facts: ({ facts }) => facts,
    });
    request.afterReply(start);
    return {};
  },

  'fs/upload': async (
    { streamId, path, followSymlinks, mode, modifiedAtMs, atomic, createParents },
    { streams },
  ) => {
    const options = {
      follow: followSymlinks,
      atomic,
      createParents,
      mode: mode ?? undefined,
      modifiedAtMs: modifiedAtMs ?? undefined,
    };
    await streams.openIncoming(streamId, () => fileSink(path.bytes, options));
    return {};
  },

  'fs/extract': async ({ streamId, path }, { streams }) => {
    await streams.openIncoming(streamId, () => treeSink(path.bytes));
    return {};
  },

  'stream/credit': ({ streamId, bytes }, { streams }) => {
    streams.grant(streamId, bytes);
    return {};
  },

  'stream/write': async ({ streamId, offset, chunk }, { streams }) => {
    await streams.incoming(streamId).write(offset, chunk);
    return {};
  },

  'stream/finish': async ({ streamId, bytes, sha256 }, { streams }) => {
    const stream = streams.incoming(streamId);
    try {
      return await stream.finish(bytes, sha256);
    } finally {
      streams.forget(streamId, stream);
    }
  },

  'stream/cancel': async ({ streamId }, { streams }) => {
    await streams.cancel(streamId);
    return {};
  },
});
