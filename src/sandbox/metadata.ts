import { constants } from 'node:fs';
import { joinPath } from '../disk/folder.ts';
import { openRegular } from '../disk/open-regular.ts';
import { limits } from '../protocol/limits.ts';
import { type FindDestination, findEntry } from './canonical.ts';
import { type FoundRule, accessAt, findNamed, foundRule, rulesOf } from './found-rules.ts';
import { refusal } from './refusal.ts';
import type { Rule } from './rules.ts';

/** What decides how tools and agents behave in a workspace: whoever can change it can make them run things. */
export const protectedNames = ['.git', '.agents', '.codex', '.aws'] as const;

const source = (path: Buffer): string => `protected metadata ${path.toString()}`;

/**
 * Rules that keep the metadata directly below every writable root as it is, but for names that have a write entry of their own. `absent`:
 * entries whose path does not exist; they count for that, too.
 */
export async function protectMetadata(
  present: readonly FoundRule[],
  absent: readonly FoundRule[],
  find: FindDestination,
): Promise<FoundRule[]> {
  const writable = [...present, ...absent].filter(({ rule }) => rule.access === 'write');
  const lifted = new Set(writable.map(({ rule }) => rule.path.toString('latin1')));
  const granted = rulesOf(present);
  const rules = await Promise.all(
    present
      .filter(({ rule }) => rule.access === 'write' && rule.kind === 'directory')
      .flatMap(({ rule }) => protectedNames.map((name) => joinPath(rule.path, Buffer.from(name))))
      .filter((path) => !lifted.has(path.toString('latin1')))
      .map(async (path) => protect(path, granted, find)),
  );
  return rules.flat();
}

async function protect(path: Buffer, granted: readonly Rule[], find: FindDestination): Promise<FoundRule[]> {
  const entry = await findEntry(path);
  if (entry === undefined) {
    const problem = 'is a symbolic link, which could lead elsewhere after every run';
    throw refusal(problem, source(path), 'replace the link by what it leads to');
  }
  if (entry.kind === 'hidden') {
    const problem = 'is in a directory that the executor may not enter';
    throw refusal(problem, source(path), 'give it search permission for that directory');
  }
  const origin = { access: 'read', protectedMetadata: true } as const;
  const rules = [foundRule(entry, { ...origin, source: source(path), path })];
  if (entry.kind !== 'file' || !path.toString('latin1').endsWith('/.git')) return rules;
  const elsewhere = await gitDirectory(path);
  if (elsewhere === undefined) return rules;
  const from = `${source(elsewhere)}, named by ${path.toString()}`;
  const destination = await findNamed(find, elsewhere, from);
  // It is not made readable by being protected.
  if (accessAt(granted, destination.path) !== 'write') return rules;
  return [...rules, foundRule(destination, { ...origin, source: from, path: elsewhere })];
}

/** The directory that a `.git` file names. */
async function gitDirectory(path: Buffer): Promise<Buffer | undefined> {
  const text = await startOfFile(path);
  const named = /^gitdir: *([^\n]+?)[\r ]*(?:\n|$)/.exec(text)?.[1];
  if (named === undefined || named.includes('\0')) return undefined;
  const bytes = Buffer.from(named, 'latin1');
  return bytes[0] === 0x2f ? bytes : joinPath(path.subarray(0, path.lastIndexOf('/')), bytes);
}

/** Empty where it cannot be read: what cannot read it either is not led anywhere by it. */
async function startOfFile(path: Buffer): Promise<string> {
  const opened = await openRegular(path, constants.O_RDONLY, false).catch(() => undefined);
  if (opened === undefined) return '';
  await using file = opened.file;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(limits.gitFileBytes), 0, limits.gitFileBytes, 0);
  return buffer.toString('latin1', 0, bytesRead);
}
