import type { OutputStream } from '../protocol/process.ts';

/** What has happened to a process, in order. `exited` and `closed` carry no bytes: their facts are the process's. */
export interface JournalEvent {
  readonly seq: number;
  readonly kind: OutputStream | 'exited' | 'closed';
  /** Bytes of output before it. */
  readonly offset: number;
  readonly bytes: Buffer;
}

/** On disk an event is its seq (8 bytes, little endian), the index of its kind (1), its length (4, little endian) and its bytes. */
const kinds = ['stdout', 'stderr', 'pty', 'exited', 'closed'] as const;
const headerBytes = 13;

export function encodeEvents(events: readonly JournalEvent[]): Buffer {
  const parts: Buffer[] = [];
  for (const event of events) {
    const header = Buffer.alloc(headerBytes);
    header.writeBigUInt64LE(BigInt(event.seq), 0);
    header.writeUInt8(kinds.indexOf(event.kind), 8);
    header.writeUInt32LE(event.bytes.length, 9);
    parts.push(header, event.bytes);
  }
  return Buffer.concat(parts);
}

/** `offset`: that of the first event. */
export function* decodeEvents(content: Buffer, offset: number): Generator<JournalEvent> {
  let before = offset;
  for (let at = 0; at < content.length;) {
    const kind = kinds[content.readUInt8(at + 8)];
    if (kind === undefined) throw new Error('A block of the journal is damaged.');
    const start = at + headerBytes;
    const end = start + content.readUInt32LE(at + 9);
    yield {
      seq: Number(content.readBigUInt64LE(at)),
      kind,
      offset: before,
      bytes: content.subarray(start, end),
    };
    before += end - start;
    at = end;
  }
}

/** The first events, at least one, whose bytes together stay within `maxBytes`. */
export function takeWithin(
  events: Iterable<JournalEvent>,
  maxBytes: number,
  maxEvents: number,
): JournalEvent[] {
  const taken: JournalEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    bytes += event.bytes.length;
    if (taken.length > 0 && bytes > maxBytes) break;
    taken.push(event);
    if (bytes >= maxBytes || taken.length >= maxEvents) break;
  }
  return taken;
}
