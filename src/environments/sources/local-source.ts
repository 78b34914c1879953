import { ExecClient } from '../../client/exec-client.ts';
import { memoryTransportPair } from '../../rpc/memory-transport.ts';
import type { Transport } from '../../rpc/transport.ts';
import { ExecServer, type ExecServerOptions } from '../../server/exec-server.ts';
import type { EnvironmentSource } from '../environment-source.ts';

/** An executor in this process, without a socket. */
export function localSource(options: ExecServerOptions): EnvironmentSource {
  return {
    kind: 'local',
    label: 'this machine',
    open: async ({ connect, signal }) => {
      const executor = new ExecServer(options);
      const meet = async (): Promise<Transport> => {
        const [near, far] = memoryTransportPair();
        void executor.serve(far);
        return near;
      };
      try {
        const client = await ExecClient.connect({ transport: await meet() }, { ...connect, signal });
        return {
          client,
          dial: meet,
          [Symbol.asyncDispose]: async () => {
            await client.close();
            await executor.close();
          },
        };
      } catch (error) {
        await executor.close();
        throw error;
      }
    },
  };
}
