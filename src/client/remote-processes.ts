import { createHmac, randomUUID } from 'node:crypto';
import type { AttachRole } from '../protocol/attach.ts';
import { RpcError } from '../protocol/errors.ts';
import type { WireParams } from '../protocol/methods.ts';
import type { Resume } from '../protocol/session.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { toError } from '../support/to-error.ts';
import type { Call } from './call.ts';
import type { Greeting, Link } from './link.ts';
import type { Receivers } from './notifications.ts';
import { catchUp } from './catch-up.ts';
import { CompletionUnknownError } from './completion-unknown-error.ts';
import { RemoteProcess } from './remote-process.ts';

export interface AttachOptions {
  /** The session of the process, and its id there. */
  readonly sessionId: string;
  readonly processId: string;
  readonly role: AttachRole;
  /** From `attachKey` of the session's own client, for this role. */
  readonly key: string;
}

export interface RemoteProcessesOptions {
  readonly windowBytes: number;
  readonly greeting: () => Greeting;
  /** Named by the errors of processes that are lost. */
  readonly environmentId?: string | undefined;
}

interface Entry {
  readonly process: RemoteProcess;
  /** Of a process of another session: what attaches to it again on the next connection. */
  attach: AttachOptions | undefined;
  /** Its start has been answered. */
  started: boolean;
}

/** The processes of one client that have not ended, by the ids under which the connection knows them. */
export class RemoteProcesses {
  readonly receivers: Pick<Receivers, Extract<keyof Receivers, `process/${string}`>>;
  readonly #call: Call;
  readonly #options: RemoteProcessesOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(call: Call, options: RemoteProcessesOptions) {
    this.#call = call;
    this.#options = options;
    const find = (id: string): RemoteProcess | undefined => this.#entries.get(id)?.process;
    this.receivers = {
      'process/output': ({ processId, seq, stream, chunk }) =>
        find(processId)?.receive({ kind: 'output', seq, stream, bytes: chunk }),
      'process/exited': (event) => find(event.processId)?.receive({ kind: 'exited', ...event }),
      'process/closed': (event) => find(event.processId)?.receive({ kind: 'closed', ...event }),
      'process/gap': (gap) => find(gap.processId)?.receive({ kind: 'gap', seq: gap.toSeq, gap }),
      'process/attachments': (event) => find(event.processId)?.attachmentsChanged(event),
    };
  }

  async start(params: WireParams<'process/start'>): Promise<RemoteProcess> {
    return this.#open(params.processId, undefined, async () => this.#call('process/start', params));
  }

  async attach(options: AttachOptions): Promise<RemoteProcess> {
    const localId = randomUUID();
    return this.#open(localId, options, async () =>
      this.#call('process/attach', { ...options, localId, afterSeq: 0 }),
    );
  }

  /** Those of this session. */
  own(): RemoteProcess[] {
    return [...this.#entries.values()]
      .filter(({ attach, started }) => attach === undefined && started)
      .map(({ process }) => process);
  }

  /** How far each process of the session is here. */
  cursors(): Resume['cursors'] {
    return [...this.#entries]
      .filter(([, { attach }]) => attach === undefined)
      .map(([processId, { process }]) => ({ processId, afterSeq: process.lastSeq }));
  }

  /** A new connection has the session: attaches to processes of others again, and gives up what is not there any more. */
  async resumed(link: Link, unknownProcesses: readonly string[], signal: AbortSignal): Promise<void> {
    for (const id of unknownProcesses) {
      const entry = this.#entries.get(id);
      // A start that has no answer yet is repeated.
      if (entry?.started)
        this.#giveUp(
          id,
          entry,
          'The executor no longer has the process: it closed while there was no connection.',
        );
    }
    const sendsMissed = this.#options.greeting().sessionSecret !== undefined;
    for (const [localId, entry] of this.#entries) {
      if (!sendsMissed && entry.started) await this.#catchUp(link, localId, entry, signal);
      if (entry.attach === undefined || !entry.started) continue;
      try {
        const params = { ...entry.attach, localId, afterSeq: entry.process.lastSeq };
        await link.peer.call('process/attach', params, { signal });
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        this.#giveUp(localId, entry, `The process cannot be attached to again: ${error.message}`);
      }
    }
  }

  /** No further event will come. */
  fail(error: Error): void {
    for (const { process } of this.#entries.values()) process.fail(error);
    this.#entries.clear();
  }

  async #open(
    id: string,
    attach: AttachOptions | undefined,
    open: () => Promise<unknown>,
  ): Promise<RemoteProcess> {
    const entry: Entry = { process: this.#make(id, attach), started: false, attach };
    const { process } = entry;
    const forget = (): void => {
      if (this.#entries.get(id) === entry) this.#entries.delete(id);
    };
    const before = this.#entries.get(id);
    // Before the request: its first events may come before its answer.
    this.#entries.set(id, entry);
    try {
      await open();
    } catch (error) {
      forget();
      // Another process has this id, which is why the start was refused.
      if (before !== undefined) this.#entries.set(id, before);
      // It may run all the same, and nobody would ever end it.
      if (error instanceof CompletionUnknownError && attach === undefined)
        this.#call('process/terminate', { processId: id }).catch(() => {});
      throw error;
    }
    entry.started = true;
    process.closed.then(forget, forget);
    return process;
  }

  async #catchUp(link: Link, id: string, entry: Entry, signal: AbortSignal): Promise<void> {
    try {
      await catchUp(link, entry.process, id, signal);
    } catch (error) {
      if (error instanceof ConnectionError || signal.aborted) throw error;
      this.#entries.delete(id);
      entry.process.fail(
        error instanceof RpcError
          ? this.#expired('The executor no longer has the process.', error)
          : toError(error),
      );
      // Nobody will look after it any more.
      link.peer.call('process/terminate', { processId: id }).catch(() => {});
    }
  }

  #giveUp(id: string, { process }: Entry, message: string): void {
    this.#entries.delete(id);
    process.fail(this.#expired(message));
  }

  #expired(message: string, cause?: Error): ConnectionError {
    return new ConnectionError('expired', message, { cause }).nameEnvironment(this.#options.environmentId);
  }

  #make(id: string, attach: AttachOptions | undefined): RemoteProcess {
    return new RemoteProcess(id, this.#call, this.#options.windowBytes, {
      key: (role) => {
        const { sessionSecret } = this.#options.greeting();
        if (attach !== undefined || sessionSecret === undefined)
          throw new ConnectionError('unsupported', 'Only the client of its session can share a process.');
        return createHmac('sha256', sessionSecret).update(`attach\n${role}\n${id}`).digest('base64url');
      },
      join: async (role, key, afterSeq) => {
        const own = { processId: id, role, afterSeq };
        const next = attach && { ...attach, role, key: key ?? attach.key };
        await this.#call('process/attach', next === undefined ? own : { ...next, afterSeq, localId: id });
        const entry = this.#entries.get(id);
        if (entry !== undefined) entry.attach = next;
      },
    });
  }
}
