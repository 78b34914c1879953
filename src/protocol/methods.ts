import { z } from 'zod';
import { AttachParams, AttachResult, ProcessAttachments } from './attach.ts';
import {
  EnvironmentDraining,
  EnvironmentInfo,
  EnvironmentMetricsResult,
  EnvironmentStatusResult,
} from './environment.ts';
import { fileRequests } from './file-methods.ts';
import { MissingChanged } from './file-system.ts';
import { httpNotifications, httpRequests } from './http.ts';
import * as events from './process-events.ts';
import * as process from './process.ts';
import { Empty, None, type NotificationRow, type RequestRow } from './row.ts';
import { searchNotifications, searchRequests } from './search-methods.ts';
import { InitializeParams, InitializeResult } from './session.ts';
import { transferNotifications, transferRequests } from './transfer.ts';
import { watchNotifications, watchRequests } from './watch-methods.ts';

/**
 * The protocol. Types, validation, dispatch, the client's calls, docs/protocol.md and the JSON Schemas come from these rows; a
 * method is made known here and nowhere else.
 */
export const requests = {
  initialize: {
    params: InitializeParams,
    result: InitializeResult,
    gate: 'connection',
    replay: 'never',
    summary: 'Opens a session on this connection. Once a connection; `initialized` follows.',
  },
  'environment/info': {
    params: None,
    result: EnvironmentInfo,
    gate: 'session',
    replay: 'safe',
    summary: 'Describes the environment: shell, directories, platform, what this executor can do.',
  },
  'environment/status': {
    params: None,
    result: EnvironmentStatusResult,
    gate: 'session',
    replay: 'safe',
    summary: 'Says whether the executor takes work.',
  },
  'environment/metrics': {
    params: None,
    result: EnvironmentMetricsResult,
    gate: 'session',
    replay: 'safe',
    extension: true,
    summary: 'Says how busy the executor is.',
  },
  'process/start': {
    params: process.ProcessStartParams,
    result: process.ProcessStartResult,
    gate: 'session',
    replay: 'once',
    summary:
      'Starts a program on pipes or on a PTY. Answered when it runs, or with the reason why it does not.',
  },
  'process/read': {
    params: process.ProcessReadParams,
    result: process.ProcessReadResult,
    gate: 'session',
    replay: 'safe',
    summary: 'Reads output after a sequence number, waiting for it if asked. Reading does not consume.',
  },
  'process/write': {
    params: process.ProcessWriteParams,
    result: process.ProcessWriteResult,
    gate: 'session',
    replay: 'once',
    summary: 'Queues input for the process. Writes of one process keep their order.',
  },
  'process/closeStdin': {
    params: process.ProcessCloseStdinParams,
    result: process.ProcessCloseStdinResult,
    gate: 'session',
    replay: 'once',
    extension: true,
    summary:
      'Ends the input after everything written before: closes the pipe, or types the end-of-file character of the PTY.',
  },
  'process/resize': {
    params: process.ProcessResizeParams,
    result: Empty,
    gate: 'session',
    replay: 'safe',
    extension: true,
    summary: 'Sets the size of the PTY; its foreground group gets SIGWINCH.',
  },
  'process/signal': {
    params: process.ProcessSignalParams,
    result: process.ProcessSignalResult,
    gate: 'session',
    replay: 'never',
    summary: 'Sends a signal to the process group or to the program alone.',
  },
  'process/terminate': {
    params: process.ProcessTerminateParams,
    result: process.ProcessTerminateResult,
    gate: 'session',
    replay: 'safe',
    summary:
      'Ends the process and everything in its terminal session; cancels a start; closes what a descendant holds open.',
  },
  'process/list': {
    params: process.ProcessListParams.nullish().transform((params) => params ?? { includeClosed: false }),
    result: process.ProcessListResult,
    gate: 'session',
    replay: 'safe',
    extension: true,
    summary: "Lists the session's processes.",
  },
  'process/attach': {
    params: AttachParams,
    result: AttachResult,
    gate: 'session',
    replay: 'safe',
    extension: true,
    summary:
      'Sends the events of a process to this connection from a cursor on: of its own session, or of another one with a key. Several ' +
      'connections can be attached, each at its own pace.',
  },
  'process/detach': {
    params: process.ProcessTarget,
    result: Empty,
    gate: 'session',
    replay: 'safe',
    extension: true,
    summary: 'Sends no further events of the process to this connection. The process goes on.',
  },
  ...fileRequests,
  ...watchRequests,
  ...searchRequests,
  ...transferRequests,
  ...httpRequests,
} as const satisfies Record<string, RequestRow>;

/** From the client to the executor. */
export const clientNotifications = {
  initialized: {
    params: z.unknown(),
    summary: 'The client has the answer to `initialize`; all methods are open from here.',
  },
} as const satisfies Record<string, NotificationRow>;

/** From the executor to the client. */
export const serverNotifications = {
  'process/output': {
    params: events.ProcessOutput,
    summary: 'A chunk of output. Sequence numbers of a process have no gaps over output, exited and closed.',
  },
  'process/exited': {
    params: events.ProcessExited,
    summary: 'The program has ended. Output can still follow, while a descendant holds a stream.',
  },
  'process/closed': {
    params: events.ProcessClosed,
    summary: 'It has exited and its streams have ended. The last event, with the totals to check against.',
  },
  'process/gap': {
    params: events.ProcessGap,
    extension: true,
    summary:
      'Stands for the events that a limit of the journal dropped before this connection could take them.',
  },
  'environment/draining': {
    params: EnvironmentDraining,
    extension: true,
    summary:
      'The executor is shutting down: it takes no new sessions and no starts. Sent to clients that named it in `initialize`.',
  },
  'process/attachments': {
    params: ProcessAttachments,
    extension: true,
    summary:
      'Who is attached to the process, and its size, after a change of either. Sent once another session has attached to it.',
  },
  ...transferNotifications,
  ...searchNotifications,
  'fs/missingChanged': {
    params: MissingChanged,
    summary:
      'A path of the fs/watchMissing with this id has appeared, or the present one has gone. The watch is over.',
  },
  ...watchNotifications,
  ...httpNotifications,
} as const satisfies Record<string, NotificationRow>;

export type Method = keyof typeof requests;
/** What a client sends. */
export type WireParams<M extends Method> = z.input<(typeof requests)[M]['params']>;
/** What a handler gets. */
export type Params<M extends Method> = z.output<(typeof requests)[M]['params']>;
/** What a handler answers. */
export type WireResult<M extends Method> = z.input<(typeof requests)[M]['result']>;
/** What a client gets. */
export type Result<M extends Method> = z.output<(typeof requests)[M]['result']>;

export type ServerNotification = keyof typeof serverNotifications;
export type WireEvent<N extends ServerNotification> = z.input<(typeof serverNotifications)[N]['params']>;
export type Event<N extends ServerNotification> = z.output<(typeof serverNotifications)[N]['params']>;
