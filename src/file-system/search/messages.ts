import type { EnvironmentPath } from '../../protocol/path.ts';
import type { GrepMatch } from './line-matches.ts';

/** What the executor and its search threads say to each other. All of it can be copied between threads. */

interface SearchJob {
  /** The bytes of the directory, or of the one file. */
  readonly root: Uint8Array;
  /** How paths are written. */
  readonly form: EnvironmentPath['form'];
  readonly exclude: readonly string[];
  readonly includeHidden: boolean;
  /** Bounds of the results: their number, their JSON bytes and their JSON values. */
  readonly bounds: ResultBounds;
}

export interface ResultBounds {
  readonly count: number;
  readonly bytes: number;
  readonly values: number;
}

export interface GlobJob extends SearchJob {
  readonly kind: 'glob';
  readonly patterns: readonly string[];
  readonly includeDirectories: boolean;
}

export interface GrepJob extends SearchJob {
  readonly kind: 'grep';
  readonly isFile: boolean;
  /** Of the regular expression. */
  readonly source: string;
  readonly include: readonly string[];
  readonly before: number;
  readonly after: number;
  readonly maxFileBytes: number;
  /** Batches of files are asked for in `candidates`, before they are searched. */
  readonly filtered: boolean;
}

export type Job = GlobJob | GrepJob;

/** What a search has counted so far. */
export interface Counts {
  readonly files: number;
  readonly errors: number;
  readonly skippedBinary: number;
  readonly skippedLarge: number;
}

export interface Results {
  readonly paths?: string[];
  readonly matches?: GrepMatch[];
}

export type FromThread =
  | { readonly kind: 'results'; readonly results: Results; readonly counts: Counts }
  /** Which of these files, named relative to the root, can have a match? The search goes on when it is answered. */
  | { readonly kind: 'candidates'; readonly names: readonly string[] }
  | { readonly kind: 'done'; readonly counts: Counts; readonly truncatedBy?: 'matches' | 'bytes' | undefined }
  /** The parameters are wrong. */
  | { readonly kind: 'refused'; readonly problem: string }
  /** The root could not be read. */
  | { readonly kind: 'failed'; readonly errno: number };

export type ToThread =
  | { readonly kind: 'start'; readonly job: Job }
  /** Indexes of the candidates; undefined: all of them. */
  | { readonly kind: 'hits'; readonly hits: readonly number[] | undefined };
