import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type {
  EndReason,
  OnDisconnect,
  OutputStream,
  ProcessStartParams,
  ProcessState,
  ResizePolicy,
  Survivor,
  TerminalSize,
} from '../protocol/process.ts';
import { DenialSigns } from '../sandbox/denial-signs.ts';
import type { Confined } from '../sandbox/launch.ts';
import { type Child, startChild } from './child.ts';
import type { LaunchSpec } from './command.ts';
import type { ChildExit } from './exit-watch.ts';
import { Input, type WriteOutcome } from './input.ts';
import { Journal, type JournalBudget } from './journal.ts';
import { killMember, sessionMembers } from './terminal-session.ts';

/** Rounds of KILL for members of the session that appear while it is being ended. */
const killRounds = 5;
/** Milliseconds between them. */
const killRoundMs = 20;

/** How a program ended. */
export interface Ending {
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
  readonly endReason: EndReason;
  readonly usage: ChildExit['usage'] | null;
  /** Its sandbox has probably stopped it. */
  readonly sandboxDenied: boolean;
}

export interface Closing {
  /** What the process wrote on each of its streams. */
  readonly bytes: Partial<Record<OutputStream, number>>;
  readonly droppedBytes: number;
  /** false: it was closed while a descendant still held a stream. */
  readonly streamsEnded: boolean;
}

/** One process from its start to its close: starting, running, exited (the program has ended), closed (its streams have, too). */
export class ManagedProcess {
  readonly id: string;
  readonly tty: boolean;
  readonly startedAt = new Date();
  readonly onDisconnect: OnDisconnect;
  readonly resizePolicy: ResizePolicy;
  readonly journal: Journal;
  /** Resolves when the process is closed or its start has failed. */
  readonly closed: Promise<void>;
  /** Milliseconds between TERM and KILL that its start asked for. */
  readonly stopGraceMs: number;
  readonly #bytes: Partial<Record<OutputStream, number>>;
  readonly #gone = Promise.withResolvers<void>();
  readonly #exited = Promise.withResolvers<void>();
  #state: ProcessState = 'starting';
  #started: Promise<void> = Promise.resolve();
  #child: Child | undefined;
  #input: Input | undefined;
  #endReason: EndReason | undefined;
  #ending: Ending | undefined;
  #closing: Closing | undefined;
  #streamsOpen = true;
  #detached = false;
  #timeout: NodeJS.Timeout | undefined;
  #size: TerminalSize | null;
  #diskWatch: Disposable | undefined;
  #denialSigns: DenialSigns | undefined;

