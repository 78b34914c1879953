import { afterAll, beforeAll, describe, test } from 'vitest';

import { requirePrograms } from '../support/conformance-programs.ts';
import { type Target, type TestExecutor, finish } from '../support/conformance-targets.ts';
import { type Topic, Context, appliesTo } from './case.ts';

/** Runs all cases of the topics over one kind of connection, on one executor. */
export function runTopics(title: string, topics: readonly Topic[], target: Target): void {
  describe(`${title} over ${target.road ?? target.name}`, () => {
    let executor: TestExecutor | undefined;
    beforeAll(async () => {
      executor = await target.start();
    });
    afterAll(async () => {
      await finish(target, executor);
    });
    for (const topic of topics) {
      describe(topic.name, () => {
        for (const one of topic.cases.filter((one) => appliesTo(one, target))) {
          test(`${one.id}: ${one.title}`, async (testContext) => {
            requirePrograms(one.needs ?? [], testContext);
            if (executor === undefined) throw new Error('The executor was not started.');
            await using context = new Context(target, executor);
            await one.run(context);
            context.expectCovered(one.covers);
            context.expectNoProblems();
          });
        }
      });
    }
  });
}
