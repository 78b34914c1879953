import type { CloseReason } from '../rpc/transport.ts';
import type { Budget } from './lane.ts';
import type { Leg } from './leg.ts';
import type { RendezvousLimits } from './limits.ts';

/** Joins the legs of one environment: its executor and its orchestrators. */
export interface Exchange {
  readonly online: boolean;
  readonly streams: number;
  readonly orchestrators: number;
  /** Whether another orchestrator finds room; a text that says why not. */
  busy(): string | undefined;
  /** The executor's socket, in place of an earlier one. */
  executorArrived(leg: Leg): void;
  orchestratorArrived(leg: Leg, subject: string): void;
  /** Ends all of it. */
  close(reason: CloseReason): void;
  /** The same, when what waits has been sent. */
  finish(reason: CloseReason, waitMs: number): void;
}

export interface ExchangeOptions {
  readonly limits: RendezvousLimits;
  readonly budget: Budget;
  /** The executor's socket has come or gone. */
  readonly onChange: () => void;
}

export const executorGone = (why: string): CloseReason => ({ kind: 'executorGone', message: why });
export const orchestratorGone = (why: string): CloseReason => ({ kind: 'orchestratorGone', message: why });
