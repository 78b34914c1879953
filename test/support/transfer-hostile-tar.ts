import type { Chance } from './faults-random.ts';
import {
  type TarFields,
  base256,
  blockBytes,
  endOfTar,
  gnuLong,
  paxEntry,
  tarEntry,
  withSum,
} from './transfer-tar.ts';

/** Names that meet each other, and what lies ready in the directory: `out`, `outdir`, `outfile` lead out of it. */
const parts = ['a', 'b', 'c', 'd', 'l', 'out', 'outdir', 'outfile', 'there', 'file', '.', '', 'new'];

const odd: readonly (string | Buffer)[] = [
  '/etc/exec-transfer-hostile',
  '//a',
  '..',
  '../outside/new',
  '../outside/dir/',
  'a/../../outside/new',
  'a/../b',
  './../outside/file',
  'a/..',
  '/',
  '.',
  './',
  '',
  'a//b',
  'back\\slash',
  '..\\outside\\new',
  'new\nline',
  'tab\there',
  'nul\0here',
  Buffer.from([0x61, 0xff, 0xfe]),
  Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0x2f, 0x61]),
  Buffer.from([0xed, 0xa0, 0x80]),
  '\u202egnp.exe',
  'C:\\Windows\\x',
  'con',
  '__proto__',
  'constructor/prototype',
  'x'.repeat(255),
  'x'.repeat(256),
  `${'y/'.repeat(300)}z`,
  `${'y/'.repeat(3000)}z`,
  '/proc/self/cwd/x',
  'out/new',
  'out/dir/',
  'outdir/new',
  'outfile',
  'l/new',
  'l/',
];

const targets: readonly string[] = [
  '..',
  '../outside',
  '../outside/file',
  '../..',
  '/',
  '/etc/passwd',
  '.',
  'a',
  'a/b',
  'l',
  '../l',
  'a/../..',
  'out',
  'out/file',
  'outfile',
  'nowhere',
  '',
  './../outside',
  'x/../../outside',
  'l/../../outside',
  '/proc/self/root',
];

const sizes: readonly (number | string | Buffer)[] = [
  0,
  1,
  511,
  512,
  513,
  4096,
  2 ** 32,
  2 ** 33 - 1,
  '77777777777',
  '-1',
  '',
  ' 5 ',
  '0x10',
  '9',
  'zzz',
  base256(5n, 12),
  base256(2n ** 62n, 12),
  base256(-1n, 12),
  base256(-512n, 12),
  base256(2n ** 80n, 12),
  Buffer.alloc(12, 0x80),
  Buffer.alloc(12, 0xff),
];

const types = [
  '0',
  '0',
  '0',
  '5',
  '5',
  '2',
  '2',
  '1',
  '1',
  '3',
  '4',
  '6',
  '7',
  'S',
  'x',
  'g',
  'L',
  'K',
  'Z',
  '\0',
];
const modes = [0o644, 0o755, 0, 0o7777, 0o444, '', 'zzz', base256(-1n, 8)];
const times = [0, 1_700_000_000, '77777777777', '-5', 'zzz', base256(2n ** 40n, 12), base256(-5n, 12)];
const magics = ['ustar\x0000', 'ustar\x0000', 'ustar  \0', 'ustar\x0000', '\0\0\0\0\0\0\0\0', 'ustar\0zz'];

function name(chance: Chance): string | Buffer {
  if (chance.below(4) === 0) return chance.pick(odd);
  return Array.from({ length: 1 + chance.below(3) }, () => chance.pick(parts)).join('/');
}

function content(chance: Chance): string {
  return 'hostile '.repeat(chance.pick([0, 0, 1, 1, 63, 64, 65, 300]));
}

function pax(chance: Chance): Buffer {
  const records: Record<string, string | Buffer> = {};
  const keys = [
    'path',
    'linkpath',
    'size',
    'mtime',
    'mode',
    '__proto__',
    'GNU.sparse.name',
    'comment',
    'path',
  ];
  for (let count = 1 + chance.below(3); count > 0; count--) {
    const key = chance.pick(keys);
    if (key === 'size') records[key] = chance.pick(['0', '5', '-5', '1e3', 'NaN', '99999999999', '0x5', '']);
    else if (key === 'mtime')
      records[key] = chance.pick(['0', '-1.5', '1e300', 'Infinity', 'x', '1.123456789']);
    else if (key === 'linkpath') records[key] = chance.pick(targets);
    else records[key] = name(chance);
  }
  return paxEntry(records, chance.pick(['x', 'x', 'x', 'g']));
}

function entry(chance: Chance): Buffer {
  const type = chance.pick(types);
  const fields: TarFields = {
    name: name(chance),
    type,
    magic: chance.pick(magics),
    ...(chance.below(3) === 0 ? { mode: chance.pick(modes) } : {}),
    ...(chance.below(6) === 0 ? { size: chance.pick(sizes) } : {}),
    ...(chance.below(6) === 0 ? { mtime: chance.pick(times) } : {}),
    ...(chance.below(8) === 0 ? { prefix: name(chance) } : {}),
    ...(type === '1' || type === '2' || chance.below(10) === 0 ? { linkname: chance.pick(targets) } : {}),
  };
  return tarEntry(fields, type === '0' || type === '7' || chance.below(5) === 0 ? content(chance) : '');
}

