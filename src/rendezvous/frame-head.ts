import { rendezvousLimits } from './limits.ts';

/** The field in which a sender says that it is a reliable one: ours, and unknown to others. */
const reliableField = 100;

/** The field numbers of a relay frame's bodies. */
const bodies = {
  5: 'data',
  6: 'ack',
  7: 'resume',
  8: 'reset',
  9: 'heartbeat',
  10: 'handshake',
} as const;

/** What of a relay frame the service looks at. Its payload goes on as it came. */
export interface FrameHead {
  readonly streamId: string;
  readonly kind: (typeof bodies)[keyof typeof bodies];
  /** The sender acknowledges and sends again, so that a frame may be lost. */
  readonly isReliable: boolean;
  /** The bytes of the body. */
  readonly body: Buffer;
}

/**
 * Reads the head of a relay frame; undefined where it is none. A field that comes twice makes a frame void: the last one would count for its
 * receiver, so that a frame that is two could be routed as one and read as the other.
 */
export function readFrameHead(frame: Buffer): FrameHead | undefined {
  let [version, streamId, kind, body]: [number?, string?, FrameHead['kind']?, Buffer?] = [];
  let isReliable = false;
  try {
    for (const { number, value } of fields(frame)) {
      if (number === 1) {
        if (version !== undefined || typeof value !== 'number') return undefined;
        version = value;
      } else if (number === 2) {
        if (streamId !== undefined || typeof value === 'number') return undefined;
        streamId = readText(value, rendezvousLimits.streamIdLength);
      } else if (number in bodies) {
        if (kind !== undefined || typeof value === 'number') return undefined;
        kind = bodies[number as keyof typeof bodies];
        body = value;
      } else if (number === reliableField) isReliable = value === 1;
    }
  } catch (error) {
    if (error instanceof MalformedFrame) return undefined;
    throw error;
  }
  if (version !== 1 || !streamId || kind === undefined || body === undefined) return undefined;
  return { streamId, kind, body, isReliable };
}

/** The payload of a whole, unsegmented `data`; undefined where it is none. */
export function wholePayload({ kind, body }: FrameHead): Buffer | undefined {
  if (kind !== 'data' || (lastField(body, 2) ?? 0) !== 0 || lastField(body, 3) !== 1) return undefined;
  const payload = lastField(body, 4);
  return typeof payload === 'object' && payload.length > 0 ? payload : undefined;
}

/** The reason of a `reset`. */
export function resetText({ body }: FrameHead): string {
  const reason = lastField(body, 1);
  return typeof reason === 'object' ? reason.toString('utf8') : '';
}

/** Of a body that its receiver reads alike: where a field comes twice the last one counts. */
function lastField(message: Buffer, wanted: number): Buffer | number | undefined {
  let found: Buffer | number | undefined;
  try {
    for (const { number, value } of fields(message)) if (number === wanted) found = value;
    return found;
  } catch (error) {
    if (error instanceof MalformedFrame) return undefined;
    throw error;
  }
}

class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame';
}

/** The fields of a message of Protocol Buffers, in their order. Numbers beyond 32 bits are not told apart. */
function* fields(message: Buffer): Generator<{ number: number; value: Buffer | number }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw new MalformedFrame();
      if (shift < 49) value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new MalformedFrame();
  };
  const bytes = (length: number): Buffer => {
    if (length > message.length - at) throw new MalformedFrame();
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = varint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (number === 0) throw new MalformedFrame();
    if (type === 0) yield { number, value: varint() };
    else if (type === 1) yield { number, value: bytes(8) };
    else if (type === 2) yield { number, value: bytes(varint()) };
    else if (type === 5) yield { number, value: bytes(4) };
    // Groups are of no use to this schema, and could hide a field.
    else throw new MalformedFrame();
  }
}

/** Canonical UTF-8 only, so that two ids are never one text. */
function readText(bytes: Buffer, most: number): string {
  const text = bytes.toString('utf8');
  if (bytes.length > most || Buffer.byteLength(text) !== bytes.length || text.includes('\ufffd')) {
    throw new MalformedFrame();
  }
  return text;
}
