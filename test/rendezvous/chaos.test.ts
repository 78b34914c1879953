import { expect, test } from 'vitest';

import { startGaugedExecutor, untilIdle } from '../support/chaos-executor.ts';
import { startFrameProxy } from '../support/chaos-frames.ts';
import { type LegsOutcome, legsRun, reconnectMs } from '../support/chaos-legs.ts';
import { Chance } from '../support/faults-random.ts';
import { TestRendezvous } from '../support/rendezvous-process.ts';

const runs = 100;
const atATime = 8;

/** Of ten thousand frames of the executor's leg, which all runs share. */
const ofExecutor = { drop: 30, repeat: 30, delay: 40, stall: 4, cut: 2 };

test(`${runs} mixed workloads by way of a rendezvous, with faults on both legs, lose nothing and do nothing twice`, async () => {
  await using rendezvous = await TestRendezvous.start({ args: ['--limit', 'pingMs=500'] });
  await using leg = await startFrameProxy(rendezvous.url, new Chance(20_261_120, 1), ofExecutor);
  const environmentId = 'chaos';
  await using executor = await startGaugedExecutor({
    detachedSessionMs: reconnectMs + 5_000,
    // Longer than a client is away: what has closed meanwhile is still to be read.
    closedRetentionMs: reconnectMs + 5_000,
    rendezvous: { url: leg.url, environmentId, tokenFile: rendezvous.executorTokenFile },
  });
  const before = await executor.gauges();
  const seeds = Array.from({ length: runs }, (_, index) => index + 1);
  const outcomes: LegsOutcome[] = [];
  const lane = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift())
      outcomes.push(await legsRun(rendezvous, environmentId, seed));
  };
  await Promise.all(Array.from({ length: atATime }, lane));

  const total = (of: (outcome: LegsOutcome) => number): number =>
    outcomes.reduce((sum, outcome) => sum + of(outcome), 0);
  expect(total(({ faults }) => faults)).toBeGreaterThan(runs);
  expect(total(({ frameFaults }) => frameFaults)).toBeGreaterThan(runs);
  for (const count of Object.values(leg.happened)) expect(count).toBeGreaterThan(0);
  // No session, no process, no stream, and no handle and timer that was not there before.
  leg.calm();
  await untilIdle(executor, reconnectMs + 30_000, before);
  expect(await rendezvous.streams(environmentId)).toBe(0);
}, 400_000);
