/** The entry `exec-server/environments`: environments by id, wherever they are. */
export { type Environment, type EnvironmentHealth, type EnvironmentStart } from './environment.ts';
export {
  EnvironmentConfigError,
  EnvironmentError,
  type EnvironmentErrorCode,
  failedEnvironment,
} from './environment-error.ts';
export { type Bundle, type BundleOptions, ensureBundle } from './bundle/bundle.ts';
export { type DockerSourceOptions, dockerSource } from './docker/docker-source.ts';
export type { Mount } from './docker/engine.ts';
export type { EnvironmentFiles } from './environment-files.ts';
export { EnvironmentManager, type EnvironmentManagerOptions } from './environment-manager.ts';
export type { EnvironmentSource, OpenContext, OpenedEnvironment } from './environment-source.ts';
export { type EntryContext, type EntryKind, entryKind } from './file/entry-kind.ts';
export { EntryProblem, EnvironmentFileError, type FileProblem } from './file/file-error.ts';
export {
  type DefaultProviderOptions,
  type FileProviderOptions,
  defaultProvider,
  environmentFiles,
  fileProvider,
} from './file/file-provider.ts';
export { entryKinds } from './file/kinds.ts';
export type { Hop, HopChild, HopCommand, HopExit } from './hop.ts';
export type { EnvironmentEvent } from './lazy-session.ts';
export { type LocalExecutor, connectLocal } from './local.ts';
export type {
  DefaultEnvironment,
  EnvironmentEntry,
  EnvironmentProvider,
  EnvironmentSnapshot,
} from './provider.ts';
export {
  type SandboxMode,
  type SandboxPolicy,
  type SandboxSetting,
  SandboxSettingError,
} from './sandbox-setting.ts';
export { type CommandSourceOptions, commandSource } from './sources/command-source.ts';
export { localSource } from './sources/local-source.ts';
export { type PendingSource, pendingSource } from './sources/pending-source.ts';
export { type RendezvousSourceOptions, rendezvousSource } from './sources/rendezvous-source.ts';
export { type UrlSourceOptions, urlSource } from './sources/url-source.ts';
export { type SshSourceOptions, sshSource } from './ssh/ssh-source.ts';
export { type StaticProviderOptions, staticProvider } from './static-provider.ts';
export { type VariablesProviderOptions, variablesProvider } from './variables-provider.ts';
export {
  type Selection,
  type WorkspaceChange,
  WorkspaceError,
  type WorkspaceSettings,
} from './workspace/selection.ts';
export type { Turn, TurnStart } from './workspace/turn.ts';
export type { Workspace, WorkspaceState } from './workspace/workspace.ts';
export type { Workspaces } from './workspace/workspaces.ts';
export { syncDirectory } from './sync/sync.ts';
export {
  SyncConflictError,
  type Resolution,
  type SyncConflict,
  type SyncOptions,
  type SyncPeer,
  type SyncProgress,
  type SyncResult,
  type SyncState,
} from './sync/options.ts';
