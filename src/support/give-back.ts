/**
 * Frees the memory of bytes that nobody uses any more, now: the collector, which sees small objects only, would let hundreds of them pile up.
 * Bytes that are a part of something larger stay as they are, and so do none at all: libraries share one empty buffer.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (byteLength > 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
