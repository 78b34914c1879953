import { expect, test } from 'vitest';

import { startGaugedExecutor, untilIdle } from '../support/chaos-executor.ts';
import { chaosRuns, reconnectMs } from '../support/chaos-run.ts';

/** The first of the runs that `npm run soak` makes. */
const runs = 24;

test(`${runs} mixed workloads through a connection that breaks in every way lose nothing and do nothing twice`, async () => {
  await using executor = await startGaugedExecutor({
    detachedSessionMs: reconnectMs + 2_000,
    closedRetentionMs: 5_000,
  });
  const before = await executor.gauges();
  const seeds = Array.from({ length: runs }, (_, index) => index + 1);
  const outcomes = await chaosRuns(executor.url, seeds, 6);
  expect(outcomes.reduce((sum, { faults }) => sum + faults, 0)).toBeGreaterThan(runs);
  expect(outcomes.reduce((sum, { connections }) => sum + connections, 0)).toBeGreaterThan(runs);
  // No session, no process, and no handle and timer that was not there before.
  await untilIdle(executor, reconnectMs + 15_000, before);
});
