import type { Header } from 'tar-stream';
import { invalidRequest } from '../protocol/errors.ts';

/** Bytes of a name in an archive. */
const nameBytes = 4096;

/** An entry of an archive as its receiver may judge it. */
export interface ArchivedEntry {
  /** Relative to the root. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly size: number;
}

const kinds: Readonly<Record<string, ArchivedEntry['kind']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'link',
};

/** A hard link is neither: what it stands for is not in the archive at its place. */
export function described(names: readonly string[], { type, size }: Header): ArchivedEntry {
  const kind = kinds[type ?? ''] ?? 'other';
  return { path: names.join('/'), kind, size: kind === 'file' ? (size ?? 0) : 0 };
}

/** The parts of a name in an archive. Throws for one that is not below the root by its text alone. */
export function splitName(name: string): string[] {
  const shown = JSON.stringify(name.slice(0, 200));
  if (name.startsWith('/')) throw invalidRequest(`The archive names ${shown}, an absolute path.`);
  if (name.includes('\0'))
    throw invalidRequest(`The archive names ${shown}, which contains a NUL character.`);
  if (Buffer.byteLength(name) > nameBytes)
    throw invalidRequest(`The archive has a name of more than ${nameBytes} bytes.`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw invalidRequest(`The archive names ${shown}, which leads out of the tree.`);
  return parts;
}

/**
 * Whether a link at this depth stays in the tree wherever else links lead: it goes up no further than the root, and down from there. A `..`
 * behind a name could go up from wherever that name, a link itself, leads.
 */
export function staysInside(target: string, depth: number): boolean {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const up = parts.findIndex((part) => part !== '..');
  const climbs = up < 0 ? parts.length : up;
  return climbs <= depth && !parts.slice(climbs).includes('..');
}

/** Permission bits; set-uid, set-gid and sticky do not come out of an archive. */
export function modeOf(header: Header): number {
  return header.mode & 0o777;
}

/** Milliseconds; what is finer is cut off as text, as no number could hold it exactly. */
export function timeOf(header: Header): number {
  const exact = (header.pax as Record<string, string> | null | undefined)?.['mtime'] ?? '';
  const [, sign = '', seconds = '', fraction = ''] = /^(-?)(\d{1,12})(?:\.(\d+))?$/.exec(exact) ?? [];
  if (seconds === '') return Number.isFinite(header.mtime.getTime()) ? header.mtime.getTime() : 0;
  const milliseconds = Number(`${seconds}${fraction.padEnd(3, '0').slice(0, 3)}`);
  if (sign === '') return milliseconds;
  // Down, as after 1970.
  return -milliseconds - (/[1-9]/.test(fraction.slice(3)) ? 1 : 0);
}

export function refused(header: Header, why: string): Error {
  return invalidRequest(`The archive's entry ${JSON.stringify(header.name.slice(0, 200))} ${why}.`);
}
