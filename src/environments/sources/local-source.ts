import { ExecClient } from '../../client/exec-client.ts';
import { memoryTransportPair } from '../../rpc/memory-transport.ts';
import type { Transport } from '../../rpc/transport.ts';
import { ExecServer, type ExecServerOptions } from '../../server/exec-server.ts';
import type { EnvironmentSource, OpenContext, OpenedEnvironment } from '../environment-source.ts';

/** An executor in this process, without a socket; or one that somebody else has here, and closes. */
export function localSource(executorOrOptions: ExecServerOptions | ExecServer): EnvironmentSource {
  const source = {
    kind: 'local',
    label: 'this machine',
  };
  if (executorOrOptions instanceof ExecServer) {
    const dial = meet(executorOrOptions);
    return { ...source, dial, open: async (context) => open(dial, context, async () => {}) };
  }
  return {
    ...source,
    open: async (context) => {
      const executor = new ExecServer(executorOrOptions);
      return open(meet(executor), context, () => executor.close());
    },
  };
}

function meet(executor: ExecServer): () => Promise<Transport> {
  return async () => {
    const [near, far] = memoryTransportPair();
    void executor.serve(far);
    return near;
  };
}

async function open(
  dial: () => Promise<Transport>,
  { connect, signal }: OpenContext,
  end: () => Promise<void>,
): Promise<OpenedEnvironment> {
  try {
    const client = await ExecClient.connect({ transport: await dial() }, { ...connect, signal });
    return {
      client,
      dial,
      [Symbol.asyncDispose]: async () => {
        await client.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}
