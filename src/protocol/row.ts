import { z } from 'zod';

/** Who may call a method: `connection` anybody who is connected, `session` a client that has sent `initialized`. */
type Gate = 'connection' | 'session';

/**
 * What becomes of a call whose connection is lost before its answer. `safe`: it is called again, which changes nothing more. `once`: it is
 * called again, and an id in its params lets the executor recognise it. `never`: whether it was carried out is unknown. `bound`: it
 * belonged to the connection and has ended with it.
 */
export type Replay = 'safe' | 'once' | 'never' | 'bound';

export interface RequestRow {
  readonly params: z.ZodType;
  readonly result: z.ZodType;
  readonly gate: Gate;
  readonly replay: Replay;
  /** Not a method of the codex executor. */
  readonly extension?: true;
  readonly summary: string;
}

export interface NotificationRow {
  readonly params: z.ZodType;
  readonly extension?: true;
  readonly summary: string;
}

/** Methods without parameters take none, null or {}. */
export const None = z.union([z.null(), z.strictObject({})]).optional();
export const Empty = z.object({});
