import { type ConnectOptions, ExecClient } from '../client/exec-client.ts';
import { memoryTransportPair } from '../rpc/memory-transport.ts';
import { ExecServer, type ExecServerOptions } from '../server/exec-server.ts';

/** An executor in this process, and a client of it. */
export interface LocalExecutor extends AsyncDisposable {
  readonly client: ExecClient;
}

/** Starts an executor in this process. Local and remote differ in the transport only. Its processes end with it. */
export async function connectLocal(
  server: ExecServerOptions,
  options: ConnectOptions = {},
): Promise<LocalExecutor> {
  const executor = new ExecServer(server);
  const [near, far] = memoryTransportPair();
  void executor.serve(far);
  const client = await ExecClient.connect({ transport: near }, options);
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      await executor.close();
      await client.closed;
    },
  };
}
