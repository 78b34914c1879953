import { afterAll, beforeAll, describe, test } from 'vitest';

import { requirePrograms } from '../../support/conformance-programs.ts';
import { type Target, type TestExecutor, finish } from '../../support/conformance-targets.ts';
import { type Topic, Context, appliesTo } from '../case.ts';
import { archives } from './archives.ts';
import { clientFiles } from './client-files.ts';
import { clientStreams } from './client-streams.ts';
import { downloads } from './downloads.ts';
import { extracts } from './extracts.ts';
import { openStreams } from './open-streams.ts';
import { uploads } from './uploads.ts';

/** What every executor does with files and trees as streams, by topic; and what the client makes of it. */
export const transferTopics: readonly Topic[] = [
  downloads,
  uploads,
  openStreams,
  archives,
  extracts,
  clientStreams,
  clientFiles,
];

/** Runs all cases over one kind of connection. */
export function transferSuite(target: Target): void {
  describe(`transfers over ${target.name}`, () => {
    let executor: TestExecutor | undefined;
    beforeAll(async () => {
      executor = await target.start();
    });
    afterAll(async () => {
      await finish(target, executor);
    });
    for (const topic of transferTopics) {
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
