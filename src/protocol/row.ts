import { z } from 'zod';

/** Who may call a method: `connection` anybody who is connected, `session` a client that has sent `initialized`. */
type Gate = 'connection' | 'session';

export interface RequestRow {
  readonly params: z.ZodType;
  readonly result: z.ZodType;
  readonly gate: Gate;
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
