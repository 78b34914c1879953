import { afterAll, beforeAll, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { type Built, build } from '../support/built-executor.ts';
import { launchExecutor } from '../support/faults-executor.ts';
import { residentMiB, within } from '../support/faults-proc.ts';
import { BulkOrigin, type Way, digestOf, transfer } from '../support/http-bulk.ts';

/** Of the executor, at most. Measured: 132 to 141. */
const MEMORY_MIB = 150;
/** The same when it has just started. Measured: 88 to 94. */
const IDLE_MIB = 100;
const LONG_MS = 120_000;

let built: Built;

beforeAll(async () => {
  built = await build();
});

afterAll(async () => {
  await built[Symbol.asyncDispose]();
});

test.each<{ how: string; ways: readonly Way[] }>([
  { how: 'up, and then down', ways: ['up', 'down'] },
  { how: 'up and down at the same time', ways: ['up and down at the same time'] },
])(
  'an executor from the compiled sources that carries 100 MiB $how stays below 150 MiB',
  async ({ how, ways }) => {
    await using origin = await BulkOrigin.listen();
    await using executor = await launchExecutor({ main: built.main });
    await using client = await ExecClient.connect({ url: executor.url });
    const idle = residentMiB(executor.pid).now;
    for (const way of ways) {
      const { here, there } = await within(LONG_MS, `100 MiB ${way}`, transfer(client, origin, way));
      if (way !== 'up') expect(here).toBe(digestOf(2));
      if (way !== 'down') expect(there).toBe(digestOf(1));
    }
    const { peak } = residentMiB(executor.pid);
    process.stdout.write(`100 MiB ${how}: executor ${idle.toFixed(0)} MiB, at most ${peak.toFixed(0)} MiB\n`);
    expect(peak).toBeLessThan(MEMORY_MIB);
    expect(idle).toBeLessThan(IDLE_MIB);
    expect(executor.stderr).toBe('');
  },
);
