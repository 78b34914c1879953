import { expect, test } from 'vitest';
import { RawClient } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';

const PROCESSES = 200;
/** On an idle machine the slowest takes a tenth of it. */
const P99_MS = 1_000;

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

test(`the status is answered while ${PROCESSES} processes start and end`, async () => {
  await using executor = await startExecutor();
  await using client = await RawClient.connect(executor.url);
  await using other = await RawClient.connect(executor.url);
  const storm = { over: false };
  const ends = Promise.all(
    Array.from({ length: PROCESSES }, async (_, number) => {
      // All start at once; their ends are spread over a second.
      const argv = ['/bin/sh', '-c', 'sleep "0.$1"; exit "$2"', 'sh', String(number % 10), String(number)];
      const log = await client.start({ processId: `p${number}`, argv, tty: number % 4 === 0 });
      await log.closed();
      expect(log.exit).toMatchObject({ exitCode: number });
    }),
  ).finally(() => (storm.over = true));
  const milliseconds: number[] = [];
  while (!storm.over) {
    const begin = performance.now();
    const status = await other.request('environment/status', {});
    expect(status).toEqual({ status: 'ready' });
    milliseconds.push(performance.now() - begin);
  }
  await ends;
  milliseconds.sort((left, right) => left - right);
  const [median, p99] = [quantile(milliseconds, 0.5), quantile(milliseconds, 0.99)];
  const seen = `${milliseconds.length} answers, median ${median} ms, p99 ${p99} ms, slowest ${milliseconds.at(-1)} ms`;
  expect(p99, seen).toBeLessThan(P99_MS);
  expect(milliseconds.length, seen).toBeGreaterThanOrEqual(5);
});
