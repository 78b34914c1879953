import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { dialWebSocket } from '../../src/client/dial.ts';
import { expectOutcome } from '../conformance/http/row.ts';
import { table } from '../conformance/http/table.ts';
import type { WireClient } from '../support/conformance-wire.ts';
import { openSession } from '../support/files-session.ts';
import { exchange } from '../support/http-exchange.ts';
import { Origin } from '../support/http-origin.ts';
import { type RunningExecutor, startReferenceExecutor } from '../support/reference.ts';

const release = '0.169.0';

/** The table's rows, asked of the reference executor: where it does not do what ours does, the row says so and why. */
describe(`http/request of the reference ${release}`, () => {
  let executor: RunningExecutor | undefined;
  let client: WireClient | undefined;
  beforeAll(async () => {
    executor = await startReferenceExecutor(release);
    const transport = await dialWebSocket(executor.url, {}, AbortSignal.timeout(30_000));
    client = await openSession(transport, randomUUID());
  });
  afterAll(async () => {
    await client?.[Symbol.asyncDispose]();
    await executor?.[Symbol.asyncDispose]();
  });
  const asked = table.filter((row) => row.extension === undefined);
  for (const row of asked.filter(
    ({ reference }) => reference === undefined || reference.expected !== undefined,
  )) {
    for (const mode of (row.modes ?? ['buffered', 'deltas']).filter((mode) => mode !== 'stream')) {
      test(`${row.id} (${mode}): ${row.title}`, async () => {
        if (client === undefined) throw new Error('There is no session.');
        await using origin = await Origin.start();
        await using other = await Origin.start();
        const outcome = await exchange(client, mode, row.params(origin, other));
        expectOutcome(outcome, mode, row.reference?.expected ?? row.expected, origin.seen);
      });
    }
  }
});

test('every difference between the reference and ours has its reason', () => {
  expect(table.filter((row) => row.reference?.reason === '')).toEqual([]);
});
