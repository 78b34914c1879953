import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { type ConnectOptions, ExecClient } from '../../src/client/exec-client.ts';
import { memoryTransportPair } from '../../src/rpc/memory-transport.ts';
import { ExecServer } from '../../src/server/exec-server.ts';
import { roadTo } from './chaos-mild.ts';
import { expectNothingLeft } from './conformance-leftovers.ts';
import { executorVariables, finish, spawnExecutor } from './conformance-targets.ts';

/** What the client suite may expect of an executor. */
export interface Capabilities {
  readonly closeStdin: boolean;
  readonly resize: boolean;
  readonly signal: boolean;
  /** Other signals than an interrupt, the program alone, and whether it was delivered. */
  readonly signalNames: boolean;
  /** 128 and the number of the signal. */
  readonly signalExitCodes: boolean;
  /** Says that a write came too late. */
  readonly discarded: boolean;
  /** Keeps what a client has not read, beyond a MiB. */
  readonly journal: boolean;
  readonly totals: boolean;
}

export const ownCapabilities: Capabilities = {
  closeStdin: true,
  resize: true,
  signal: true,
  signalNames: true,
  signalExitCodes: true,
  discarded: true,
  journal: true,
  totals: true,
};

export interface Connected {
  readonly client: ExecClient;
  /** Cuts the connection as a broken network or a dead executor does. */
  lose(): Promise<void>;
}

export interface StartedTarget extends AsyncDisposable {
  connect(options: ConnectOptions): Promise<Connected>;
}

export interface ClientTarget {
  readonly name: string;
  readonly capabilities: Capabilities;
  start(): Promise<StartedTarget>;
}

export function memoryClientTarget(mark: string): ClientTarget {
  return {
    name: 'our executor in memory',
    capabilities: ownCapabilities,
    start: async () => {
      const server = new ExecServer({ env: executorVariables(mark) });
      return {
        connect: async (options) => {
          const [near, far] = memoryTransportPair();
          void server.serve(far);
          const client = await ExecClient.connect({ transport: near }, options);
          return {
            client,
            lose: async () => far.close({ kind: 'lost', message: 'cut by the test' }),
          };
        },
        [Symbol.asyncDispose]: async () => {
          await server.close();
          await expectNothingLeft(mark);
        },
      };
    },
  };
}

export function webSocketClientTarget(mark: string): ClientTarget {
  return {
    name: 'our executor over a WebSocket',
    capabilities: ownCapabilities,
    start: async () => {
      const child = spawnExecutor(['--listen', 'ws://127.0.0.1:0'], mark);
      const road = await roadTo(await child.firstLine());
      return {
        connect: async (options) => connectThroughCut(road.url, options),
        [Symbol.asyncDispose]: async () => {
          await road[Symbol.asyncDispose]();
          child.process.kill('SIGTERM');
          await finish({ mark }, { [Symbol.asyncDispose]: async () => child.expectExit() });
        },
      };
    },
  };
}

/** A client started this way owns its executor, which it starts through a shell as ssh would be. */
export function commandClientTarget(mark: string): ClientTarget {
  return {
    name: 'our executor by command',
    capabilities: ownCapabilities,
    start: async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'exec-client-command-'));
      let connections = 0;
      return {
        connect: async (options) => {
          const pidFile = path.join(folder, String(connections++));
          const client = await ExecClient.connect({ command: executorCommand(pidFile, mark) }, options);
          return {
            client,
            lose: async () => void process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL'),
          };
        },
        [Symbol.asyncDispose]: async () => {
          await rm(folder, { recursive: true, force: true });
          await expectNothingLeft(mark);
        },
      };
    },
  };
}

/** Starts an executor on standard streams, and writes its pid into a file. */
export function executorCommand(
  pidFile: string,
  mark: string,
): { program: string; args: string[]; env: Record<string, string>; stderr: 'ignore' } {
  const main = path.resolve(import.meta.dirname, '..', '..', 'src', 'main.ts');
  const script = 'echo $$ > "$1"; exec "$2" "$3" serve --listen stdio';
  return {
    program: '/bin/sh',
    args: ['-c', script, 'sh', pidFile, process.execPath, main],
    env: executorVariables(mark),
    stderr: 'ignore',
  };
}

/** A connection by way of a relay of bytes that can be cut. */
export async function connectThroughCut(url: string, options: ConnectOptions): Promise<Connected> {
  const relay = await cutRelay(url);
  const client = await ExecClient.connect({ url: relay.url }, { reconnectMs: 0, ...options });
  void client.closed.then(() => relay[Symbol.asyncDispose]());
  return { client, lose: async () => relay.cut() };
}

export interface CutRelay extends AsyncDisposable {
  readonly url: string;
  /** Cuts every connection that there is now. */
  cut(): void;
}

/** A relay of bytes to a listener. */
export async function cutRelay(url: string): Promise<CutRelay> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connectTcp(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return {
    url: `ws://127.0.0.1:${portOf(relay)}`,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => void relay.close(),
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
