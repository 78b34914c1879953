import type { RemoteFiles, RemoteTrees, TreeEntry } from '../../client/exec-client.ts';
import type { WireParams } from '../../protocol/methods.ts';

/** A client, or an environment: whatever has the files of the other side. */
export interface SyncPeer {
  readonly files: Pick<RemoteFiles, 'glob' | 'readFile'> & {
    readonly trees: { readonly [K in keyof RemoteTrees]: RemoteTrees[K] };
  };
}

/** `keep`: the target stays as it is, and the path is told. `source`: what the source has is written all the same. */
export type Resolution = 'keep' | 'source';

export interface SyncOptions {
  /** A directory of this machine. */
  readonly local: string;
  /** An absolute path of the environment. */
  readonly remote: string;
  /** `up`: the local directory is the source, and the remote one the target. */
  readonly direction: 'up' | 'down';
  /**
   * `true`: removes from the target what an earlier run has brought, and the source has no more. `extra`: also what the source never had. Not
   * at all if absent.
   */
  readonly delete?: boolean | 'extra';
  /** Lines as in a .gitignore file of the directory. What they ignore is not looked at, on either side. */
  readonly ignore?: readonly string[];
  /** Names of files such as `.gitignore`, in any directory of the source, with more such lines. */
  readonly ignoreFiles?: readonly string[];
  /**
   * Symbolic links of the source. `keep`: they are links again; one that leads out of the directory is left out, and told. `follow`: what they
   * lead to is copied. `skip`: they are left out. `refuse`: one of them is an error before anything is changed. `keep` if absent.
   */
  readonly symlinks?: 'keep' | 'follow' | 'skip' | 'refuse';
  /**
   * What becomes of a file that was changed on both sides since the last run, or that differs without a last run. `fail`: an error before
   * anything is changed. `source`: the source wins wherever the two differ, also over what was changed in the target alone. `keep` if absent.
   */
  readonly onConflict?: Resolution | 'fail' | ((conflict: SyncConflict) => Resolution | Promise<Resolution>);
  /** Where what both sides had in common is remembered from one run to the next. Without it every difference is a conflict. */
  readonly state?: SyncState;
  readonly onProgress?: (progress: SyncProgress) => void;
  readonly signal?: AbortSignal;
  /** Changes nothing, and answers what would be done. */
  readonly dryRun?: boolean;
  /** In which the operations on the remote directory are done. */
  readonly sandbox?: WireParams<'fs/archive'>['sandbox'];
}

export interface SyncState {
  /** A directory of this machine for any number of pairs; it is made if it is missing. */
  readonly directory: string;
  /** Which environment it is: the same text from one run to the next. */
  readonly environment: string;
}

export type Change = 'created' | 'changed' | 'deleted';

export interface SyncConflict {
  /** Relative to the two directories. */
  readonly path: string;
  /** Since the last run. Without one both are `created`. */
  readonly source: Change;
  readonly target: Change;
}

export interface SyncProgress {
  readonly phase: 'compare' | 'transfer' | 'verify' | 'delete';
  /** Files on their place so far, and their bytes. */
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

export interface Noted {
  readonly path: string;
  readonly why: string;
}

export interface SyncResult {
  /** Entries of the source, and of the target before the run. */
  readonly compared: { readonly source: number; readonly target: number };
  /** Files whose content had to be read to compare it. */
  readonly hashed: { readonly source: number; readonly target: number };
  /** What was put on its place in the target: paths of files, directories and links. With `dryRun`, what would be. */
  readonly sent: readonly string[];
  readonly sentFiles: number;
  /** Bytes of these files. */
  readonly sentBytes: number;
  readonly deleted: readonly string[];
  /** Only the permission bits were set. */
  readonly modes: readonly string[];
  readonly conflicts: readonly SyncConflict[];
  /** Changed, or deleted, in the target alone since the last run: they stay so. */
  readonly kept: readonly string[];
  /** In the target alone, and not removed from there. */
  readonly extra: number;
  /** What cannot be carried over, or could not be looked at, with the reason. Nothing below it was touched. */
  readonly skipped: readonly Noted[];
  /** Written to while the run was at work: they are not in step. */
  readonly unsettled: readonly Noted[];
}

/** There are conflicts, and they were to be an error. Nothing was changed. */
export class SyncConflictError extends Error {
  override readonly name = 'SyncConflictError';
  readonly conflicts: readonly SyncConflict[];

  constructor(conflicts: readonly SyncConflict[]) {
    const [first] = conflicts;
    const others = conflicts.length > 1 ? ` and ${conflicts.length - 1} others` : '';
    super(
      `${JSON.stringify(first?.path)}${others} changed on both sides since the last sync. Nothing was transferred.`,
    );
    this.conflicts = conflicts;
  }
}

export type Entry = TreeEntry;
export type SideName = 'source' | 'target';
