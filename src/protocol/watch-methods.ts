import { Empty, type NotificationRow, type RequestRow } from './row.ts';
import { Changed, UnwatchParams, WatchParams, WatchResult } from './watch.ts';

/** The rows of fs/watch. */
export const watchRequests = {
  'fs/watch': {
    params: WatchParams,
    result: WatchResult,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary:
      'Tells by fs/changed what changes below a directory, or of a file, from the answer on. Ends with the connection.',
  },
  'fs/unwatch': {
    params: UnwatchParams,
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary: 'Ends a watch. One that is not there is no error.',
  },
} as const satisfies Record<string, RequestRow>;

export const watchNotifications = {
  'fs/changed': {
    params: Changed,
    extension: true,
    summary: 'Changes of an fs/watch, merged over a short time; or that the tree has to be listed again.',
  },
} as const satisfies Record<string, NotificationRow>;
