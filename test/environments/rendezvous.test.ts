import { rendezvousSource } from '../../src/environments/environments.ts';
import { clientSuite } from '../conformance/client.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { conformance } from '../conformance/suite.ts';
import { type ReachedKind, managedClientTarget, managedTarget } from '../support/environments-targets.ts';
import { TestRendezvous } from '../support/rendezvous-process.ts';
import { startDialledExecutor } from '../support/rendezvous-target.ts';

const rendezvousKind: ReachedKind = {
  kind: 'rendezvous',
  name: 'rendezvous',
  sharesSessions: true,
  reach: async (mark, options) => {
    const rendezvous = await TestRendezvous.start();
    const executor = await startDialledExecutor(rendezvous, mark, options);
    return {
      source: rendezvousSource(executor.address),
      shutDown: () => executor.shutDown(),
      lose: (client) => client.close(),
      [Symbol.asyncDispose]: async () => {
        await executor.ended();
        await rendezvous[Symbol.asyncDispose]();
      },
    };
  },
};

clientSuite(managedClientTarget(rendezvousKind));
conformance(managedTarget(rendezvousKind));
fileSuite(managedTarget(rendezvousKind));
