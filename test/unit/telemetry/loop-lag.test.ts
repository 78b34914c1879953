import { setImmediate as turn, setTimeout as after } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LoopLag } from '../../../src/telemetry/loop-lag.ts';

const STALL_MS = 300;

function stall(): void {
  const end = performance.now() + STALL_MS;
  while (performance.now() < end);
}

/** What is due now has run: as `/readyz` waits before it answers. */
async function timersHaveRun(): Promise<void> {
  await after(0);
  await turn();
}

describe('LoopLag', () => {
  it('sees a stall that begins with it', async () => {
    using lag = new LoopLag(60_000);
    stall();
    await timersHaveRun();
    expect(lag.longestMs).toBeGreaterThan(STALL_MS / 2);
  });

  it('forgets it after two windows', async () => {
    using lag = new LoopLag(200);
    stall();
    await timersHaveRun();
    expect(lag.longestMs).toBeGreaterThan(STALL_MS / 2);
    await expect.poll(() => lag.longestMs, { timeout: 10_000 }).toBeLessThan(STALL_MS / 2);
  });
});
