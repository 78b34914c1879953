import { afterAll, beforeAll } from 'vitest';

import { memoryTransportPair } from '../../../src/rpc/memory-transport.ts';
import { ExecServer } from '../../../src/server/exec-server.ts';
import { executorVariables } from '../../support/conformance-targets.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { openSession } from '../../support/files-session.ts';
import { SandboxTree } from '../../support/sandbox-files-tree.ts';
import { sandboxFileCases } from './suite.ts';

let server: ExecServer | undefined;
let client: WireClient | undefined;

beforeAll(async () => {
  server = new ExecServer({ env: executorVariables('landlock'), bubblewrap: 'off' });
  const [near, far] = memoryTransportPair();
  void server.serve(far);
  client = await openSession(near, 'landlock');
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await server?.close();
});

/** As where user namespaces are not to be had. A denial inside of a grant is beyond Landlock, and refused. */
sandboxFileCases(
  () => client,
  async () => SandboxTree.create(),
  { denials: false },
);
