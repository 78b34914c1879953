import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { limits } from '../protocol/limits.ts';
import { giveBack } from '../support/give-back.ts';
import { fileTime } from './file-time.ts';
import { splitLast } from './folder.ts';
import { openEmptied, openRegular } from './open-regular.ts';
import { TreeUnpacker } from './unpack.ts';
import { createDirectory } from './create-directory.ts';
import { Replacement } from './replacement.ts';

/** Where a stream from the client goes. */
export interface ByteSink {
  /** Resolves when the parts are taken, which are not the caller's any more. Called one at a time. */
  write(parts: readonly Uint8Array[]): Promise<void>;
  /** Everything has come: makes it last. */
  commit(): Promise<{ readonly entries?: number }>;
  /** Ends a write that waits for others. For a sink whose writes do; after a commit it does nothing. */
  abort?(): void;
  /** After `commit`, or instead of it. */
  dispose(): Promise<void>;
}

export interface FileSource {
  readonly size: number;
  readonly mode: number;
  readonly modifiedAtMs: number;
  readonly blocks: AsyncIterable<Buffer>;
  /** For a source that is not read; one that was has closed itself. */
  close(): Promise<void>;
}

/** A regular file as a stream of blocks; it is closed when they have been read, or the reading has been given up. */
export async function fileSource(
  path: Buffer,
  range: { readonly offset: number; readonly length: number },
  follow: boolean,
): Promise<FileSource> {
  const { file, stat } = await openRegular(path, constants.O_RDONLY, follow);
  return {
    size: Number(stat.size),
    mode: Number(stat.mode) & 0o7777,
    modifiedAtMs: Math.floor(Number(stat.mtimeNs / 1_000_000n)),
    blocks: readBlocks(file, range),
    close: () => file.close(),
  };
}

/** All blocks are in one buffer: whoever takes one is done with it when it asks for the next. */
async function* readBlocks(
  file: FileHandle,
  { offset, length }: { readonly offset: number; readonly length: number },
): AsyncGenerator<Buffer> {
  const block = Buffer.allocUnsafeSlow(Math.min(limits.streamDiskBytes, length));
  try {
    for (let done = 0; done < length;) {
      const { bytesRead } = await file.read(block, 0, Math.min(block.length, length - done), offset + done);
      if (bytesRead === 0) return;
      done += bytesRead;
      yield block.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

export interface UploadOptions {
  readonly follow: boolean;
  readonly atomic: boolean;
  readonly createParents: boolean;
  readonly mode: number | undefined;
  readonly modifiedAtMs: number | undefined;
}

/** A regular file that is filled from the beginning: in place, or beside the old one until it is whole. */
export async function fileSink(path: Buffer, options: UploadOptions): Promise<ByteSink> {
  const { follow, atomic, createParents, mode } = options;
  if (createParents) await createDirectory(splitLast(path).parent, true, follow);
  const replacement = atomic ? await Replacement.open(path, follow, mode) : undefined;
  const file = replacement?.file ?? (await openEmptied(path, follow, mode));
  return {
    write: async (parts) => {
      await writeParts(file, parts);
      for (const bytes of parts) giveBack(bytes);
    },
    commit: async () => {
      if (mode !== undefined && replacement === undefined) await file.chmod(mode);
      if (options.modifiedAtMs !== undefined) {
        await file.utimes(fileTime(options.modifiedAtMs), fileTime(options.modifiedAtMs));
      }
      await replacement?.commit(mode);
      return {};
    },
    dispose: () => (replacement === undefined ? file.close() : replacement[Symbol.asyncDispose]()),
  };
}

/** Writes everything; a short write is followed by one that says why it was short, or takes the rest. */
async function writeParts(file: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  let written = parts.length > 1 ? (await file.writev(parts)).bytesWritten : 0;
  for (const bytes of parts) {
    if (written < bytes.length) await file.writeFile(bytes.subarray(written));
    written = Math.max(0, written - bytes.length);
  }
}

/** A directory that a tar archive is unpacked into. */
export async function treeSink(path: Buffer): Promise<ByteSink> {
  await createDirectory(path, true, true);
  const unpacker = await TreeUnpacker.open(path);
  return {
    write: async (parts) => {
      for (const bytes of parts) await unpacker.write(bytes);
    },
    commit: async () => {
      await unpacker.finish();
      return { entries: unpacker.entries };
    },
    dispose: () => unpacker.dispose(),
  };
}
