import type { Network, SandboxEntry } from '../protocol/permission-profile.ts';
import { isBelow } from './rule-paths.ts';

export type Access = SandboxEntry['access'];

/**
 * `hidden`: behind a directory that the executor itself may not enter, and neither may what it starts. Grants are never missing or hidden:
 * what is not there is not granted.
 */
export type RuleKind = 'directory' | 'file' | 'other' | 'missing' | 'hidden';

/** What holds for a path and everything below it, unless a rule with a longer path says otherwise. */
export interface Rule {
  /** Absolute, without links and dots. At most one rule has it. */
  readonly path: Buffer;
  /** Where it takes hold: the path, but where that is missing in a writable tree its first missing part, so that nothing comes to be there. */
  readonly place: Buffer;
  readonly access: Access;
  /** What of the profile it comes from, for people: `entry 3 (path write)`. Entries are counted from 1. */
  readonly source: string;
  readonly kind: RuleKind;
  /** `DEVICE:INODE` of what is there, decimal. */
  readonly identity: string | undefined;
  /** The shortest part of the path that is known not to exist. */
  readonly firstMissing: Buffer | undefined;
  /** It keeps the metadata of a workspace from being changed, whatever the profile says. */
  readonly protectedMetadata: boolean;
  /** The names by which the profile calls the path, where they lead to it through links. */
  readonly aliases: readonly Buffer[];
}

export interface RestrictedFileSystem {
  readonly kind: 'restricted';
  /** Sorted by path; parents come first. */
  readonly rules: readonly Rule[];
  /** What the platform needs to run programs is readable; its rules are among the others. */
  readonly minimal: boolean;
  /** The profile denies something, be it there or not. */
  readonly denies: boolean;
}

/** A profile as it holds on this host at this moment. */
export interface ResolvedSandbox {
  readonly network: Network;
  readonly fileSystem: { readonly kind: 'unrestricted' } | RestrictedFileSystem;
  /** Entries that have no effect, and why, for people. */
  readonly notes: readonly string[];
}

export function isAtOrBelow(path: Buffer, folder: Buffer): boolean {
  return path.equals(folder) || isBelow(path, folder);
}

/** By components, so that a directory is followed by what is in it. */
export function comparePaths(a: Buffer, b: Buffer): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) {
    const [left = 0, right = 0] = [a[i], b[i]];
    if (left !== right) return (left === 0x2f ? 0 : left) - (right === 0x2f ? 0 : right);
  }
  return a.length - b.length;
}
