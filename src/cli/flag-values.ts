import { InvalidArgumentError } from 'commander';

/** Values of a flag that may be repeated. */
export function append(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

export function seconds(value: string): number {
  const number = Number(value);
  if (!(number > 0)) throw new InvalidArgumentError('It must be a positive number of seconds.');
  return number;
}
