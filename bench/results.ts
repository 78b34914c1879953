import type { Row } from './rows/row.ts';
import type { Sample } from './stats.ts';
import type { Target } from './targets.ts';

export interface Series {
  readonly metric: string;
  readonly unit: Sample['unit'];
  /** One value per counted round. */
  readonly values: number[];
}

/** What one target showed in one row. */
export interface Outcome {
  readonly row: Row;
  readonly target: Target;
  readonly series: Map<string, Series>;
  failure: string | undefined;
  notApplicable: string | undefined;
}

export class Results {
  readonly rows: readonly Row[];
  readonly targets: readonly Target[];
  readonly #outcomes = new Map<string, Outcome>();

  constructor(rows: readonly Row[], targets: readonly Target[]) {
    this.rows = rows;
    this.targets = targets;
  }

  outcome(row: Row, target: Target): Outcome {
    const key = `${row.name} ${target.name}`;
    const known = this.#outcomes.get(key);
    if (known !== undefined) return known;
    const outcome: Outcome = { row, target, series: new Map(), failure: undefined, notApplicable: undefined };
    this.#outcomes.set(key, outcome);
    return outcome;
  }

  add(row: Row, target: Target, samples: readonly Sample[]): void {
    const { series } = this.outcome(row, target);
    for (const { metric, unit, value } of samples) {
      const values = series.get(metric)?.values ?? [];
      values.push(value);
      series.set(metric, { metric, unit, values });
    }
  }

  get failures(): Outcome[] {
    return [...this.#outcomes.values()].filter((outcome) => outcome.failure !== undefined);
  }

  toJSON(): object {
    return [...this.#outcomes.values()].map(({ row, target, series, failure, notApplicable }) => ({
      row: row.name,
      target: target.name,
      series: [...series.values()],
      failure,
      notApplicable,
    }));
  }
}
