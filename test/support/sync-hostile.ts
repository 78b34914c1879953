import { createHash } from 'node:crypto';

import { ByteStreams } from '../../src/client/byte-streams.ts';
import type { Call } from '../../src/client/call.ts';
import { RemoteTrees } from '../../src/client/remote-trees.ts';
import type { SyncPeer } from '../../src/environments/sync/options.ts';

export interface HostileAnswers {
  /** What it says is below its directory. */
  readonly manifest: string;
  /** The same where it is asked for some of it. */
  readonly named?: string;
  /** What it sends, for whatever is asked. */
  readonly archive?: Uint8Array | ((entries: readonly string[]) => Uint8Array);
}

/** The client's own code against an executor that answers what it likes. */
export function hostilePeer({
  manifest,
  named = manifest,
  archive = new Uint8Array(),
}: HostileAnswers): SyncPeer {
  const call = async (method: string, params: unknown): Promise<unknown> => {
    const { streamId, entries, path } = params as {
      streamId: string;
      entries?: readonly string[] | null;
      path: string;
    };
    if (method === 'fs/canonicalize') return { path };
    if (method === 'fs/manifest')
      answer(streamId, Buffer.from(entries === undefined || entries === null ? manifest : named));
    if (method === 'fs/archive')
      answer(streamId, typeof archive === 'function' ? archive(entries ?? []) : archive);
    return {};
  };
  const streams = new ByteStreams(call as unknown as Call);
  const answer = (streamId: string, bytes: Uint8Array): void => {
    const part = 64 * 1024;
    for (let offset = 0; offset < bytes.length; offset += part) {
      const chunk = Uint8Array.from(bytes.subarray(offset, offset + part));
      streams.receive({ kind: 'data', streamId, offset, chunk });
    }
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    streams.receive({ kind: 'end', streamId, bytes: bytes.length, sha256 });
  };
  const never = (): never => {
    throw new Error('Nobody asks a hostile executor for that here.');
  };
  const trees = new RemoteTrees(call as unknown as Call, streams, (path) => path);
  return { files: { trees, glob: never, readFile: never } };
}

export function lines(...entries: readonly object[]): string {
  return [{ path: '', kind: 'directory', mode: 0o755, version: 'v' }, ...entries]
    .map((entry) => `${JSON.stringify(entry)}\n`)
    .join('');
}

export function fileLine(path: string, content: string): object {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { path, kind: 'file', size: Buffer.byteLength(content), mode: 0o644, version: 'v', sha256 };
}
