/** The few relay frames that the service itself sends. */

export function resumeFrame(streamId: string): Buffer {
  return frame(streamId, 7, Buffer.alloc(0));
}

export function resetFrame(streamId: string, reason: string): Buffer {
  return frame(streamId, 8, bytesField(1, Buffer.from(reason)));
}

/** A whole message in one segment. */
export function dataFrame(streamId: string, seq: number, payload: Buffer): Buffer {
  const numbers = [...(seq === 0 ? [] : [0x08, ...varint(seq)]), 0x18, 1];
  return frame(streamId, 5, Buffer.concat([Buffer.from(numbers), bytesField(4, payload)]));
}

function frame(streamId: string, body: number, content: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from([0x08, 1]),
    bytesField(2, Buffer.from(streamId)),
    bytesField(body, content),
  ]);
}

function bytesField(number: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([number * 8 + 2, ...varint(value.length)]), value]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
