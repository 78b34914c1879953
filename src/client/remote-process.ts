import { randomUUID } from 'node:crypto';
import type { AttachRole } from '../protocol/attach.ts';
import { RpcError, errorCodes } from '../protocol/errors.ts';
import type { Event, Result, WireParams } from '../protocol/methods.ts';
import type { OutputStream, TerminalSize } from '../protocol/process.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import type { Call } from './call.ts';
import { EventWindow, type ProcessEvent } from './event-window.ts';
import { OutputLostError } from './output-lost-error.ts';
import { type OutputChunk, OutputView } from './output-view.ts';

/** Bytes of one write; a longer input goes in several, in order. */
const writeBytes = 256 * 1024;
/** Bytes that are asked for at once when reading from the journal. */
const readBytes = 1024 * 1024;

export type Exit = Event<'process/exited'>;
/** Who is attached to a process, where other sessions are. */
export type ProcessAttachments = Event<'process/attachments'>;

export interface Close extends Event<'process/closed'> {
  /** All output has arrived: what came on each stream equals the totals that the executor counted (where it counts them). */
  readonly complete: boolean;
}

/** What became of a write: in the child's queue, or accepted and thrown away because nobody can read it, or refused. */
export type WriteOutcome = 'accepted' | 'discarded' | 'stdinClosed';

/** How a process is shared with clients of other sessions. */
export interface Sharing {
  readonly key: (role: AttachRole) => string;
  readonly join: (role: AttachRole, key: string | undefined, afterSeq: number) => Promise<void>;
}

/** A process of a remote executor. */
export class RemoteProcess {
  readonly id: string;
  /** Resolves when the program has ended. Output can still follow. */
  readonly exited: Promise<Exit>;
  /** Resolves when it has ended and all its output is here. */
  readonly closed: Promise<Close>;
  readonly #call: Call;
  readonly #window: EventWindow;
  readonly #exit = Promise.withResolvers<Exit>();
  readonly #close = Promise.withResolvers<Close>();
  readonly #received = new Map<OutputStream, number>();
  #nextWriteId = 1;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #incomplete: OutputLostError | undefined;
  readonly #writer = randomUUID();
  readonly #sharing: Sharing;
  /** Called when somebody attaches or leaves, when the process is handed over, and when its size changes. */
  onAttachments: ((change: ProcessAttachments) => void) | undefined;

  constructor(id: string, call: Call, windowBytes: number, sharing: Sharing) {
    this.id = id;
    this.#sharing = sharing;
    this.#call = call;
    this.#window = new EventWindow(windowBytes);
    this.exited = this.#exit.promise;
    this.closed = this.#close.promise;
    // A caller that never looks at them must not crash because the connection was lost.
    this.exited.catch(() => {});
    this.closed.catch(() => {});
  }

  /** Standard output, of a process without a PTY. */
  get stdout(): OutputView {
    return new OutputView(() => this.output(), 'stdout');
  }

  get stderr(): OutputView {
    return new OutputView(() => this.output(), 'stderr');
  }

  /** What the process writes to its PTY. */
  get pty(): OutputView {
    return new OutputView(() => this.output(), 'pty');
  }

  /** The output of all streams in the order in which the executor read it. */
  async *output(): AsyncGenerator<OutputChunk, void> {
    for (let cursor = 0; ;) {
      const event = this.#window.after(cursor);
      if (event === undefined) {
        await this.#window.more();
      } else if (event === 'older') {
        const read = await this.#read(cursor);
        yield* read.chunks;
        cursor = read.cursor;
      } else {
        if (event.kind === 'gap') throw new OutputLostError(event.gap);
        cursor = event.seq;
        if (event.kind === 'output') yield event;
        // The executor's totals have the last word: an end with something missing is no success.
        if (event.kind === 'closed' && this.#incomplete !== undefined) throw this.#incomplete;
        if (event.kind === 'closed') return;
      }
    }
  }

  /** Writes input, whole and in order with other writes. Resolves when all of it is queued for the process. */
  async write(data: Uint8Array | string): Promise<WriteOutcome> {
    const bytes =
      typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.length);
    const write = this.#lastWrite.then(() => this.#writeParts(bytes));
    this.#lastWrite = write.catch(() => {});
    return write;
  }

  /** Ends the input after everything written before. */
  async closeStdin(): Promise<void> {
    await this.#lastWrite;
    await this.#extension('process/closeStdin', { processId: this.id, writeId: this.#writeId() });
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#extension('process/resize', { processId: this.id, size });
  }

  /** `signal`: a name such as SIGTERM, or "interrupt". */
  async signal(signal: string, scope: 'group' | 'process' = 'group'): Promise<Result<'process/signal'>> {
    return this.#call('process/signal', { processId: this.id, signal, scope });
  }

