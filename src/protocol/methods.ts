import { z } from 'zod';
import {
  EnvironmentDraining,
  EnvironmentInfo,
  EnvironmentMetricsResult,
  EnvironmentStatusResult,
} from './environment.ts';
import { fileRequests } from './file-methods.ts';
import { MissingChanged } from './file-system.ts';
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
    summary: 'Opens a session on this connection. Once a connection; `initialized` follows.',
  },
  'environment/info': {
    params: None,
    result: EnvironmentInfo,
    gate: 'session',
    summary: 'Describes the environment: shell, directories, platform, what this executor can do.',
  },
  'environment/status': {
    params: None,
    result: EnvironmentStatusResult,
    gate: 'session',
    summary: 'Says whether the executor takes work.',
  },
  'environment/metrics': {
    params: None,
    result: EnvironmentMetricsResult,
    gate: 'session',
    extension: true,
    summary: 'Says how busy the executor is.',
  },
  'process/start': {
    params: process.ProcessStartParams,
    result: process.ProcessStartResult,
    gate: 'session',
    summary:
      'Starts a program on pipes or on a PTY. Answered when it runs, or with the reason why it does not.',
  },
  'process/read': {
    params: process.ProcessReadParams,
    result: process.ProcessReadResult,
    gate: 'session',
    summary: 'Reads output after a sequence number, waiting for it if asked. Reading does not consume.',
  },
  'process/write': {
    params: process.ProcessWriteParams,
    result: process.ProcessWriteResult,
    gate: 'session',
    summary: 'Queues input for the process. Writes of one process keep their order.',
  },
  'process/closeStdin': {
    params: process.ProcessTarget,
    result: process.ProcessCloseStdinResult,
    gate: 'session',
    extension: true,
    summary:
      'Ends the input after everything written before: closes the pipe, or types the end-of-file character of the PTY.',
  },
  'process/resize': {
    params: process.ProcessResizeParams,
    result: Empty,
    gate: 'session',
    extension: true,
    summary: 'Sets the size of the PTY; its foreground group gets SIGWINCH.',
  },
  'process/signal': {
    params: process.ProcessSignalParams,
    result: process.ProcessSignalResult,
    gate: 'session',
    summary: 'Sends a signal to the process group or to the program alone.',
  },
  'process/terminate': {
    params: process.ProcessTerminateParams,
    result: process.ProcessTerminateResult,
    gate: 'session',
    summary:
      'Ends the process and everything in its terminal session; cancels a start; closes what a descendant holds open.',
  },
  'process/list': {
    params: process.ProcessListParams.nullish().transform((params) => params ?? { includeClosed: false }),
    result: process.ProcessListResult,
    gate: 'session',
    extension: true,
    summary: "Lists the session's processes.",
  },
  ...fileRequests,
  ...watchRequests,
  ...searchRequests,
  ...transferRequests,
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
    params: process.ProcessOutput,
    summary: 'A chunk of output. Sequence numbers of a process have no gaps over output, exited and closed.',
  },
  'process/exited': {
    params: process.ProcessExited,
    summary: 'The program has ended. Output can still follow, while a descendant holds a stream.',
  },
  'process/closed': {
    params: process.ProcessClosed,
    summary: 'It has exited and its streams have ended. The last event, with the totals to check against.',
  },
  'process/gap': {
    params: process.ProcessGap,
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
  ...transferNotifications,
  ...searchNotifications,
  'fs/missingChanged': {
    params: MissingChanged,
    summary:
      'A path of the fs/watchMissing with this id has appeared, or the present one has gone. The watch is over.',
  },
  ...watchNotifications,
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
