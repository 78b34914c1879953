import type { EnvironmentInfo, EnvironmentMetrics } from '../protocol/environment.ts';
import type { LimitSettings } from '../protocol/limit-settings.ts';
import type { Method, Params, ServerNotification, WireEvent, WireResult } from '../protocol/methods.ts';
import type { RequestContext } from '../rpc/peer.ts';
import type { ConnectionFiles } from './connection-files.ts';
import type { ConnectionHttp } from './connection-http.ts';
import type { ConnectionProcesses } from './connection-processes.ts';
import type { Streams } from './streams.ts';

/** What a handler of files works with, in the executor or in a worker of it. */
export interface FileContext {
  readonly files: ConnectionFiles;
  readonly streams: Streams;
  readonly notify: <N extends ServerNotification>(method: N, params: WireEvent<N>) => void;
  /** Bytes that the connection has not taken yet. */
  readonly unsentBytes: () => number;
  readonly limits: LimitSettings;
  readonly request: RequestContext;
}

/** What a handler of an open session works with. */
export interface SessionContext extends FileContext {
  readonly processes: ConnectionProcesses;
  readonly http: ConnectionHttp;
  readonly environment: () => EnvironmentInfo;
  readonly draining: () => boolean;
  readonly metrics: () => EnvironmentMetrics;
}

/** One handler for each row of the protocol table but `initialize`, which is the connection's own. A missing one does not compile. */
export type Handlers = {
  readonly [M in Exclude<Method, 'initialize'>]: (
    params: Params<M>,
    context: SessionContext,
  ) => WireResult<M> | Promise<WireResult<M>>;
};

/** The methods of files, streams, searches and watches. */
export type FileMethod = Extract<Method, `fs/${string}` | `stream/${string}`>;

/** Their handlers, which know nothing of sessions and processes. */
export type FileHandlers = {
  readonly [M in FileMethod]: (
    params: Params<M>,
    context: FileContext,
  ) => WireResult<M> | Promise<WireResult<M>>;
};

export function isFileMethod(method: string): method is FileMethod {
  return method.startsWith('fs/') || method.startsWith('stream/');
}
