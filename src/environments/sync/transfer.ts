import { limits } from '../../protocol/limits.ts';
import { FileChangedError } from '../../disk/pack-entries.ts';
import { RpcError, invalidRequest } from '../../protocol/errors.ts';
import { isEqual } from './compare.ts';
import type { Entry, Noted, SyncOptions, SyncPeer } from './options.ts';
import type { LocalSide, RemoteSide } from './sides.ts';

/** Times that a file is sent which is written to meanwhile. */
const rounds = 3;
/** Streams of one round: each time that a large file changes under the hands of its reader, the rest goes on in another one. */
const streamsOfRound = 16;

export interface Transferred {
  readonly source: Entry;
  readonly target: Entry;
}

export interface TransferReport {
  /** On their place, and equal on both sides by their digests. */
  readonly done: Map<string, Transferred>;
  readonly unsettled: Noted[];
}

interface Road {
  readonly peer: SyncPeer;
  readonly local: LocalSide;
  readonly remote: RemoteSide;
  readonly options: SyncOptions;
  readonly follow: boolean;
  /** A file has been read, or has come. */
  readonly onFile: (bytes: number) => void;
  readonly onVerify: () => void;
}

/** Moves entries from the source to the target, and compares what has arrived with what the source has. */
export async function transfer(
  road: Road,
  names: readonly string[],
  entries: ReadonlyMap<string, Entry>,
): Promise<TransferReport> {
  const done: TransferReport['done'] = new Map();
  const reasons = new Map<string, string>();
  const sources = new Map(entries);
  let pending = names;
  for (let round = 0; round < rounds && pending.length > 0; round++) {
    for (let at = 0; at < pending.length; at += limits.treeNames) {
      await sendRound(road, pending.slice(at, at + limits.treeNames), sources, reasons);
    }
    road.onVerify();
    for (const { source, target } of await verify(road, pending)) {
      sources.set(source.path, source);
      if (target !== undefined && isEqual(source, target)) done.set(source.path, { source, target });
    }
    pending = pending.filter((name) => !done.has(name));
  }
  const changed = 'It was written to while it was copied.';
  return { done, unsettled: pending.map((path) => ({ path, why: reasons.get(path) ?? changed })) };
}

async function sendRound(
  road: Road,
  names: readonly string[],
  entries: ReadonlyMap<string, Entry>,
  reasons: Map<string, string>,
): Promise<void> {
  let left = [...names];
  for (let stream = 1; left.length > 0; stream++) {
    const settled = new Set<string>();
    try {
      if (road.options.direction === 'up') await send(road, left, settled, reasons);
      else await receive(road, left, entries, settled, reasons);
      return;
    } catch (error) {
      const path = changedPath(error);
      if (path === undefined || !left.includes(path) || stream === streamsOfRound) throw error;
      reasons.set(path, 'It was written to while it was read.');
      left = left.filter((name) => name !== path && !settled.has(name));
    }
  }
}

async function send(
  { peer, local, remote, options, follow, onFile }: Road,
  names: readonly string[],
  settled: Set<string>,
  reasons: Map<string, string>,
): Promise<void> {
  await peer.files.trees.send(Buffer.from(local.path), remote.path, names, {
    follow,
    signal: options.signal,
    sandbox: options.sandbox,
    // Whether it has arrived is found out afterwards.
    onPacked: ({ path, size = 0 }) => {
      settled.add(path);
      onFile(size);
    },
    onLeftOut: (path, why) => {
      settled.add(path);
      reasons.set(path, why);
    },
  });
}

async function receive(
  { peer, local, remote, options, follow, onFile }: Road,
  names: readonly string[],
  entries: ReadonlyMap<string, Entry>,
  settled: Set<string>,
  reasons: Map<string, string>,
): Promise<void> {
  const asked = new Set(names);
  await peer.files.trees.receive(remote.path, Buffer.from(local.path), names, {
    follow,
    signal: options.signal,
    sandbox: options.sandbox,
    takes: ({ path, kind, size }) => {
      const planned = entries.get(path);
      if (!asked.has(path) || kind !== planned?.kind)
        throw invalidRequest(
          `The archive has ${JSON.stringify(path.slice(0, 200))}, which nobody has asked for as a ${kind}.`,
        );
      // It has changed since it was compared: the next round, or the next run, knows more.
      if (kind !== 'file' || size === planned.size) return true;
      reasons.set(path, 'It was written to after it was compared.');
      return false;
    },
    onPlaced: ({ path, size }) => {
      settled.add(path);
      onFile(size);
    },
  });
}

/** What both sides have now of what was sent. Each reads its own. */
async function verify(
  { local, remote, options, follow }: Road,
  names: readonly string[],
): Promise<{ source: Entry; target: Entry | undefined }[]> {
  const up = options.direction === 'up';
  const [near, far] = await Promise.all([
    local.describe(names, up && follow),
    remote.describe(names, !up && follow),
  ]);
  const [sources, targets] = up ? [near, far] : [far, near];
  return [...sources.values()].map((source) => ({ source, target: targets.get(source.path) }));
}

/** The file that has ended an archive by changing, as this side or the other one says. */
function changedPath(error: unknown): string | undefined {
  if (error instanceof FileChangedError) return error.path;
  if (!(error instanceof RpcError)) return undefined;
  const quoted = /^("(?:[^"\\]|\\.)*") was written to while it was read\.$/s.exec(error.message)?.[1];
  try {
    const path: unknown = quoted === undefined ? undefined : JSON.parse(quoted);
    return typeof path === 'string' ? path : undefined;
  } catch {
    return undefined;
  }
}
