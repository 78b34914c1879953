import { existsSync, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * What a profile means for a path, by the words of the model and by nothing of the executor: every entry is asked about every path, one
 * after the other. For trees without anything but directories, files and links that lead somewhere.
 */
export interface OracleEntry {
  readonly path: string;
  readonly access: 'read' | 'write' | 'none';
}

interface Meant extends OracleEntry {
  /** Where it takes hold. */
  readonly place: string;
}

const names = ['.git', '.agents', '.codex', '.aws'];

/** `refused`: the whole profile. */
export function oracle(
  entries: readonly OracleEntry[],
): ((asked: string) => OracleEntry['access']) | 'refused' {
  const meant = entries.map((entry) => ({ ...entry, place: realOf(entry.path) }));
  const there = meant.filter(({ place }) => existsSync(place));
  const counted: Meant[] = [...there];
  const roots = there.filter(({ place }) => says(there, place) === 'write' && statSync(place).isDirectory());
  for (const entry of meant) {
    if (there.includes(entry)) continue;
    // Among entries for the same missing path, the strongest counts.
    const rivals = meant.filter(({ place }) => place === entry.place);
    if (strongest(rivals) !== entry.access || entry.access === 'write') continue;
    const around = says(there, entry.place);
    if (around === 'write') {
      if (hasFileInTheWay(entry.place)) return 'refused';
      counted.push({ ...entry, place: firstMissing(entry.place) });
    } else if (around === 'read' && entry.access === 'none') counted.push(entry);
  }
  for (const root of roots) {
    for (const name of names) {
      const place = path.join(root.place, name);
      if (
        meant.some((entry) => entry.place === place) &&
        strongest(meant.filter((e) => e.place === place)) === 'write'
      )
        continue;
      if (isLink(place)) return 'refused';
      counted.push({ path: place, place, access: 'read' });
    }
  }
  const used = meant.filter((entry) => counted.some(({ path: written }) => written === entry.path));
  for (const entry of used) {
    if (linksOf(entry.path).some((link) => says(counted, link) === 'write')) return 'refused';
  }
  return (asked) => says(counted, asked);
}

function says(entries: readonly Meant[], asked: string): OracleEntry['access'] {
  const matching = entries.filter(({ place }) => isWithin(asked, place));
  const most = Math.max(...matching.map(({ place }) => depth(place)));
  return strongest(matching.filter(({ place }) => depth(place) === most));
}

function strongest(entries: readonly OracleEntry[]): OracleEntry['access'] {
  if (entries.length === 0 || entries.some(({ access }) => access === 'none')) return 'none';
  return entries.some(({ access }) => access === 'write') ? 'write' : 'read';
}

function depth(place: string): number {
  return place.split('/').filter((part) => part !== '').length;
}

function isWithin(asked: string, place: string): boolean {
  const parts = place.split('/').filter((part) => part !== '');
  const other = asked.split('/').filter((part) => part !== '');
  return parts.every((part, index) => other[index] === part);
}

/** Where a path leads, what is missing of it written as it is. */
export function realOf(written: string): string {
  try {
    return realpathSync(written);
  } catch {
    return path.join(realOf(path.dirname(written)), path.basename(written));
  }
}

function firstMissing(place: string): string {
  const parent = path.dirname(place);
  return existsSync(parent) ? place : firstMissing(parent);
}

function hasFileInTheWay(place: string): boolean {
  const parent = path.dirname(place);
  return existsSync(parent) ? !statSync(parent).isDirectory() : hasFileInTheWay(parent);
}

function isLink(place: string): boolean {
  try {
    return lstatSync(place).isSymbolicLink();
  } catch {
    return false;
  }
}

/** The links on the way, where they really are. */
function linksOf(written: string): string[] {
  const links: string[] = [];
  let reached = '/';
  for (const part of written.split('/').filter((name) => name !== '')) {
    const next = path.join(reached, part);
    if (isLink(next)) {
      links.push(next, ...linksOf(path.resolve(reached, readlinkSync(next))));
      reached = realOf(next);
    } else reached = next;
  }
  return links;
}
