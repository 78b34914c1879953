import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type PathForm, Tree } from '../../support/files-tree.ts';
import { type PrefixedExecutor, asNobody, openSession, startPrefixed } from '../../support/files-session.ts';
import { type Target, type TestExecutor, finish } from '../../support/conformance-targets.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { type Row, changed, expectOutcome, resolve } from './row.ts';
import { FileContext, appliesTo } from './case.ts';
import { contentCases } from './cases-content.ts';
import { handleCases } from './cases-handles.ts';
import { nameCases } from './cases-names.ts';
import { raceCases } from './cases-race.ts';
import { watchCases } from './cases-watch.ts';
import { table } from './table.ts';

const cases = [...handleCases, ...contentCases, ...nameCases, ...watchCases, ...raceCases];

/** Runs the table and the cases over one kind of connection. */
export function fileSuite(target: Target): void {
  describe(`over ${target.road ?? target.name}`, () => {
    let executor: TestExecutor | undefined;
    let client: WireClient | undefined;
    beforeAll(async () => {
      executor = await target.start();
      client = await openSession(await executor.connect(), target.mark);
    });
    afterAll(async () => {
      await client?.[Symbol.asyncDispose]();
      await finish(target, executor);
    });
    for (const row of table.filter((row) => row.unprivileged === undefined)) {
      test(`${row.id}: ${row.title}`, async () => ask(row, client));
    }
    for (const one of cases.filter((one) => appliesTo(one, target))) {
      test(`${one.id}: ${one.title}`, async () => {
        if (executor === undefined || client === undefined) throw new Error('There is no session.');
        await using context = new FileContext(target, executor, client);
        await one.run(context);
      });
    }
    test('breaks no rule that holds for every message', () => {
      expect(client?.allProblems()).toEqual([]);
    });
  });

  // In this process the executor would be root, too, who may do everything.
  const over = target.name;
  if (over === 'memory' || over === 'rendezvous' || target.road !== undefined) return;
  describe(`over ${over} by a user without privileges`, () => {
    let executor: PrefixedExecutor | undefined;
    beforeAll(async () => {
      executor = await startPrefixed(over, asNobody(), target.mark);
    });
    afterAll(async () => {
      await executor?.[Symbol.asyncDispose]();
      await finish(target, undefined);
    });
    for (const row of table.filter((row) => row.unprivileged === true)) {
      test(`${row.id}: ${row.title}`, async () => ask(row, executor?.client));
    }
  });
}

async function ask(row: Row, client: WireClient | undefined): Promise<void> {
  if (client === undefined) throw new Error('There is no session.');
  for (const form of row.forms ?? (['plain', 'uri'] as const)) await askOnce(row, form, client);
}

async function askOnce(row: Row, form: PathForm, client: WireClient): Promise<void> {
  await using tree = await Tree.create(row.special);
  await row.prepare?.(tree);
  const path = tree.encoder(form);
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
  expectOutcome(answer, resolve(row.expected, tree, path));
  expect(await tree.snapshot()).toEqual(changed(before, row.changes));
}
