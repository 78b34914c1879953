import type { z } from 'zod';
import { isText } from '../disk/described-entry.ts';
import { packEntries, type PackEntriesOptions } from '../disk/pack-entries.ts';
import { TreeUnpacker, type UnpackOptions } from '../disk/unpack.ts';
import { RpcError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { WireParams } from '../protocol/methods.ts';
import { parsePath } from '../protocol/path.ts';
import { ManifestEntry } from '../protocol/transfer.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import type { ByteStreams, IncomingBytes } from './byte-streams.ts';
import type { Call } from './call.ts';

export type TreeEntry = z.output<typeof ManifestEntry>;

type ManifestOptions = Pick<WireParams<'fs/manifest'>, 'entries' | 'ignore' | 'followSymlinks' | 'sandbox'>;

interface Watched {
  /** Bytes of the archive so far. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
  readonly sandbox?: WireParams<'fs/archive'>['sandbox'];
}

/** Trees of the environment, some entries at a time: what directory sync is made of. Paths of entries are relative to the directory. */
export class RemoteTrees {
  readonly #call: Call;
  readonly #streams: ByteStreams;
  readonly #path: (path: string) => string;

  constructor(call: Call, streams: ByteStreams, path: (path: string) => string) {
    this.#call = call;
    this.#streams = streams;
    this.#path = path;
  }

  /** What is below a directory, in parts as it comes. Nothing in it is trusted further than its form. */
  async *describe(
    path: string,
    options: ManifestOptions = {},
    signal?: AbortSignal,
  ): AsyncGenerator<TreeEntry[], void> {
    const { bytes } = await this.#streams.open((streamId, creditBytes) =>
      this.#call('fs/manifest', { streamId, creditBytes, path: this.#path(path), ...options }),
    );
    using _aborted = cancelledBy(signal, bytes);
    let rest = Buffer.alloc(0);
    let received = 0;
    for await (const chunk of bytes) {
      received += chunk.length;
      if (received > limits.manifestBytes)
        throw broken(`the manifest is longer than ${limits.manifestBytes} bytes`);
      const text = Buffer.concat([rest, chunk]);
      const end = text.lastIndexOf(0x0a) + 1;
      rest = text.subarray(end);
      if (rest.length > limits.streamDiskBytes) throw broken('a line of the manifest never ends');
      if (end > 0) yield linesOf(text.toString('utf8', 0, end));
    }
    if (rest.length > 0) throw broken('the last line of the manifest has no end');
  }

  /** Sends entries of a local directory, in one stream, to a directory of the environment, which is made if it is missing. */
  async send(
    local: Buffer,
    path: string,
    names: readonly string[],
    { onBytes, signal, sandbox, ...options }: PackEntriesOptions & Watched,
  ): Promise<void> {
    const open = (streamId: string): Promise<unknown> =>
      this.#call('fs/extract', { streamId, path: this.#path(path), ...given(sandbox) });
    const archive = packEntries(local, names, options);
    await this.#streams.send(open, abortable(archive, signal), onBytes);
  }

  /** Takes entries of a directory of the environment, in one stream, into a local directory that is there. */
  async receive(
    path: string,
    local: Buffer,
    names: readonly string[],
    options: UnpackOptions & Watched & { readonly follow: boolean },
  ): Promise<void> {
    const { onBytes = () => {}, signal, sandbox, follow } = options;
    const { bytes } = await this.#streams.open((streamId, creditBytes) =>
      this.#call('fs/archive', {
        streamId,
        creditBytes,
        path: this.#path(path),
        entries: [...names],
        followSymlinks: follow,
        ...given(sandbox),
      }),
    );
    using _aborted = cancelledBy(signal, bytes);
    const unpacker = await TreeUnpacker.open(local, options).catch((error: unknown) => {
      bytes.cancel();
      throw error;
    });
    try {
      let received = 0;
      for await (const part of bytes) {
        await unpacker.write(part);
        received += part.length;
        onBytes(received);
      }
      await unpacker.finish();
    } finally {
      await unpacker.dispose();
    }
  }

  /** Where a directory is, links followed; undefined where there is none. */
  async locate(path: string, sandbox: Watched['sandbox']): Promise<string | undefined> {
    try {
      // Decoded from whichever form the executor answers in.
      const { path: real } = await this.#call('fs/canonicalize', {
        path: this.#path(path),
        ...given(sandbox),
      });
      const parsed = parsePath(real);
      if ('problem' in parsed || !isText(parsed.bytes))
        throw new ConnectionError('protocol', "The executor's answer to fs/canonicalize is no usable path.");
      return parsed.bytes.toString();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async makeDirectory(path: string, sandbox: Watched['sandbox']): Promise<void> {
    await this.#call('fs/createDirectory', { path: this.#path(path), recursive: true, ...given(sandbox) });
  }

  /** Removes one entry, a directory only if it is empty. No link in the way is followed. */
  async remove(path: string, isDirectory: boolean, sandbox: Watched['sandbox']): Promise<void> {
    const how = { recursive: false, force: false, followSymlinks: false };
    await this.#call('fs/remove', { path: this.#path(path), ...how, ...given(sandbox) });
  }

  async setMode(path: string, mode: number, sandbox: Watched['sandbox']): Promise<void> {
    const how = { mode, followSymlinks: false };
    await this.#call('fs/setMetadata', { path: this.#path(path), ...how, ...given(sandbox) });
  }
}

function given(sandbox: Watched['sandbox']): { sandbox?: NonNullable<Watched['sandbox']> } {
  return sandbox == null ? {} : { sandbox };
}

function linesOf(text: string): TreeEntry[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const entry = ManifestEntry.safeParse(jsonOf(line));
      if (!entry.success) throw broken('a line of the manifest is not of its form');
      return entry.data;
    });
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw broken('a line of the manifest is no JSON', cause);
  }
}

/** A stream that waits for the other side ends when the signal aborts. */
function cancelledBy(signal: AbortSignal | undefined, bytes: IncomingBytes): Disposable {
  const cancel = (): void => {
    bytes.fail(signal?.reason instanceof Error ? signal.reason : new Error('It was given up.'));
    bytes.cancel();
  };
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return { [Symbol.dispose]: () => signal?.removeEventListener('abort', cancel) };
}

async function* abortable(
  source: AsyncIterable<Buffer>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  signal?.throwIfAborted();
  for await (const part of source) {
    yield part;
    signal?.throwIfAborted();
  }
}

function broken(what: string, cause?: unknown): ConnectionError {
  return new ConnectionError('protocol', `The executor's answer to fs/manifest is wrong: ${what}.`, {
    cause,
  });
}

/** What the executor says where there is no such file or directory. */
function isMissing(error: unknown): boolean {
  return error instanceof RpcError && error.message.endsWith('(os error 2)');
}
