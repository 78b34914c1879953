import { EnvironmentConfigError } from '../environment-error.ts';
import type { EnvironmentSource } from '../environment-source.ts';

/** One thing that is wrong in a file. No value of it is shown: it may be a secret. */
export interface FileProblem {
  readonly line: number;
  /** undefined: the text is no TOML. */
  readonly key: string | undefined;
  readonly problem: string;
}

/** A file of environments that cannot be used, with everything that is wrong in it, in order. */
export class EnvironmentFileError extends Error {
  override readonly name = 'EnvironmentFileError';
  readonly path: string;
  readonly problems: readonly FileProblem[];

  constructor(path: string, problems: readonly FileProblem[], options?: ErrorOptions) {
    const ordered = problems.toSorted((one, other) => one.line - other.line);
    super(
      ordered
        .map(({ line, key, problem }) => `${path}:${line}: ${key === undefined ? '' : `${key} `}${problem}`)
        .join('\n'),
      options,
    );
    this.path = path;
    this.problems = ordered;
  }
}

/** What is wrong with an entry that only its kind can see. */
export class EntryProblem extends Error {
  override readonly name = 'EntryProblem';
  readonly key: string;

  constructor(key: string, problem: string) {
    super(problem);
    this.key = key;
  }
}

/** What a source refuses, as a problem of the entry that it is made from. */
export function asEntryProblem(make: () => EnvironmentSource): EnvironmentSource {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof EnvironmentConfigError)) throw error;
    throw new EntryProblem(error.where, error.message.slice(error.where.length + 2));
  }
}
