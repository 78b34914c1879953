import type { ManagedProcess } from '../process/managed-process.ts';
import type { AttachRole } from '../protocol/attach.ts';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Params, WireResult } from '../protocol/methods.ts';
import type { TerminalSize } from '../protocol/process.ts';
import type { Resume } from '../protocol/session.ts';
import type { Peer } from '../rpc/peer.ts';
import { OutputPush } from './output-push.ts';
import type { Attachment, Roster } from './roster.ts';
import type { SessionRegistry } from './session-registry.ts';
import type { Session } from './session.ts';

/** What a call does to a process, from the least to the most. */
export type Access = 'read' | 'write' | 'control';

const allowed: Readonly<Record<AttachRole, readonly Access[]>> = {
  owner: ['read', 'write', 'control'],
  writer: ['read', 'write'],
  viewer: ['read'],
};

/** A process of another session, under the id that it has on this connection. */
interface Foreign {
  readonly process: ManagedProcess;
  readonly roster: Roster;
  readonly attachment: Attachment;
}

/** The processes that one connection reaches: those of its session, and those of others that it is attached to. */
export class ConnectionProcesses {
  readonly push: OutputPush;
  readonly #id: string;
  readonly #peer: Peer;
  readonly #sessions: SessionRegistry;
  readonly #foreign = new Map<string, Foreign>();
  readonly #home = new WeakMap<ManagedProcess, Attachment>();
  #session: Session | undefined;
  #cursors: Resume['cursors'] = [];
  /** Keep what was named until it is sent: its retention could end before. */
  #holds: Disposable[] = [];

  constructor(id: string, peer: Peer, sessions: SessionRegistry) {
    this.#id = id;
    this.#peer = peer;
    this.#sessions = sessions;
    this.push = new OutputPush(peer);
  }

  /** The session is this connection's. Answers those of the processes it names that are not there. */
  resume(session: Session, cursors: Resume['cursors']): string[] {
    this.#session = session;
    this.#cursors = cursors;
    const unknown: string[] = [];
    for (const { processId } of cursors) {
      const process = session.processes.peek(processId);
      if (process === undefined) unknown.push(processId);
      else this.#holds.push(process.journal.subscribe(() => {}));
    }
    return unknown;
  }

  /** Sends from here on: behind the cursor that the client has named for a process, and what is new of every other one. */
  open(): void {
    const { processes } = this.#requireSession();
    for (const { processId, afterSeq } of this.#cursors) {
      const process = processes.peek(processId);
      if (process !== undefined) this.follow(process, Math.min(afterSeq, process.journal.nextSeq - 1));
    }
    this.#cursors = [];
    this.#letGo();
    // Those that were named are attached already.
    for (const process of processes.list()) {
      if (process.state !== 'closed') this.follow(process, process.journal.nextSeq - 1);
    }
    const session = this.#requireSession();
    session.home = this;
    for (const [process, roster] of session.rosters()) this.meet(process, roster);
  }

