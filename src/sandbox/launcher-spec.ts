import type { NativeSpec } from '../support/native.ts';

export type SpecEntry = readonly [key: string, value: string | Buffer];

const end = Buffer.alloc(1);

/** What the launcher reads: NUL-terminated strings, a key and a value in turn. No value can contain a NUL: they come from such strings. */
export function encodeSpec(entries: readonly SpecEntry[]): Buffer {
  return Buffer.concat(
    entries.flatMap(([key, value]) => [
      Buffer.from(`${key}\0`),
      typeof value === 'string' ? Buffer.from(value) : value,
      end,
    ]),
  );
}

/** The command itself, as an unconfined start would run it. */
export function commandEntries(command: NativeSpec): SpecEntry[] {
  return [
    ...each('candidate', command.candidates),
    ...each('arg', command.argv),
    ...each('env', command.env),
    ...each('cwd', command.cwd),
    ...(command.rows > 0 ? [['tty', '1'] as const] : []),
  ];
}

function each(key: string, strings: Buffer): SpecEntry[] {
  const entries: SpecEntry[] = [];
  for (let start = 0; start < strings.length;) {
    const stop = strings.indexOf(0, start);
    entries.push([key, strings.subarray(start, stop)]);
    start = stop + 1;
  }
  return entries;
}
