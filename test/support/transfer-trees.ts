import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

const slash = Buffer.from('/');

function join(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, slash, name]);
}

export interface SnapshotOptions {
  /** Left out where several names of one file are no matter. */
  readonly links?: boolean;
  /** Of the root, whose time is its own matter. */
  readonly root?: boolean;
}

/** Everything below a folder, by path: kind, permission bits, time to the millisecond, content or target. Names as latin1. */
export function snapshotOf(root: string, options: SnapshotOptions = {}): Map<string, string> {
  const found = new Map<string, string>();
  const folder = Buffer.from(root);
  if (options.root) found.set('.', describe(folder, lstatSync(folder, { bigint: true }), options));
  below(folder, '', found, options);
  return found;
}

/** What differs, as text for a failure; nothing if they are equal. */
export function differences(one: Map<string, string>, other: Map<string, string>): string[] {
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names]
    .filter((name) => one.get(name) !== other.get(name))
    .map((name) => `${JSON.stringify(name)}: ${one.get(name)} became ${other.get(name)}`);
}

function below(folder: Buffer, prefix: string, found: Map<string, string>, options: SnapshotOptions): void {
  for (const name of readdirSync(folder, { encoding: 'buffer' })) {
    const full = join(folder, name);
    const shown = `${prefix}${name.toString('latin1')}`;
    const stat = lstatSync(full, { bigint: true });
    found.set(shown, describe(full, stat, options));
    if (stat.isDirectory()) below(full, `${shown}/`, found, options);
  }
}

function describe(full: Buffer, stat: BigIntStats, options: SnapshotOptions): string {
  const mode = (Number(stat.mode) & 0o7777).toString(8);
  const common = `${mode} ${stat.mtimeNs / 1_000_000n}${options.links ? ` ${stat.nlink}` : ''}`;
  if (stat.isSymbolicLink()) return `link ${common} -> ${readlinkSync(full, 'latin1')}`;
  if (stat.isDirectory()) return `directory ${common}`;
  if (!stat.isFile()) return `special ${common}`;
  if (process.getuid?.() !== 0 && (Number(stat.mode) & 0o400) === 0) return `file ${common} ${stat.size}`;
  return `file ${common} ${createHash('sha256').update(readFileSync(full)).digest('hex')}`;
}

/** Removes a tree, also where its directories may not be searched. */
export function removeTree(root: string): void {
  open(Buffer.from(root));
  rmSync(root, { recursive: true, force: true });

  function open(folder: Buffer): void {
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return;
    chmodSync(folder, 0o700);
    for (const entry of readdirSync(folder, { encoding: 'buffer', withFileTypes: true }))
      if (entry.isDirectory()) open(join(folder, entry.name));
  }
}

/** Directories from the innermost on, so that nothing is put into them behind their times. */
export interface TreeEntry {
  readonly name: string;
  readonly mode?: number;
  readonly timeMs: number;
  readonly content?: string | Uint8Array;
  /** Of a symbolic link. */
  readonly target?: string;
}

/** Makes files, links and directories: those with a slash at the end. Modes and times are set when everything is there. */
export function makeTree(root: string, entries: readonly TreeEntry[]): void {
  mkdirSync(root, { recursive: true });
  for (const { name, content = '', target } of entries) {
    const full = `${root}/${name}`;
    if (name.endsWith('/')) mkdirSync(full, { recursive: true });
    else if (target === undefined) writeFileSync(full, content);
    else symlinkSync(target, full);
  }
  for (const { name, mode, timeMs, target } of entries.toReversed()) {
    const full = `${root}/${name}`;
    // Half a microsecond more: the fraction is cut off on the way.
    // As text: Node takes a negative number for now.
    const time = String((timeMs + 0.0005) / 1000);
    if (target !== undefined) {
      lutimesSync(full, time, time);
      continue;
    }
    if (mode !== undefined) chmodSync(full, mode);
    utimesSync(full, time, time);
  }
}

const long = 'long-name-'.repeat(20);
const deep = Array.from({ length: 12 }, (_, level) => `level-${level}-${'x'.repeat(20)}`).join('/');

/** One of each that an archive has to carry. */
export const variedEntries: readonly TreeEntry[] = [
  { name: 'plain', mode: 0o644, timeMs: 1_700_000_000_123, content: 'plain\n' },
  { name: 'empty', mode: 0o600, timeMs: 1_700_000_000_001, content: '' },
  { name: 'program', mode: 0o755, timeMs: 1_600_000_000_999, content: '#!/bin/sh\n' },
  { name: 'read-only', mode: 0o444, timeMs: 1_500_000_000_500, content: 'r' },
  { name: 'block', mode: 0o640, timeMs: 1_700_000_001_007, content: 'b'.repeat(512) },
  { name: 'large', mode: 0o644, timeMs: 1_700_000_002_000, content: Buffer.alloc(700_001, 'large') },
  { name: 'old', mode: 0o644, timeMs: 1, content: 'of 1970' },
  { name: 'far', mode: 0o644, timeMs: 4_000_000_000_250, content: 'of 2096' },
  { name: 'to-plain', timeMs: 1_700_000_003_333, target: 'plain' },
  { name: 'dangling', timeMs: 1_700_000_003_334, target: 'nowhere/at all' },
  { name: 'with space and "quotes"', mode: 0o644, timeMs: 1_700_000_004_000, content: 's' },
  { name: 'back\\slash', mode: 0o644, timeMs: 1_700_000_004_001, content: 'b' },
  { name: 'new\nline', mode: 0o644, timeMs: 1_700_000_004_002, content: 'n' },
  { name: '-rf', mode: 0o644, timeMs: 1_700_000_004_003, content: 'o' },
  { name: 'ünïcödé-文字-😀', mode: 0o644, timeMs: 1_700_000_004_004, content: 'u' },
  { name: long, mode: 0o644, timeMs: 1_700_000_005_000, content: 'of more than 100 bytes' },
  { name: 'dir/', mode: 0o755, timeMs: 1_700_000_006_001 },
  { name: 'dir/inner', mode: 0o644, timeMs: 1_700_000_006_002, content: 'inner' },
  { name: 'dir/up', timeMs: 1_700_000_006_003, target: '../plain' },
  { name: 'dir/sub/', mode: 0o700, timeMs: 1_700_000_006_004 },
  { name: 'dir/sub/root', timeMs: 1_700_000_006_005, target: '../..' },
  { name: 'empty-dir/', mode: 0o751, timeMs: 1_700_000_007_000 },
  { name: 'shared/', mode: 0o775, timeMs: 1_700_000_007_001 },
  { name: `${deep}/`, mode: 0o755, timeMs: 1_700_000_008_000 },
  { name: `${deep}/${long}`, mode: 0o644, timeMs: 1_700_000_008_001, content: 'of more than 255 bytes' },
  { name: `${deep}/äöü`, timeMs: 1_700_000_008_002, target: `../${'y'.repeat(150)}` },
];