  /** Ends it: at once, or with TERM and a grace first. Answers what is still alive. */
  async terminate(options: { graceMs?: number } = {}): Promise<Result<'process/terminate'>> {
    return this.#call('process/terminate', { processId: this.id, ...options });
  }

  /** Lets the holder attach to this process in that role, from a session of its own. To be given to nobody else. */
  attachKey(role: AttachRole): string {
    return this.#sharing.key(role);
  }

  /** Changes the role of this client, such as to become the owner. A client of another session needs the key for it. */
  async takeRole(role: AttachRole, key?: string): Promise<void> {
    await this.#sharing.join(role, key, this.lastSeq);
  }

  attachmentsChanged(change: ProcessAttachments): void {
    this.onAttachments?.(change);
  }

  /** The number of the last event that is here, with all before it. */
  get lastSeq(): number {
    return this.#window.nextSeq - 1;
  }

  /** Takes an event from the connection. */
  receive(event: ProcessEvent): void {
    for (const ordered of this.#window.add(event)) {
      if (ordered.kind === 'output') this.#count(ordered.stream, ordered.bytes.length);
      else if (ordered.kind === 'exited') this.#exit.resolve(ordered);
      else if (ordered.kind === 'closed') this.#ended(ordered);
    }
    if (this.#window.failure !== undefined) this.fail(this.#window.failure);
  }

  /** No further event will come: the connection is gone. */
  fail(error: Error): void {
    this.#window.fail(error);
    this.#exit.reject(error);
    this.#close.reject(error);
  }

  #ended(closed: Event<'process/closed'>): void {
    const missing = this.#missingBytes(closed);
    if (missing !== 0)
      this.#incomplete = new OutputLostError({ fromSeq: 1, toSeq: closed.seq, bytes: missing });
    this.#close.resolve({ ...closed, complete: missing === 0 });
    // Only where the exit was among what a limit dropped.
    this.#exit.reject(
      this.#incomplete ??
        new ConnectionError('protocol', 'The executor did not tell the exit of the process.'),
    );
  }

  async #read(afterSeq: number): Promise<{ chunks: OutputChunk[]; cursor: number }> {
    const { chunks, gap, nextSeq } = await this.#call('process/read', {
      processId: this.id,
      afterSeq,
      maxBytes: readBytes,
    });
    if (gap !== undefined) throw new OutputLostError(gap);
    // One missing number may be the exit event; more are output that an executor without a journal has dropped.
    const missing = (chunks[0]?.seq ?? afterSeq + 1) - afterSeq - 1;
    if (missing > 1)
      throw new OutputLostError({ fromSeq: afterSeq + 1, toSeq: afterSeq + missing, bytes: 0 });
    return { chunks: chunks.map(({ stream, chunk }) => ({ stream, bytes: chunk })), cursor: nextSeq - 1 };
  }

  async #writeParts(bytes: Buffer): Promise<WriteOutcome> {
    let outcome: WriteOutcome = 'accepted';
    for (let start = 0; start < bytes.length && outcome === 'accepted'; start += writeBytes) {
      outcome = await this.#writeOnce(bytes.subarray(start, start + writeBytes));
    }
    return outcome;
  }

  async #writeOnce(bytes: Buffer): Promise<WriteOutcome> {
    const params = {
      processId: this.id,
      chunk: bytes.toString('base64'),
      writeId: this.#writeId(),
    };
    const { status, discarded } = await this.#call('process/write', params);
    switch (status) {
      case 'accepted':
        return discarded === true ? 'discarded' : 'accepted';
      case 'stdinClosed':
        return 'stdinClosed';
      case 'starting':
      case 'unknownProcess':
        throw new RpcError(
          'notFound',
          'The executor does not know the process any more; it has closed some time ago.',
        );
    }
  }

  async #extension<M extends 'process/closeStdin' | 'process/resize'>(
    method: M,
    params: WireParams<M>,
  ): Promise<void> {
    try {
      await this.#call(method, params);
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== errorCodes.methodNotFound) throw error;
      throw new ConnectionError('unsupported', `This executor cannot do ${method}.`, { cause: error });
    }
  }

  #count(stream: OutputStream, bytes: number): void {
    this.#received.set(stream, (this.#received.get(stream) ?? 0) + bytes);
  }

  #missingBytes(closed: Event<'process/closed'>): number {
    const totals = Object.entries(closed.bytes ?? {}) as [OutputStream, number][];
    return totals.reduce(
      (sum, [stream, total]) => sum + Math.abs(total - (this.#received.get(stream) ?? 0)),
      0,
    );
  }

  /** Not that of another writer of the process: the executor would take the write for a repetition. */
  #writeId(): string {
    return `${this.#writer}.${this.#nextWriteId++}`;
  }
}
