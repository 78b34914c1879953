/**
 * Params on their way to a worker: as they were decoded, so that a worker needs no schemas, which would be most of its start. JSON has no
 * bytes; they go as an object with one key that no schema knows.
 */
const key = '@bytes';

export function carry(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return { [key]: Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64') };
  if (Array.isArray(value)) return value.map(carry);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, carry(member)]));
}

export function carried(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(carried);
  if (typeof value !== 'object' || value === null) return value;
  const bytes = (value as Record<string, unknown>)[key];
  if (typeof bytes === 'string') return Buffer.from(bytes, 'base64');
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, carried(member)]));
}
