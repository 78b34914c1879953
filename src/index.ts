/** The public names of the library: an executor for one's own host, and the client of any. */
export {
  type Address,
  type AttachOptions,
  type Close,
  CompletionUnknownError,
  type ConnectOptions,
  type ConnectionEvent,
  type EnvironmentFetch,
  type EnvironmentRequestInit,
  ExecClient,
  type ExecutorCommand,
  type Exit,
  type OutputChunk,
  OutputLostError,
  type GlobFound,
  type GlobOptions,
  type GrepMatch,
  type GrepOptions,
  type GrepSummary,
  type HttpRequestOptions,
  type HttpResponse,
  type OutputView,
  type ProcessAttachments,
  type RemoteFiles,
  type RemoteGrep,
  type RemoteHttp,
  type RemoteProcess,
  type RemoteWatch,
  type RendezvousAddress,
  type StartOptions,
  type Token,
  type TransferOptions,
  type TransferProgress,
  type TransferSummary,
  type WatchUpdate,
  type WatchedChange,
  type WriteOutcome,
} from './client/exec-client.ts';
export { type Authenticator, type Principal, createAuthenticator } from './access/authenticator.ts';
export type { AccessSettings } from './access/settings.ts';
export { type EgressOptions, EgressRuleError } from './http/egress.ts';
export { type LocalExecutor, connectLocal } from './environments/local.ts';
export { type ErrorName, RpcError, errorCodes } from './protocol/errors.ts';
export type { LimitSettings } from './protocol/limit-settings.ts';
export { limits } from './protocol/limits.ts';
export type { Method, Params, Result, WireParams, WireResult } from './protocol/methods.ts';
export { ConnectionError } from './rpc/connection-error.ts';
export { memoryTransportPair } from './rpc/memory-transport.ts';
export type { CloseReason, Transport } from './rpc/transport.ts';
export { ExecServer, type ExecServerOptions } from './server/exec-server.ts';
export type { ServeOptions } from './server/connection.ts';
export { type ListenOptions, type WebSocketListener, listenWebSocket } from './server/listen-websocket.ts';
