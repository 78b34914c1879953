import type { Outcome, Results } from './results.ts';
import type { Row } from './rows/row.ts';
import { median, summarize } from './stats.ts';
import type { Target } from './targets.ts';

/** One line per metric: the median of the rounds with the smallest and the largest, and ours ÷ the other. */
export function formatTable(results: Results): string {
  const [own, other] = results.targets.filter((target) => target.name !== 'null');
  const nullTarget = results.targets.find((target) => target.name === 'null');
  if (own === undefined) return '';
  const shown = other === undefined ? [own] : [own, other];
  const header = ['', ...shown.map((target) => target.name)];
  if (other !== undefined) header.push('ratio');
  if (nullTarget !== undefined) header.push('null');
  const lines: string[][] = [header];
  for (const row of results.rows) lines.push([row.title], ...rowLines(results, row, shown, nullTarget));
  return align(lines);
}

/** Reasons are too long for the table. */
export function formatFailures(results: Results): string {
  return results.failures
    .map(({ row, target, failure }) => `FAILED ${row.name} on ${target.name}: ${failure}`)
    .join('\n');
}

function rowLines(
  results: Results,
  row: Row,
  shown: readonly Target[],
  nullTarget: Target | undefined,
): string[][] {
  const outcomes = shown.map((target) => results.outcome(row, target));
  const nullOutcome = nullTarget === undefined ? undefined : results.outcome(row, nullTarget);
  const metrics = new Set(outcomes.flatMap((outcome) => [...outcome.series.keys()]));
  // Without a metric, one line has to say that there is none.
  const names = metrics.size === 0 ? [''] : [...metrics];
  return names.map((metric) => {
    const cells = [`  ${metric}`];
    for (const outcome of outcomes) cells.push(cell(outcome, metric));
    if (outcomes.length === 2) cells.push(ratio(outcomes, metric));
    if (nullOutcome !== undefined) {
      const values = nullOutcome.series.get(metric)?.values;
      cells.push(values === undefined ? '' : quantity(median(values)));
    }
    return cells;
  });
}

function cell(outcome: Outcome, metric: string): string {
  if (outcome.failure !== undefined) return 'FAILED';
  if (outcome.notApplicable !== undefined) return 'n/a';
  const series = outcome.series.get(metric);
  if (series === undefined) return '';
  const { middle, min, max } = summarize(series.values);
  return `${quantity(middle)} ${series.unit} (${quantity(min)}..${quantity(max)})`;
}

function ratio(outcomes: readonly Outcome[], metric: string): string {
  const [own, other] = outcomes.map((outcome) => outcome.series.get(metric)?.values);
  if (outcomes.some((outcome) => outcome.failure !== undefined)) return '';
  if (own === undefined || other === undefined) return '';
  const quotient = median(own) / median(other);
  return `${quotient.toFixed(2)}x`;
}

/** Three significant digits are more than a shared machine can tell apart. */
function quantity(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

/** Titles, which stand alone on their line, do not widen the first column. */
function align(lines: readonly string[][]): string {
  const widths: number[] = [];
  for (const cells of lines) {
    if (cells.length === 1) continue;
    for (const [column, text] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, text.length);
    }
  }
  return lines
    .map((cells) =>
      cells
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
