import type { Result, WireParams } from '../protocol/methods.ts';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { packTree } from '../disk/pack.ts';
import { type ByteSink, fileSink, fileSource, treeSink } from '../disk/transfer.ts';
import { type ByteStreams, type IncomingBytes, type StreamWriter, byteLength } from './byte-streams.ts';
import type { Call } from './call.ts';
import type { FileEvents } from './file-events.ts';
import { RemoteTrees } from './remote-trees.ts';
import type { GlobFound, GlobOptions, GrepOptions, RemoteGrep } from './remote-search.ts';
import type { RemoteWatch } from './remote-watch.ts';

export interface TransferProgress {
  /** Bytes so far, of the file or of the archive. */
  readonly bytes: number;
  /** Bytes in all; undefined for a directory, whose size nobody knows before. */
  readonly total: number | undefined;
}

export interface TransferOptions {
  readonly onProgress?: (progress: TransferProgress) => void;
}

export interface TransferSummary {
  readonly bytes: number;
  readonly sha256: string;
  /** Of a directory. */
  readonly entries?: number | undefined;
  /** Of a directory: FIFOs, sockets, devices, and names that are not UTF-8, which were left out. */
  readonly skipped?: number | undefined;
}

type WriteFileOptions = Pick<
  WireParams<'fs/writeFile'>,
  'atomic' | 'createParents' | 'mode' | 'followSymlinks'
>;
type Range = { readonly offset?: number; readonly length?: number };

/** The files of an environment. Paths are absolute, or `file:` URIs. Failures are RpcErrors whose text ends with `(os error N)`. */
export class RemoteFiles {
  readonly #call: Call;
  readonly #events: FileEvents;
  readonly #streams: ByteStreams;
  readonly #path: (path: string) => string;
  readonly #sandbox: { readonly sandbox?: NonNullable<WireParams<'fs/readFile'>['sandbox']> };
  /** Some entries of a tree at a time. */
  readonly trees: RemoteTrees;

