import type { Fixtures } from '../fixtures.ts';
import type { Sample } from '../stats.ts';
import type { Target } from '../targets.ts';

/** An executor under test, already running. */
export interface Subject {
  readonly target: Target;
  readonly url: string;
  readonly fixtures: Fixtures;
}

export interface Row {
  readonly name: string;
  readonly title: string;
  /** Whether the null executor can serve the row. */
  readonly servedByNull: boolean;
  /** Measures once. It rejects when anything got lost on the way. */
  readonly run: (subject: Subject) => Promise<readonly Sample[]>;
}

/** This platform or this release has no such thing to measure. */
export class NotApplicable extends Error {
  override readonly name = 'NotApplicable';
}
