/** What one row measured once. Lower is better for every metric: times and memory only. */
export interface Sample {
  readonly metric: string;
  readonly unit: 'ms' | 'MiB';
  readonly value: number;
}

export interface Summary {
  readonly middle: number;
  readonly min: number;
  readonly max: number;
}

export function summarize(values: readonly number[]): Summary {
  return { middle: median(values), min: Math.min(...values), max: Math.max(...values) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** The value that `part` of all values are not above. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/**
 * Both views of one round's sequential calls: the median is the usual call, the mean also holds the rare slow ones (a
 * reply that the peer's TCP held back, a collection of garbage).
 */
export function latencies(values: readonly number[]): Sample[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [milliseconds('median', median(values)), milliseconds('mean', mean)];
}

export function milliseconds(metric: string, value: number): Sample {
  return { metric, unit: 'ms', value };
}

export function mebibytes(metric: string, bytes: number): Sample {
  return { metric, unit: 'MiB', value: bytes / 1024 ** 2 };
}
