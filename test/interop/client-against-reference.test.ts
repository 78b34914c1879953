import { clientSuite } from '../conformance/client.ts';
import {
  type Capabilities,
  type ClientTarget,
  connectThroughCut,
  ownCapabilities,
} from '../support/conformance-client-targets.ts';
import { startReferenceExecutor } from '../support/reference.ts';

/** What the executor of each generation lacks. */
const releases: Readonly<Record<string, Capabilities>> = {
  '0.169.0': {
    ...ownCapabilities,
    closeStdin: false,
    resize: false,
    signalNames: false,
    discarded: false,
    journal: false,
    totals: false,
  },
  '0.129.0': {
    ...ownCapabilities,
    closeStdin: false,
    resize: false,
    signal: false,
    signalNames: false,
    signalExitCodes: false,
    discarded: false,
    journal: false,
    totals: false,
  },
};

function referenceTarget(release: string, capabilities: Capabilities): ClientTarget {
  return {
    name: `the executor of Codex ${release}`,
    capabilities,
    start: async () => {
      const executor = await startReferenceExecutor(release);
      return {
        connect: async (options) => connectThroughCut(executor.url, options),
        [Symbol.asyncDispose]: async () => executor[Symbol.asyncDispose](),
      };
    },
  };
}

for (const [release, capabilities] of Object.entries(releases)) {
  clientSuite(referenceTarget(release, capabilities));
}
