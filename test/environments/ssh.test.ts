import { afterAll, beforeAll, describe } from 'vitest';

import { clientSuite } from '../conformance/client.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { conformance } from '../conformance/suite.ts';
import { type SshServer, hasSsh, installOver, sshKind, sshServer } from '../support/environments-ssh.ts';
import { managedClientTarget, managedTarget } from '../support/environments-targets.ts';

describe.skipIf(!(await hasSsh()))('a machine over ssh', () => {
  let server: SshServer | undefined;
  let bundle = '';

  beforeAll(async () => {
    server = await sshServer();
    bundle = await installOver(server);
  });

  afterAll(async () => server?.[Symbol.asyncDispose]());

  const kind = sshKind(
    () => server,
    () => bundle,
  );
  clientSuite(managedClientTarget(kind));
  conformance(managedTarget(kind));
  fileSuite(managedTarget(kind));
});
