import { afterAll, beforeAll, describe, test } from 'vitest';

import { type Target, type TestExecutor, finish } from '../../support/conformance-targets.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { exchange, modes } from '../../support/http-exchange.ts';
import { Origin } from '../../support/http-origin.ts';
import { type Topic, Context, appliesTo } from '../case.ts';
import { bodies } from './cases-bodies.ts';
import { cancelling } from './cases-cancelling.ts';
import { clientHttp } from './cases-client.ts';
import { expectOutcome } from './row.ts';
import { table } from './table.ts';

export const httpTopics: readonly Topic[] = [bodies, cancelling, clientHttp];

/** Runs the table in every mode, and all cases, over one kind of connection. */
export function httpSuite(target: Target): void {
  describe(`HTTP over ${target.name}`, () => {
    let executor: TestExecutor | undefined;
    beforeAll(async () => {
      executor = await target.start();
    });
    afterAll(async () => {
      await finish(target, executor);
    });
    let shared: Context | undefined;
    let client: WireClient | undefined;
    beforeAll(async () => {
      if (executor === undefined) throw new Error('The executor was not started.');
      shared = new Context(target, executor);
      client = await shared.open();
    });
    afterAll(async () => shared?.[Symbol.asyncDispose]());
    const run = async (work: (context: Context) => Promise<void>): Promise<void> => {
      if (executor === undefined) throw new Error('The executor was not started.');
      await using context = new Context(target, executor);
      await work(context);
      context.expectNoProblems();
    };

    for (const row of table) {
      test(`${row.id}: ${row.title}`, async () => {
        if (client === undefined) throw new Error('There is no session.');
        for (const mode of row.modes ?? modes) {
          await using origin = await Origin.start();
          await using other = await Origin.start();
          const outcome = await exchange(client, mode, row.params(origin, other));
          expectOutcome(outcome, mode, row.expected, origin.seen);
        }
        shared?.expectNoProblems();
      });
    }
    for (const topic of httpTopics) {
      describe(topic.name, () => {
        for (const one of topic.cases.filter((one) => appliesTo(one, target))) {
          test(`${one.id}: ${one.title}`, async () =>
            run(async (context) => {
              await one.run(context);
              context.expectCovered(one.covers);
            }));
        }
      });
    }
  });
}
