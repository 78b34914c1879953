import { dialWebSocket } from '../../src/client/dial.ts';
import { type ExecutorChild, spawnExecutor } from './conformance-targets.ts';
import { markVariable } from './conformance-leftovers.ts';
import { WireClient } from './conformance-wire.ts';

const dialMs = 30_000;

/** An executor of one test, that listens, and clients of it. Disposing it sends TERM, at which it is to end well. */
export interface WireListener extends AsyncDisposable {
  readonly url: string;
  readonly executor: ExecutorChild;
  /** A new connection on which nothing was said. */
  connect(): Promise<WireClient>;
  /** The same with a session. */
  open(): Promise<WireClient>;
}

export async function startListener(mark: string, ...flags: string[]): Promise<WireListener> {
  const executor = spawnExecutor(['--listen', 'ws://127.0.0.1:0', ...flags], mark);
  const url = await executor.firstLine();
  const env = { PATH: '/usr/bin:/bin', [markVariable]: mark };
  const connect = async (): Promise<WireClient> =>
    new WireClient(await dialWebSocket(url, {}, AbortSignal.timeout(dialMs)), { cwd: '/', env });
  return {
    url,
    executor,
    connect,
    open: async () => {
      const client = await connect();
      await client.handshake();
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      executor.process.kill('SIGTERM');
      await executor.expectExit();
    },
  };
}
