import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteSearches } from '../../../src/client/remote-search.ts';
import { RpcError } from '../../../src/protocol/errors.ts';
import {
  type Event,
  type Method,
  type Result,
  type WireParams,
  requests,
  serverNotifications,
} from '../../../src/protocol/methods.ts';
import { memoryTransportPair } from '../../../src/rpc/memory-transport.ts';
import { Peer } from '../../../src/rpc/peer.ts';
import type { Transport } from '../../../src/rpc/transport.ts';
import { ExecServer, type ExecServerOptions } from '../../../src/server/exec-server.ts';
import { executorVariables } from '../../support/conformance-targets.ts';

type Matches = Event<'fs/matches'>;

/** A session on a transport, with the executor's search notifications as they came. */
export class SearchSession implements AsyncDisposable {
  readonly events: Matches[] = [];
  readonly searches: RemoteSearches;
  /** Runs inside each fs/matches. */
  onMatches: (event: Matches) => void = () => {};
  readonly #peer: Peer;
  readonly #gone = Promise.withResolvers<void>();

  private constructor(transport: Transport) {
    this.searches = new RemoteSearches((method, params, options) => this.call(method, params, options));
    this.#peer = new Peer(transport, {
      onRequest: () => {
        throw new RpcError('methodNotFound', 'This client has no methods.');
      },
      onNotification: (method, params) => {
        if (method !== 'fs/matches') return;
        const event = serverNotifications['fs/matches'].params.parse(params);
        this.events.push(event);
        this.searches.receive(event);
        this.onMatches(event);
      },
      onClose: () => this.#gone.resolve(),
      onInternalError: (error) => {
        throw error;
      },
    });
  }

  static async open(transport: Transport): Promise<SearchSession> {
    const session = new SearchSession(transport);
    await session.call('initialize', { clientName: 'search' });
    session.#peer.notify('initialized', {});
    return session;
  }

  async call<M extends Method>(
    method: M,
    params: WireParams<M>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Result<M>> {
    const { signal } = options;
    return requests[method].result.parse(
      await this.#peer.call(method, params, { ...(signal && { signal }) }),
    ) as Result<M>;
  }

  /** The error of a call that has to fail. */
  async refused<M extends Method>(method: M, params: WireParams<M>): Promise<RpcError> {
    const error: unknown = await this.call(method, params).then(
      (result) => new Error(`It was not refused: ${JSON.stringify(result).slice(0, 300)}`),
      (reason: unknown) => reason,
    );
    if (error instanceof RpcError) return error;
    throw error;
  }

  async close(): Promise<void> {
    this.#peer.close({ kind: 'normal', message: 'the test is done' });
    await this.#gone.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A session with an executor in this process. */
export async function localSession(
  options: Partial<ExecServerOptions> = {},
): Promise<{ session: SearchSession } & AsyncDisposable> {
  const server = new ExecServer({ env: executorVariables('search'), ...options });
  const [near, far] = memoryTransportPair();
  void server.serve(far);
  const session = await SearchSession.open(near);
  return {
    session,
    [Symbol.asyncDispose]: async () => {
      await session.close();
      await server.close();
    },
  };
}

export interface Folder extends AsyncDisposable {
  readonly path: string;
}

export async function searchFolder(): Promise<Folder> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-search-')));
  return { path: folder, [Symbol.asyncDispose]: async () => rm(folder, { recursive: true, force: true }) };
}
