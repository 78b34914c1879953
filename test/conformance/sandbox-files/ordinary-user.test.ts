import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';

import { expectNothingLeft } from '../../support/conformance-leftovers.ts';
import { type PrefixedExecutor, asNobody, startPrefixed } from '../../support/files-session.ts';
import { SandboxTree } from '../../support/sandbox-files-tree.ts';
import { sandboxFileCases } from './suite.ts';

const mark = randomUUID();
let executor: PrefixedExecutor | undefined;

beforeAll(async () => {
  executor = await startPrefixed('stdio', asNobody(), mark);
});

afterAll(async () => {
  await executor?.[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});

/** All of the files belong to the user without privileges whom the executor runs as. */
sandboxFileCases(
  () => executor?.client,
  async () => {
    const tree = await SandboxTree.create();
    if (asNobody().length > 0) await tree.giveToNobody();
    return tree;
  },
);
