import { randomUUID } from 'node:crypto';
import { ProcessTable, type ProcessTableOptions } from '../process/process-table.ts';

/** What outlives a connection: the processes that its client has started. */
export class Session {
  readonly id = randomUUID();
  readonly processes: ProcessTable;

  constructor(options: ProcessTableOptions) {
    this.processes = new ProcessTable(options);
  }
}
