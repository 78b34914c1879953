import { Empty, type NotificationRow, type RequestRow } from './row.ts';
import * as search from './search.ts';

/** The rows of searches below a directory. */
export const searchRequests = {
  'fs/glob': {
    params: search.GlobParams,
    result: search.GlobResult,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary:
      'Lists the files below a directory whose paths match glob patterns. Links are listed, not followed.',
  },
  'fs/grep': {
    params: search.GrepParams,
    result: search.GrepResult,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary: 'Finds lines that match a regular expression in a file, or in the text files below a directory.',
  },
  'fs/cancelSearch': {
    params: search.CancelSearchParams,
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary:
      'Ends a search, whose request is then answered as truncated by "cancelled". One that has ended is no error.',
  },
} as const satisfies Record<string, RequestRow>;

export const searchNotifications = {
  'fs/matches': {
    params: search.Matches,
    extension: true,
    summary:
      'Results of a search with a searchId, in order. All of them come before the answer to its request.',
  },
} as const satisfies Record<string, NotificationRow>;
