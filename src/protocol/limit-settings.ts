import { RpcError } from './errors.ts';
import { limits } from './limits.ts';

/** The largest delay that timers take. */
const longestMs = 2_147_483_647;
const many = 2_147_483_647;

/** The limits that an operator may change with `--limit NAME=N`, and how far. */
export const adjustableLimits = {
  connections: many,
  sessions: many,
  liveProcesses: many,
  processes: many,
  requestsInFlight: many,
  /** A text of the runtime ends at 512 MiB. */
  messageBytes: 256 * 1024 * 1024,
  jsonValues: many,
  /** The messages are walked recursively. */
  jsonDepth: 1000,
  journalMemoryBytes: many,
  journalMemoryTotalBytes: many,
  journalHoldMs: longestMs,
  reservedDescriptors: 65_536,
  handshakeMs: longestMs,
  pingIntervalMs: longestMs,
  stallMs: longestMs,
  drainMs: longestMs,
} as const satisfies Partial<Record<keyof typeof limits, number>>;

export type AdjustableLimit = keyof typeof adjustableLimits;
export type LimitSettings = Readonly<Record<AdjustableLimit, number>>;

/** What of them the reading of messages needs. */
export type MessageLimits = Pick<LimitSettings, 'requestsInFlight' | 'jsonValues' | 'jsonDepth'>;

/** The defaults, but for those that are given. */
export function limitSettings(given: Partial<LimitSettings> = {}): LimitSettings {
  return { ...limits, ...given };
}

/** Reads `NAME=N`. Answers a text that says what is wrong. */
export function parseLimit(text: string): readonly [AdjustableLimit, number] | string {
  const [, name = '', digits = ''] = /^([A-Za-z]+)=(\d{1,10})$/.exec(text) ?? [];
  const names = Object.keys(adjustableLimits);
  if (!names.includes(name)) return `"${text}" is not NAME=N with one of ${names.join(', ')}`;
  const [limit, value] = [name as AdjustableLimit, Number(digits)];
  const most = adjustableLimits[limit];
  return value >= 1 && value <= most ? [limit, value] : `${name} must be between 1 and ${most}`;
}

/** What changes it, behind a text that gives its value. */
export function limitOption(limit: AdjustableLimit): string {
  return `(--limit ${limit}=N of the executor changes that)`;
}

/** A limit is reached: the text says what for, and `data` which one. */
export function limitReached(what: string, limit: AdjustableLimit, value: number): RpcError {
  return new RpcError('overloaded', `${what} ${limitOption(limit)}.`, {
    data: { limit, value, option: `--limit ${limit}=N` },
  });
}
