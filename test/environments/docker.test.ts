import { afterAll, beforeAll, describe } from 'vitest';

import { clientSuite } from '../conformance/client.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { conformance } from '../conformance/suite.ts';
import {
  type TestContainer,
  dockerKind,
  hasDocker,
  idleContainer,
  imageWithoutNode,
  preparationMs,
  showingEverything,
} from '../support/environments-docker.ts';
import { testBundle } from '../support/environments-bundle.ts';
import { managedClientTarget, managedTarget } from '../support/environments-targets.ts';

describe.skipIf(!(await hasDocker()))('a container', () => {
  let container: TestContainer | undefined;

  beforeAll(async () => {
    await testBundle();
    container = await idleContainer(await imageWithoutNode(), showingEverything);
  }, preparationMs);

  afterAll(async () => container?.[Symbol.asyncDispose]());

  const kind = dockerKind(() => container?.name ?? '');
  clientSuite(managedClientTarget(kind));
  conformance(managedTarget(kind));
  fileSuite(managedTarget(kind));
});