  constructor(params: ProcessStartParams, budget: JournalBudget) {
    this.id = params.processId;
    this.tty = params.tty;
    this.onDisconnect = params.onDisconnect;
    this.resizePolicy = params.resizePolicy;
    this.stopGraceMs = params.stopGraceMs;
    this.#size = params.size ?? null;
    this.#bytes = params.tty ? { pty: 0 } : { stdout: 0, stderr: 0 };
    this.journal = new Journal(budget);
    this.closed = this.#gone.promise;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** What confines it; undefined: nothing. */
  get confined(): Confined | undefined {
    return this.#child?.confined;
  }

  /** Once it has exited. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Once it is closed. */
  get closing(): Closing | undefined {
    return this.#closing;
  }

  /** Starts the program. Rejects with the reason when it does not run; the process is then of no further use. */
  async start(spec: LaunchSpec, timeoutMs: number | null | undefined): Promise<void> {
    const launched = this.#launch(spec);
    this.#started = launched.catch(() => {});
    try {
      await launched;
    } catch (error) {
      this.#state = 'closed';
      this.journal.dispose();
      this.#gone.resolve();
      throw error;
    }
    if (timeoutMs == null) return;
    this.#timeout = setTimeout(() => void this.terminate('timeout', this.stopGraceMs), timeoutMs);
  }

  /** Resolves when the start has ended, one way or the other, so that calls that follow it closely find a process. */
  async settled(): Promise<void> {
    await this.#started;
  }

  async write(bytes: Uint8Array, writeId: string | undefined): Promise<WriteOutcome> {
    if (this.#endReason === 'terminated') {
      throw new RpcError('internalError', 'The process was terminated: its input is gone.');
    }
    return (await this.#input?.write(bytes, writeId)) ?? 'noInput';
  }

  async closeInput(writeId?: string): Promise<WriteOutcome> {
    return (await this.#input?.end(writeId)) ?? 'noInput';
  }

  /** The terminal's size, where one was asked for. */
  get size(): TerminalSize | null {
    return this.#size;
  }

  resize(rows: number, cols: number): void {
    if (!this.tty) throw invalidRequest('The process has no terminal: it was started with tty false.');
    this.#size = { rows, cols };
    this.#child?.resize(rows, cols);
  }

  /** Answers whether there was a running process to send it to. */
  signal(signal: NodeJS.Signals, scope: 'group' | 'process'): boolean {
    return this.#state === 'running' && this.#child !== undefined && this.#child.kill(signal, scope);
  }

  /**
   * Ends it, and everything in its terminal session: TERM and a grace if there is one, then KILL. Answers when the program is gone and
   * its output is in the journal, with the processes that KILL has not ended.
   */
  async terminate(reason: EndReason, graceMs: number): Promise<Survivor[]> {
    clearTimeout(this.#timeout);
    if (this.#state === 'closed') return [];
    this.#endReason ??= reason;
    const child = this.#child;
    if (child === undefined) return [];
    if (graceMs > 0 && this.#state === 'running') {
      child.kill('SIGTERM', 'group');
      await within(graceMs, this.#exited.promise);
    }
    child.kill('SIGKILL', 'group');
    const survivors = await killSession(child.pid);
    await within(limits.killConfirmMs, this.#exited.promise);
    this.#detach();
    return survivors;
  }

  /** Forgets its output. Only when it is closed. */
  dispose(): void {
    this.journal.dispose();
  }

  async #launch(spec: LaunchSpec): Promise<void> {
    // The child's events come in later turns of the event loop, when everything below has run.
    const child = await startChild(spec, {
      onOutput: (stream, bytes) => this.#output(stream, bytes),
      onExit: (exit) => this.#exit(exit),
      onStreamsEnded: () => this.#streamsEnded(),
    });
    if (this.#endReason !== undefined) {
      child.discard();
      throw invalidRequest(`process ${this.id} start was cancelled`);
    }
    this.#child = child;
    if (child.confined !== undefined) this.#denialSigns = new DenialSigns();
    this.#input = new Input(child);
    this.#state = 'running';
    this.#diskWatch = this.journal.subscribe(() => child.pauseOutput(this.journal.congested));
  }

  #output(stream: OutputStream, bytes: Buffer): void {
    this.#bytes[stream] = (this.#bytes[stream] ?? 0) + bytes.length;
    this.journal.append(stream, bytes);
    this.#denialSigns?.add(bytes);
  }

  #exit(exit: ChildExit | null): void {
    clearTimeout(this.#timeout);
    this.#child?.readAvailable();
    const endReason =
      this.#endReason ?? (exit === null ? 'unknown' : exit.signal === null ? 'exited' : 'signaled');
    this.#ending = {
      ...readCode(exit),
      endReason,
      usage: exit?.usage ?? null,
      sandboxDenied: exit !== null && (this.#denialSigns?.denied(exit) ?? false),
    };
    this.#state = 'exited';
    this.journal.append('exited');
    this.#exited.resolve();
    this.#closeWhenDone();
  }

  #streamsEnded(): void {
    this.#streamsOpen = false;
    this.#closeWhenDone();
  }

  #detach(): void {
    if (!this.#streamsOpen) return;
    this.#child?.readAvailable();
    this.#detached = this.#streamsOpen;
    this.#child?.detach();
  }

  #closeWhenDone(): void {
    if (this.#state !== 'exited' || this.#streamsOpen || this.#closing !== undefined) return;
    const released = this.#child?.reap();
    if (released === undefined) this.#close();
    // What is told of the end should find nothing of a sandbox on disk any more.
    else void within(limits.killConfirmMs, released).then(() => this.#close());
  }

  #close(): void {
    this.#state = 'closed';
    this.#closing = {
      bytes: { ...this.#bytes },
      droppedBytes: this.journal.droppedBytes,
      streamsEnded: !this.#detached,
    };
    this.#diskWatch?.[Symbol.dispose]();
    this.journal.append('closed');
    this.journal.end();
    this.#gone.resolve();
  }
}

function readCode(exit: ChildExit | null): { exitCode: number; signal: NodeJS.Signals | null } {
  if (exit === null) return { exitCode: -1, signal: null };
  return { exitCode: exit.code, signal: exit.signal };
}

async function killSession(leader: number): Promise<Survivor[]> {
  let members = await sessionMembers(leader);
  for (let round = 0; round < killRounds && members.length > 0; round++) {
    for (const member of members) killMember(member.pid);
    await new Promise((resolve) => void setTimeout(resolve, killRoundMs));
    members = await sessionMembers(leader);
  }
  return members;
}

async function within(milliseconds: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([promise, new Promise((resolve) => void (timer = setTimeout(resolve, milliseconds)))]);
  clearTimeout(timer);
}
