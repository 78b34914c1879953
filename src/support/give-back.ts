/**
 * Frees the memory of bytes that nobody uses any more, now: the collector, which sees small objects only, would let hundreds of them pile up.
 * Bytes that are a part of something larger stay as they are.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
