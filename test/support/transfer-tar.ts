/** A field of a tar header: text or bytes as they are, or a number in the form of the field. */
type Field = string | Buffer | number;

export interface TarFields {
  readonly name?: string | Buffer;
  readonly mode?: Field;
  readonly uid?: Field;
  readonly gid?: Field;
  readonly size?: Field;
  readonly mtime?: Field;
  /** The character of the type: 0 file, 1 hard link, 2 link, 3 and 4 devices, 5 directory, 6 FIFO, x and g pax, L and K of GNU. */
  readonly type?: string;
  readonly linkname?: string | Buffer;
  readonly magic?: string;
  readonly prefix?: string | Buffer;
}

export const blockBytes = 512;
/** What is behind the last entry. */
export const endOfTar: Buffer = Buffer.alloc(2 * blockBytes);

const layout = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  type: [156, 1],
  linkname: [157, 100],
  magic: [257, 8],
  prefix: [345, 155],
} as const;

/** Nothing is checked: it is made to be wrong, too. Only the sum over it is right. */
export function tarHeader(fields: TarFields): Buffer {
  const block = Buffer.alloc(blockBytes);
  const all = { mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 1_700_000_000, type: '0', magic: 'ustar\x0000' };
  for (const [name, value] of Object.entries({ ...all, ...fields }) as [keyof typeof layout, Field][]) {
    const [start, length] = layout[name];
    const bytes = typeof value === 'number' ? octal(value, length) : Buffer.from(value as string);
    bytes.copy(block, start, 0, length);
  }
  return withSum(block);
}

/** An entry with its content, filled up to whole blocks. */
export function tarEntry(fields: TarFields, content: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(content as string);
  const size = bytes.length > 0 && fields.size === undefined ? { size: bytes.length } : {};
  return Buffer.concat([tarHeader({ ...fields, ...size }), padded(bytes)]);
}

/** A header for the next entry, or for all (`g`), that says what the old fields cannot. */
export function paxEntry(records: Readonly<Record<string, string | Buffer>>, type = 'x'): Buffer {
  return tarEntry({ name: 'PaxHeader', type }, paxRecords(records));
}

/** A name in the way of GNU tar: type L, or K for where a link leads. */
export function gnuLong(type: 'L' | 'K', name: string | Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(name as string), Buffer.alloc(1)]);
  return tarEntry({ name: '././@LongLink', type, magic: 'ustar  \0' }, content);
}

export function tarArchive(...entries: readonly Buffer[]): Buffer {
  return Buffer.concat([...entries, endOfTar]);
}

/** Puts the right sum into a header that was changed. */
export function withSum(block: Buffer): Buffer {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** A number as GNU writes what is too large for digits. */
export function base256(value: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let left = BigInt.asUintN(8 * length, value);
  for (let at = length - 1; at >= 0; at--) {
    bytes[at] = Number(left & 0xffn);
    left >>= 8n;
  }
  bytes[0] = value < 0n ? 0xff : 0x80;
  return bytes;
}

function octal(value: number, length: number): Buffer {
  return Buffer.from(`${value.toString(8).padStart(length - 1, '0')}\0`);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes)]);
}

function paxRecords(records: Readonly<Record<string, string | Buffer>>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value as string), Buffer.from('\n')]);
    let digits = String(rest.length).length;
    if (String(rest.length + digits).length > digits) digits += 1;
    return Buffer.concat([Buffer.from(String(rest.length + digits)), rest]);
  });
  return Buffer.concat(lines);
}
