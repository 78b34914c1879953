import { afterAll, beforeAll, describe } from 'vitest';

import { clientSuite } from '../conformance/client.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { conformance } from '../conformance/suite.ts';
import {
  type SshServer,
  hasSsh,
  installOver,
  sharedConnection,
  sshKind,
  sshServer,
} from '../support/environments-ssh.ts';
import { managedClientTarget, managedTarget } from '../support/environments-targets.ts';

const preparationMs = 300_000;

describe.skipIf(!(await hasSsh()))('a machine over ssh', () => {
  let server: SshServer;
  let shared: Awaited<ReturnType<typeof sharedConnection>>;
  let bundle = '';

  beforeAll(async () => {
    server = await sshServer();
    bundle = await installOver(server);
    shared = await sharedConnection(server);
  }, preparationMs);

  afterAll(async () => {
    await shared[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const kind = sshKind(
    () => ({ folder: server.folder, options: shared.options }),
    () => bundle,
  );
  clientSuite(managedClientTarget(kind));
  conformance(managedTarget(kind));
  fileSuite(managedTarget(kind));
});