  /** Sends the events of a process of the session. */
  follow(process: ManagedProcess, afterSeq: number): void {
    this.push.attach(process, afterSeq, process.id, () => this.#mayWrite(process));
  }

  async start(params: Params<'process/start'>): Promise<ManagedProcess | undefined> {
    if (this.#foreign.has(params.processId)) {
      throw invalidRequest(
        `process ${params.processId} already exists: a process of another session has this id here.`,
      );
    }
    return this.#requireSession().processes.start(params);
  }

  /** The process of that id, once its start is over; undefined where there is none. Refused where the role does not allow it. */
  async find(id: string, access: Access): Promise<ManagedProcess | undefined> {
    const own = await this.#requireSession().processes.find(id);
    return own === undefined ? this.#foreignOne(id, access) : this.#ownOne(own, access);
  }

  /** Those of the session. */
  list(): ManagedProcess[] {
    return this.#requireSession().processes.list();
  }

  /** The same for ending it, also while it is starting. A session's own connection may always do that. */
  toEnd(id: string): ManagedProcess | undefined {
    return this.#requireSession().processes.peek(id) ?? this.#foreignOne(id, 'control');
  }

  /** Attaches this connection to a process. Answers, and gives what starts sending. */
  async attach(
    params: Params<'process/attach'>,
  ): Promise<{ answer: WireResult<'process/attach'>; start: () => void }> {
    const { processId, sessionId, role, afterSeq } = params;
    const session = this.#requireSession();
    if (sessionId !== undefined && sessionId !== session.id) return this.#attachForeign(params, sessionId);
    const process = await session.processes.find(processId);
    if (process === undefined) throw invalidRequest(`unknown process id ${processId}`);
    this.#stillOpen();
    const roster = session.roster(process);
    roster?.join(this.#homeAt(process), role);
    return this.#attached(process, processId, roster === undefined ? 'owner' : role, afterSeq);
  }

  detach(id: string): void {
    const own = this.#requireSession().processes.peek(id);
    if (own !== undefined) return this.push.detach(own);
    const foreign = this.#foreign.get(id);
    if (foreign === undefined) throw invalidRequest(`unknown process id ${id}`);
    this.#leave(id, foreign);
  }

  resize(id: string, process: ManagedProcess, size: TerminalSize): void {
    const foreign = this.#foreign.get(id);
    if (foreign !== undefined) return foreign.roster.resize(foreign.attachment, size);
    const roster = this.#requireSession().roster(process);
    if (roster === undefined) process.resize(size.rows, size.cols);
    else roster.resize(this.#homeAt(process), size);
  }

  /** The connection is gone, or no longer the session's. */
  dispose(): void {
    this.#letGo();
    this.push.dispose();
    for (const [id, foreign] of this.#foreign) this.#leave(id, foreign);
    const session = this.#session;
    if (session?.home !== this) return;
    session.home = undefined;
    for (const [process, roster] of session.rosters()) roster.leave(this.#homeAt(process));
  }

  /** Another session has attached to a process of this connection's. */
  meet(process: ManagedProcess, roster: Roster): void {
    const attachment = this.#homeAt(process);
    if (roster.role(attachment) === undefined) roster.join(attachment, 'owner if free');
  }

  #letGo(): void {
    for (const hold of this.#holds) hold[Symbol.dispose]();
    this.#holds = [];
  }

  #stillOpen(): void {
    if (this.push.closed) throw invalidRequest('The connection has ended.');
  }

  #requireSession(): Session {
    if (this.#session === undefined) throw new Error('The connection has no session yet.');
    return this.#session;
  }

  #homeAt(process: ManagedProcess): Attachment {
    const known = this.#home.get(process) ?? this.#attachment(true, process.id);
    this.#home.set(process, known);
    return known;
  }

  #attachment(isHome: boolean, processId: string): Attachment {
    return {
      id: this.#id,
      isHome,
      tell: (change) => this.#peer.notify('process/attachments', { processId, ...change }),
    };
  }

  #ownOne(process: ManagedProcess, access: Access): ManagedProcess {
    check(this.#ownRole(process), access);
    return process;
  }

  #ownRole(process: ManagedProcess): AttachRole {
    const attachment = this.#home.get(process);
    return (attachment && this.#requireSession().roster(process)?.role(attachment)) ?? 'owner';
  }

  /** Who may only watch a program does not slow it down either. */
  #mayWrite(process: ManagedProcess): boolean {
    const foreign = [...this.#foreign.values()].find((one) => one.process === process);
    const role = foreign === undefined ? this.#ownRole(process) : foreign.roster.role(foreign.attachment);
    return role !== undefined && allowed[role].includes('write');
  }

  #foreignOne(id: string, access: Access): ManagedProcess | undefined {
    const foreign = this.#foreign.get(id);
    if (foreign === undefined) return undefined;
    check(foreign.roster.role(foreign.attachment) ?? 'viewer', access);
    return foreign.process;
  }

  async #attachForeign(
    { processId, key = '', role, afterSeq, localId = processId }: Params<'process/attach'>,
    sessionId: string,
  ): ReturnType<ConnectionProcesses['attach']> {
    const session = this.#sessions.find(sessionId);
    const process = session?.admits(key, role, processId)
      ? await session.processes.find(processId)
      : undefined;
    // One answer for all: who has no key is not told what there is.
    if (session === undefined || process === undefined)
      throw new RpcError(
        'notFound',
        'There is no such process in that session, or the key is not for it and this role.',
      );
    const known = this.#foreign.get(localId);
    if (known !== undefined && known.process !== process)
      throw invalidRequest(`process ${localId} already exists: another process has this id here.`);
    if (known === undefined && [...this.#foreign.values()].some((one) => one.process === process))
      throw invalidRequest('This connection is attached to the process already, under another id.');
    if (known === undefined && this.#requireSession().processes.peek(localId) !== undefined)
      throw invalidRequest(`process ${localId} already exists: name another localId.`);
    if (known === undefined && this.#foreign.size >= limits.foreignProcesses)
      throw new RpcError(
        'overloaded',
        `The connection is attached to ${limits.foreignProcesses} processes of other sessions.`,
      );
    const foreign = known ?? {
      process,
      roster: session.share(process),
      attachment: this.#attachment(false, localId),
    };
    this.#stillOpen();
    session.home?.meet(process, foreign.roster);
    foreign.roster.join(foreign.attachment, role);
    this.#foreign.set(localId, foreign);
    return this.#attached(process, localId, role, afterSeq);
  }

  #attached(
    process: ManagedProcess,
    id: string,
    role: AttachRole,
    afterSeq: number,
  ): Awaited<ReturnType<ConnectionProcesses['attach']>> {
    const { state, tty, journal, resizePolicy } = process;
    const answer = {
      processId: id,
      attachmentId: this.#id,
      role,
      state,
      tty,
      nextSeq: journal.nextSeq,
      resizePolicy,
    };
    const mayHold = (): boolean => this.#mayWrite(process);
    const start = (): void =>
      this.push.attachAt(process, Math.min(afterSeq, journal.nextSeq - 1), id, mayHold);
    return { answer, start };
  }

  #leave(id: string, { process, roster, attachment }: Foreign): void {
    this.#foreign.delete(id);
    this.push.detach(process);
    roster.leave(attachment);
  }
}

function check(role: AttachRole, access: Access): void {
  if (allowed[role].includes(access)) return;
  throw invalidRequest(
    `This connection is a ${role} of the process, which does not allow it; process/attach asks for another role.`,
  );
}
