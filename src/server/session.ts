import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { Principal } from '../access/authenticator.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import { ProcessTable, type ProcessTableOptions } from '../process/process-table.ts';
import type { AttachRole } from '../protocol/attach.ts';
import { sameText } from '../support/same-text.ts';
import { Roster } from './roster.ts';

/** What outlives a connection: the processes that its client has started. */
export class Session {
  readonly id = randomUUID();
  /** Whom it belongs to. */
  readonly principal: Principal;
  /** Given to the session's client only: whoever has it is that client. */
  readonly secret = randomBytes(32).toString('base64url');
  readonly processes: ProcessTable;
  /** What its connection, if it has one, sees of its processes. */
  home: { meet(process: ManagedProcess, roster: Roster): void } | undefined;
  /** Of processes that other sessions are attached to. */
  readonly #rosters = new Map<ManagedProcess, Roster>();

  constructor(options: ProcessTableOptions, principal: Principal) {
    this.principal = principal;
    this.processes = new ProcessTable(options);
  }

  hasSecret(secret: string): boolean {
    return sameText(secret, this.secret);
  }

  /** Whether the key lets its holder attach to that process in that role. */
  admits(key: string, role: AttachRole, processId: string): boolean {
    const right = createHmac('sha256', this.secret)
      .update(`attach\n${role}\n${processId}`)
      .digest('base64url');
    return sameText(key, right);
  }

  roster(process: ManagedProcess): Roster | undefined {
    return this.#rosters.get(process);
  }

  rosters(): Iterable<[ManagedProcess, Roster]> {
    return this.#rosters;
  }

  share(process: ManagedProcess): Roster {
    const known = this.#rosters.get(process);
    if (known !== undefined) return known;
    // Without other sessions' connections there is nothing to agree about.
    const roster = new Roster(process, () => void this.#rosters.delete(process));
    this.#rosters.set(process, roster);
    return roster;
  }
}
