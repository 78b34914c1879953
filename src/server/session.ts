import { randomUUID } from 'node:crypto';
import type { Principal } from '../access/authenticator.ts';
import { ProcessTable, type ProcessTableOptions } from '../process/process-table.ts';

/** What outlives a connection: the processes that its client has started. */
export class Session {
  readonly id = randomUUID();
  /** Whom it belongs to. */
  readonly principal: Principal;
  readonly processes: ProcessTable;

  constructor(options: ProcessTableOptions, principal: Principal) {
    this.principal = principal;
    this.processes = new ProcessTable(options);
  }
}
