import { fileSink, fileSource, treeSink } from '../../disk/transfer.ts';
import { describeEntries } from '../../disk/describe-entries.ts';
import { describeTree } from '../../disk/describe-tree.ts';
import type { DescribedEntry } from '../../disk/described-entry.ts';
import { IgnoreRules } from '../../disk/ignore-rules.ts';
import { packEntries } from '../../disk/pack-entries.ts';
import { packTree } from '../../disk/pack.ts';
import { systemError } from '../../file-system/file-error.ts';
import { getMetadata } from '../../file-system/metadata.ts';
import { limits } from '../../protocol/limits.ts';
import type { EnvironmentPath } from '../../protocol/path.ts';
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

  'fs/archive': async (
    { streamId, path, creditBytes, entries, followSymlinks },
    { files, streams, request },
  ) => {
    const hides = (folder: Buffer, name: Buffer): Promise<boolean> => files.unseen.hides(folder, name);
    const open = async () => {
      await refuseOther(path);
      if (entries == null) {
        const { stream, facts } = packTree(path.bytes, hides);
        return { blocks: stream, facts: () => facts };
      }
      let skipped = 0;
      const onLeftOut = (): void => void (skipped += 1);
      const stream = packEntries(path.bytes, entries, { follow: followSymlinks, hides, onLeftOut });
      return { blocks: stream, facts: () => ({ entries: entries.length - skipped, skipped }) };
    };
    const { start } = await streams.openOutgoing(streamId, creditBytes, open, {
      facts: ({ facts }) => facts(),
    });
    request.afterReply(start);
    return {};
  },

  'fs/manifest': async (
    { streamId, path, creditBytes, entries, ignore, followSymlinks },
    { files, streams, request },
  ) => {
    const hides = (folder: Buffer, name: Buffer): Promise<boolean> => files.unseen.hides(folder, name);
    const options = { follow: followSymlinks, ...(!files.unseen.isEmpty && { hides }) };
    const open = async () => {
      await refuseOther(path);
      const described =
        entries == null
          ? describeTree(path.bytes, { ...options, ignore: new IgnoreRules(ignore) })
          : describeEntries(path.bytes, entries, options);
      return { blocks: linesOf(described) };
    };
    const { start } = await streams.openOutgoing(streamId, creditBytes, open);
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

async function refuseOther(path: EnvironmentPath): Promise<void> {
  const { isDirectory } = await getMetadata(path.bytes, { follow: true, details: false });
  if (!isDirectory) throw systemError('ENOTDIR');
}

async function* linesOf(described: AsyncIterable<readonly DescribedEntry[]>): AsyncGenerator<Buffer> {
  let text = '';
  for await (const entries of described) {
    for (const entry of entries) text += `${JSON.stringify(entry)}\n`;
    if (text.length < limits.streamChunkBytes) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}