/** One with which nothing is wrong, unless it meets what is there. */
function tame(chance: Chance): Buffer {
  const at = Array.from({ length: 1 + chance.below(3) }, () => chance.pick(['a', 'b', 'c', 'd', 'e'])).join(
    '/',
  );
  const mode = chance.pick([0o644, 0o755, 0o600, 0]);
  switch (chance.below(5)) {
    case 0:
      return tarEntry({ name: `${at}/`, type: '5', mode });
    case 1:
      return tarEntry({
        name: `l${chance.below(3)}`,
        type: '2',
        linkname: chance.pick(['a', 'a/b', 'file', '.']),
      });
    case 2:
      return tarEntry({ name: `h${chance.below(3)}`, type: '1', linkname: 'file' });
    default:
      return tarEntry({ name: `${at}-${chance.below(3)}`, mode }, content(chance));
  }
}

/** Entries that are meant to be one after the other. */
function attack(chance: Chance): Buffer[] {
  const way = chance.pick([
    'link then file',
    'links',
    'hard',
    'swap',
    'shut',
    'deep',
    'long',
    'moved',
  ] as const);
  const link = (at: string, to: string): Buffer => tarEntry({ name: at, type: '2', linkname: to });
  const hard = (at: string, to: string): Buffer => tarEntry({ name: at, type: '1', linkname: to });
  const directory = (at: string, mode = 0o755): Buffer => tarEntry({ name: `${at}/`, type: '5', mode });
  switch (way) {
    case 'link then file':
      return [
        link('l', chance.pick(targets)),
        tarEntry({ name: 'l' }, 'x'),
        tarEntry({ name: 'l/new' }, 'x'),
      ];
    case 'links':
      return [
        directory('a/b'),
        link('a/b/up', '../..'),
        link('x', 'a/b/up'),
        tarEntry({ name: 'x/../new' }, 'x'),
      ];
    case 'hard':
      return [hard('h', chance.pick(targets)), tarEntry({ name: 'h', mode: 0 }, 'x'), hard('out', 'h')];
    case 'swap':
      return [
        directory('s', 0),
        link('s', '../outside'),
        tarEntry({ name: 's/new' }, 'x'),
        directory('s', 0o777),
      ];
    case 'shut':
      return [
        directory('m', 0),
        tarEntry({ name: 'm/new', mode: 0 }, 'x'),
        directory('m/n', 0),
        directory('m', 0),
      ];
    case 'deep':
      return [tarEntry({ name: 'q/'.repeat(40) + 'f' }, 'x'), link(`${'q/'.repeat(45)}up`, '../'.repeat(46))];
    case 'long':
      return [gnuLong(chance.pick(['L', 'K']), name(chance)), entry(chance)];
    case 'moved':
      return [link('a/b/deep', '../../new'), hard(chance.pick(['h', 'a/h', 'c/d/h']), 'a/b/deep')];
  }
}

/** Flips, cuts, doubles or moves parts. Half of the time the sums of the headers are put right again. */
function damage(archive: Buffer, chance: Chance): Buffer {
  let bytes = Buffer.from(archive);
  for (let count = 1 + chance.below(4); count > 0; count--) {
    const at = chance.below(Math.max(1, bytes.length));
    const block = at - (at % blockBytes);
    switch (chance.below(6)) {
      case 0:
        bytes[at] = chance.below(256);
        break;
      case 1:
        bytes[block + chance.pick([0, 1, 99, 100, 107, 124, 125, 135, 136, 156, 157, 257, 262, 345])] =
          chance.below(256);
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, block), bytes.subarray(block)].toReversed());
        break;
      case 4:
        bytes = Buffer.concat([bytes, bytes.subarray(block, block + blockBytes * 3)]);
        break;
      default:
        bytes = Buffer.concat([bytes, Buffer.alloc(chance.below(1500), chance.below(3))]);
    }
  }
  if (chance.below(2) === 0) return bytes;
  for (let block = 0; block + blockBytes <= bytes.length; block += blockBytes)
    if (bytes.toString('latin1', block + 257, block + 262) === 'ustar')
      withSum(bytes.subarray(block, block + blockBytes));
  return bytes;
}

/** An archive that means no good, or no longer is one. The same for the same chances. */
export function hostileArchive(chance: Chance): Buffer {
  const entries: Buffer[] = [];
  // Some that are right first, so that the others find something.
  const calm = chance.below(3);
  for (let count = chance.below(3 + 3 * calm); count > 0; count--) entries.push(tame(chance));
  for (let count = calm === 2 ? chance.below(2) : 1 + chance.below(6); count > 0; count--) {
    if (chance.below(5) === 0) entries.push(pax(chance));
    if (chance.below(3) === 0) entries.push(...attack(chance));
    else entries.push(entry(chance));
  }
  if (chance.below(8) > 0) entries.push(endOfTar);
  if (chance.below(12) === 0) entries.push(Buffer.alloc(2000, chance.below(256)));
  const archive = Buffer.concat(entries);
  return chance.below(3) === 0 ? damage(archive, chance) : archive;
}
