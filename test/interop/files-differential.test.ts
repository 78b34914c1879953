import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { dialWebSocket } from '../../src/client/dial.ts';
import {
  type Difference,
  type Generation,
  type Row,
  changed,
  expectOutcome,
  formOf,
  generationsOf,
  resolve,
} from '../conformance/files/row.ts';
import { table } from '../conformance/files/table.ts';
import type { WireClient } from '../support/conformance-wire.ts';
import { startReference } from '../support/files-reference.ts';
import { openSession } from '../support/files-session.ts';
import { Tree } from '../support/files-tree.ts';
import type { RunningExecutor } from '../support/reference.ts';

/** The release that speaks for each generation. */
const releases: Readonly<Record<Generation, string>> = { may: '0.130.0', now: '0.169.0' };

/** The table's rows, asked of the reference executor: where it does not do what ours does, the row says so and why. */
describe.each(['may', 'now'] as const)('the reference of the generation %s', (generation) => {
  const rows = table.filter((row) => generationsOf(row).includes(generation) && isAsked(row, generation));
  describe.each([false, true])('without privileges: %s', (unprivileged) => {
    let executor: RunningExecutor | undefined;
    let client: WireClient | undefined;
    beforeAll(async () => {
      executor = await startReference(releases[generation], unprivileged);
      const transport = await dialWebSocket(executor.url, {}, AbortSignal.timeout(30_000));
      client = await openSession(transport, randomUUID());
    });
    afterAll(async () => {
      await client?.[Symbol.asyncDispose]();
      await executor?.[Symbol.asyncDispose]();
    });
    for (const row of rows.filter((row) => (row.unprivileged ?? false) === unprivileged)) {
      test(`${row.id}: ${row.title}`, async () => ask(row, generation, client));
    }
  });
});

test('every difference between the reference and ours has its reason', () => {
  const differences = table.flatMap((row) => Object.values(row.reference ?? {}));
  const silent = differences.filter((one) => typeof one !== 'function' && one.reason === '');
  expect(silent).toEqual([]);
});

function isAsked(row: Row, generation: Generation): boolean {
  const difference = row.reference?.[generation];
  return typeof difference === 'function' || difference === undefined || !('notAsked' in difference);
}

async function ask(row: Row, generation: Generation, client: WireClient | undefined): Promise<void> {
  if (client === undefined) throw new Error('There is no session.');
  await using tree = await Tree.create(row.special);
  await row.prepare?.(tree);
  const path = tree.encoder(formOf(generation));
  const before = await tree.snapshot();
  const handles: unknown[] = [];
  for (const [method, params] of row.before?.(tree, path) ?? []) {
    const { error } = await client.request(method, params);
    expect(error, `${method}, which comes before`).toBeUndefined();
    handles.push(params['handleId']);
  }
  const params = row.params(tree, path);
  if (row.method === 'fs/open') handles.push((params as { handleId?: unknown }).handleId);
  const answer = await client.request(row.method, params);
  for (const handleId of handles) await client.request('fs/close', { handleId });
  const given = row.reference?.[generation];
  const difference = given === undefined ? undefined : resolve<Difference>(given, tree, path);
  if (difference === undefined || 'notAsked' in difference) {
    expectOutcome(answer, resolve(row.expected, tree, path));
    expect(await tree.snapshot()).toEqual(changed(before, row.changes));
  } else {
    expectOutcome(answer, difference.expected);
    expect(await tree.snapshot()).toEqual(changed(before, difference.changes ?? row.changes));
  }
}
