import { afterAll, beforeAll, describe, test } from 'vitest';

import { requirePrograms } from '../support/conformance-programs.ts';
import { type Target, type TestExecutor, finish } from '../support/conformance-targets.ts';
import { type Topic, Context, appliesTo } from './case.ts';
import { envelope } from './suite/envelope.ts';
import { handshake } from './suite/handshake.ts';
import { limitsAndConcurrency } from './suite/limits.ts';
import { parameters } from './suite/parameters.ts';
import { processEnd } from './suite/process-end.ts';
import { processEnvironment } from './suite/process-environment.ts';
import { processInput } from './suite/process-input.ts';
import { processOutput } from './suite/process-output.ts';
import { processSandbox } from './suite/process-sandbox.ts';
import { processStart } from './suite/process-start.ts';
import { processStop } from './suite/process-stop.ts';
import { sessions } from './suite/sessions.ts';

/** What every executor of the protocol does, by topic. */
export const topics: readonly Topic[] = [
  handshake,
  envelope,
  parameters,
  sessions,
  processStart,
  processEnvironment,
  processInput,
  processOutput,
  processEnd,
  processStop,
  processSandbox,
  limitsAndConcurrency,
];

/** Runs all cases over one kind of connection. */
export function conformance(target: Target): void {
  describe(`over ${target.name}`, () => {
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
