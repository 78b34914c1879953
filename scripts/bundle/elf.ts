/** Of the sections and entries that are looked at (System V ABI, chapters 4 and 5). */
const dynamicSymbols = 11;
const loadSegment = 1;
const dynamicSegment = 2;
const tag = { null: 0, stringTable: 5, runPath: 29 } as const;

interface Image {
  readonly bytes: Buffer;
  /** From an address to a place in the file. */
  readonly offsetOf: (address: bigint) => number;
  readonly dynamic: { readonly offset: number; readonly size: number };
  readonly symbols: { readonly offset: number; readonly size: number };
}

/**
 * Says in a program for 64-bit Linux where it finds its libraries, without a tool. A linker leaves some entries of the dynamic section
 * free, and the text takes the place of the longest name that the program exports in C++: nobody links against it there any more.
 */
export function setRunPath(program: Buffer, runPath: string): Buffer {
  const image = readImage(Buffer.from(program));
  const { bytes, dynamic } = image;
  const entries = Array.from({ length: dynamic.size / 16 }, (_, index) => {
    const offset = dynamic.offset + index * 16;
    return { offset, kind: Number(bytes.readBigInt64LE(offset)), value: bytes.readBigUInt64LE(offset + 8) };
  });
  const end = entries.findIndex(({ kind }) => kind === tag.null);
  const strings = entries.find(({ kind }) => kind === tag.stringTable);
  const free = entries[end];
  if (end < 0 || free === undefined || entries[end + 1] === undefined || strings === undefined)
    throw new Error('The program has no room for another entry of its dynamic section.');
  if (entries.slice(0, end).some(({ kind }) => kind === tag.runPath))
    throw new Error('The program says already where its libraries are.');
  const table = image.offsetOf(strings.value);
  const place = spareName(image, table, runPath.length + 1);
  bytes.write(`${runPath}\0`, table + place, 'latin1');
  bytes.writeBigInt64LE(BigInt(tag.runPath), free.offset);
  bytes.writeBigUInt64LE(BigInt(place), free.offset + 8);
  return bytes;
}

/** The newest GLIBC_2.x that any of these asks for. */
export function requiredGlibc(programs: readonly Buffer[]): string {
  const minors = programs.flatMap((bytes) =>
    [...bytes.toString('latin1').matchAll(/GLIBC_2\.(\d+)(?:\.\d+)?\0/g)].map(([, minor]) => Number(minor)),
  );
  return `2.${Math.max(...minors)}`;
}

function readImage(bytes: Buffer): Image {
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1)
    throw new Error('The program is not a 64-bit ELF file of little endian.');
  const table = (offsetAt: number, sizeAt: number): number[] => {
    const start = Number(bytes.readBigUInt64LE(offsetAt));
    const size = bytes.readUInt16LE(sizeAt);
    return Array.from({ length: bytes.readUInt16LE(sizeAt + 2) }, (_, index) => start + index * size);
  };
  const segments = table(32, 54).map((at) => ({
    kind: bytes.readUInt32LE(at),
    offset: Number(bytes.readBigUInt64LE(at + 8)),
    address: bytes.readBigUInt64LE(at + 16),
    size: Number(bytes.readBigUInt64LE(at + 32)),
  }));
  const sections = table(40, 58).map((at) => ({
    kind: bytes.readUInt32LE(at + 4),
    offset: Number(bytes.readBigUInt64LE(at + 24)),
    size: Number(bytes.readBigUInt64LE(at + 32)),
  }));
  const dynamic = segments.find(({ kind }) => kind === dynamicSegment);
  const symbols = sections.find(({ kind }) => kind === dynamicSymbols);
  if (dynamic === undefined || symbols === undefined)
    throw new Error('The program is not linked dynamically.');
  return {
    bytes,
    dynamic,
    symbols,
    offsetOf: (address) => {
      const within = segments.find(
        ({ kind, address: start, size }) =>
          kind === loadSegment && address >= start && address < start + BigInt(size),
      );
      if (within === undefined) throw new Error('The program names an address that is not in the file.');
      return within.offset + Number(address - within.address);
    },
  };
}

/** Where the longest exported name of C++ begins, if no other name is a part of what gets lost. */
function spareName({ bytes, symbols }: Image, table: number, length: number): number {
  const starts = new Set<number>();
  const exported: number[] = [];
  for (let at = symbols.offset; at < symbols.offset + symbols.size; at += 24) {
    const name = bytes.readUInt32LE(at);
    starts.add(name);
    if (bytes.readUInt16LE(at + 6) !== 0) exported.push(name);
  }
  const candidates = exported
    .filter((start) => bytes.toString('latin1', table + start, table + start + 3) === '_ZN')
    .map((start) => ({ start, length: bytes.indexOf(0, table + start) - table - start }))
    .sort((a, b) => b.length - a.length || a.start - b.start);
  const isAlone = (start: number): boolean =>
    !Array.from({ length }, (_, index) => start + 1 + index).some((inside) => starts.has(inside));
  const found = candidates.find((one) => one.length >= length && isAlone(one.start));
  if (found === undefined) throw new Error('The program has no name that is long enough to be replaced.');
  return found.start;
}