  /** `path`: brings a path into the form that the executor takes. `sandbox`: what every operation is confined to. */
  constructor(
    unconfined: Call,
    events: FileEvents,
    path: (path: string) => string,
    sandbox?: WireParams<'fs/readFile'>['sandbox'],
  ) {
    this.#sandbox = sandbox == null ? {} : { sandbox };
    const call: Call = async (method, params, options) =>
      unconfined(method, { ...params, ...this.#sandbox } as typeof params, options);
    this.#call = call;
    this.#events = events;
    this.#streams = events.streams;
    this.#path = path;
    this.trees = new RemoteTrees(call, this.#streams, path);
  }

  /** A whole file, or a range of it, in memory. For what is large there is `readStream`. */
  async readFile(path: string, range: Range = {}): Promise<Uint8Array> {
    return (await this.#call('fs/readFile', { path: this.#path(path), ...range })).dataBase64;
  }

  async writeFile(path: string, data: Uint8Array | string, options: WriteFileOptions = {}): Promise<void> {
    const dataBase64 = Buffer.from(data).toString('base64');
    await this.#call('fs/writeFile', { path: this.#path(path), dataBase64, ...options });
  }

  async stat(
    path: string,
    options: { readonly followSymlinks?: boolean } = {},
  ): Promise<Result<'fs/getMetadata'>> {
    return this.#call('fs/getMetadata', { path: this.#path(path), details: true, ...options });
  }

  async list(path: string): Promise<Result<'fs/readDirectory'>['entries']> {
    return (await this.#call('fs/readDirectory', { path: this.#path(path) })).entries;
  }

  async walk(path: string, options: WireParams<'fs/walk'>['options']): Promise<Result<'fs/walk'>> {
    return this.#call('fs/walk', { path: this.#path(path), options });
  }

  async createDirectory(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
    await this.#call('fs/createDirectory', { path: this.#path(path), ...options });
  }

  /** Removes a file, a link, or with `recursive` a directory. Unlike the protocol's method, a missing path is an error unless `force` is set. */
  async remove(
    path: string,
    options: { readonly recursive?: boolean; readonly force?: boolean } = {},
  ): Promise<void> {
    const { recursive = false, force = false } = options;
    await this.#call('fs/remove', { path: this.#path(path), recursive, force });
  }

  async copy(
    source: string,
    destination: string,
    options: { readonly recursive?: boolean } = {},
  ): Promise<void> {
    const { recursive = false } = options;
    const paths = { sourcePath: this.#path(source), destinationPath: this.#path(destination) };
    await this.#call('fs/copy', { ...paths, recursive });
  }

  async rename(source: string, destination: string): Promise<void> {
    await this.#call('fs/rename', {
      sourcePath: this.#path(source),
      destinationPath: this.#path(destination),
    });
  }

  async createSymlink(path: string, target: string): Promise<void> {
    await this.#call('fs/createSymlink', { path: this.#path(path), target });
  }

  async readLink(path: string): Promise<string> {
    return (await this.#call('fs/readLink', { path: this.#path(path) })).target;
  }

  async realPath(path: string): Promise<string> {
    return (await this.#call('fs/canonicalize', { path: this.#path(path) })).path;
  }

  async setMetadata(path: string, change: Omit<WireParams<'fs/setMetadata'>, 'path'>): Promise<void> {
    await this.#call('fs/setMetadata', { path: this.#path(path), ...change });
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.#call('fs/truncate', { path: this.#path(path), size });
  }

  /** Lists paths by glob patterns, in the form of `path`, sorted by bytes. */
  async glob(options: GlobOptions): Promise<GlobFound> {
    return this.#events.searches.glob({ ...options, ...this.#sandbox });
  }

  /** Searches lines by a regular expression: `for await (const match of files.grep(…))`. */
  grep(options: GrepOptions): RemoteGrep {
    return this.#events.searches.grep({ ...options, ...this.#sandbox });
  }

  /** Tells what changes in a tree from now on: `for await (const update of watch)`. Paths are in the form of `path`. */
  async watch(
    path: string,
    options: Omit<WireParams<'fs/watch'>, 'watchId' | 'path'> = {},
  ): Promise<RemoteWatch> {
    return this.#events.watch({ ...options, ...this.#sandbox, path });
  }

  /** A file as a stream: read no faster than it is consumed, and compared with the executor's digest at its end. */
  readStream(path: string, range: Range = {}): ReadableStream<Uint8Array> {
    return ReadableStream.from(this.#read(path, range));
  }

  /** A file that is written as the stream is. With `atomic`, it appears when the stream is closed, whole. */
  writeStream(path: string, options: WriteFileOptions = {}): WritableStream<Uint8Array> {
    const opened = this.#streams.openWriter((streamId) => this.#openUpload(streamId, path, options));
    opened.catch(() => {});
    // A stream that fails is not aborted by its writer, so it gives itself up.
    const orCancel = async (work: (writer: StreamWriter) => Promise<unknown>): Promise<void> => {
      const writer = await opened;
      try {
        await work(writer);
      } catch (error) {
        await writer.cancel();
        throw error;
      }
    };
    return new WritableStream<Uint8Array>({
      write: (bytes) => orCancel((writer) => writer.write(bytes)),
      close: () => orCancel((writer) => writer.finish()),
      abort: async () => (await opened).cancel(),
    });
  }

  /** Copies a local file or directory to the environment, with modes and times. A file arrives whole or not at all. */
  async upload(local: string, remote: string, options: TransferOptions = {}): Promise<TransferSummary> {
    const path = Buffer.from(resolve(local));
    if ((await stat(path)).isDirectory()) return this.#uploadTree(path, remote, options);
    const source = await fileSource(path, { offset: 0, length: Infinity }, true);
    const { size: total, mode, modifiedAtMs } = source;
    const open = (streamId: string): Promise<unknown> =>
      this.#openUpload(streamId, remote, { atomic: true, mode, modifiedAtMs });
    try {
      return await this.#streams.send(open, source.blocks, (bytes) => options.onProgress?.({ bytes, total }));
    } finally {
      await source.close();
    }
  }

  /** Copies a file or directory of the environment to a local path, with modes and times. A file arrives whole or not at all. */
  async download(remote: string, local: string, options: TransferOptions = {}): Promise<TransferSummary> {
    const path = Buffer.from(resolve(local));
    const { isDirectory } = await this.stat(remote);
    if (isDirectory) {
      const { bytes } = await this.#streams.open((streamId, creditBytes) =>
        this.#call('fs/archive', { streamId, path: this.#path(remote), creditBytes }),
      );
      return receive(
        bytes,
        () => treeSink(path),
        (sent) => options.onProgress?.({ bytes: sent, total: undefined }),
      );
    }
    const { opened, bytes } = await this.#openDownload(remote, {});
    const { size: total, mode, modifiedAtMs } = opened;
    const sink = (): Promise<ByteSink> =>
      fileSink(path, { follow: true, atomic: true, createParents: false, mode, modifiedAtMs });
    return receive(bytes, sink, (sent) => options.onProgress?.({ bytes: sent, total }));
  }

  async #uploadTree(local: Buffer, remote: string, options: TransferOptions): Promise<TransferSummary> {
    const { stream, facts } = packTree(local);
    const open = (streamId: string): Promise<unknown> =>
      this.#call('fs/extract', { streamId, path: this.#path(remote) });
    const finished = await this.#streams.send(open, stream, (bytes) =>
      options.onProgress?.({ bytes, total: undefined }),
    );
    return { ...finished, skipped: facts.skipped };
  }

  async *#read(path: string, range: Range): AsyncGenerator<Uint8Array, void> {
    yield* (await this.#openDownload(path, range)).bytes;
  }

  async #openDownload(
    path: string,
    range: Range,
  ): Promise<{ opened: Result<'fs/download'>; bytes: IncomingBytes }> {
    return this.#streams.open((streamId, creditBytes) =>
      this.#call('fs/download', { streamId, path: this.#path(path), creditBytes, ...range }),
    );
  }

  async #openUpload(
    streamId: string,
    path: string,
    options: Omit<WireParams<'fs/upload'>, 'streamId' | 'path'>,
  ): Promise<unknown> {
    return this.#call('fs/upload', { streamId, path: this.#path(path), ...options });
  }
}

/** From a stream of the executor to the local disk; committed only when the digest is right. */
async function receive(
  bytes: IncomingBytes,
  open: () => Promise<ByteSink>,
  onProgress: (bytes: number) => void,
): Promise<TransferSummary> {
  const sink = await open().catch((error: unknown) => {
    bytes.cancel();
    throw error;
  });
  try {
    let received = 0;
    for await (const parts of bytes.batches()) {
      received += byteLength(parts);
      await sink.write(parts);
      onProgress(received);
    }
    await sink.commit();
    const { bytes: total = received, sha256 = '', entries, skipped } = bytes.end ?? {};
    return { bytes: total, sha256, entries, skipped };
  } finally {
    await sink.dispose();
  }
}
