import type { Event } from '../../src/protocol/methods.ts';
import type { Gap, OutputStream } from '../../src/protocol/process.ts';

export interface Chunk {
  readonly seq: number;
  readonly stream: OutputStream;
  readonly bytes: Uint8Array;
}

/** What one connection was told of one process, and what was wrong with it. */
export class ProcessView {
  readonly id: string;
  readonly chunks: Chunk[] = [];
  readonly gaps: Gap[] = [];
  readonly problems: string[] = [];
  exited: Event<'process/exited'> | undefined;
  closed: Event<'process/closed'> | undefined;
  /** The start was answered on this connection, so that every event of the process comes here. */
  started = false;
  #lastSeq: number | undefined;

  constructor(id: string) {
    this.id = id;
  }

  bytes(stream: OutputStream): Buffer {
    return Buffer.concat(this.chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes));
  }

  text(stream: OutputStream): string {
    return this.bytes(stream).toString();
  }

  get firstSeq(): number | undefined {
    return this.chunks[0]?.seq ?? this.exited?.seq ?? this.closed?.seq;
  }

  output({ seq, stream, chunk }: Event<'process/output'>): void {
    this.#next(seq, seq, 'process/output');
    if (chunk.length === 0) this.problems.push(`output ${seq} is empty`);
    this.chunks.push({ seq, stream, bytes: chunk });
  }

  exit(event: Event<'process/exited'>): void {
    this.#next(event.seq, event.seq, 'process/exited');
    if (this.exited !== undefined) this.problems.push('process/exited came twice');
    this.exited = event;
  }

  gap(event: Event<'process/gap'>): void {
    this.#next(event.fromSeq, event.toSeq, 'process/gap');
    this.gaps.push(event);
  }

  close(event: Event<'process/closed'>): void {
    this.#next(event.seq, event.seq, 'process/closed');
    if (this.exited === undefined && this.started && this.gaps.length === 0)
      this.problems.push('process/closed came before process/exited');
    this.closed = event;
    if (this.started) this.#checkTotals(event);
  }

  /** Sequence numbers are consecutive in the order of arrival, and nothing follows `closed`. */
  #next(from: number, to: number, method: string): void {
    const expected = this.#lastSeq === undefined ? (this.started ? 1 : from) : this.#lastSeq + 1;
    if (from !== expected) this.problems.push(`${method} has seq ${from}, expected ${expected}`);
    if (this.closed !== undefined) this.problems.push(`${method} came after process/closed`);
    this.#lastSeq = to;
  }

  /** Bytes that were written and did not come. */
  get missing(): number {
    const totals = Object.entries(this.closed?.bytes ?? {}) as [OutputStream, number][];
    return totals.reduce((sum, [stream, total]) => sum + total - this.bytes(stream).length, 0);
  }

  #checkTotals(event: Event<'process/closed'>): void {
    if (event.bytes === undefined) this.problems.push('process/closed has no totals');
    const { missing } = this;
    const told = this.gaps.reduce((sum, gap) => sum + gap.bytes, 0);
    // Near its ends a gap may name bytes that were delivered.
    if (missing > told || told > 0 !== missing > 0)
      this.problems.push(`${missing} bytes are missing, and gaps name ${told}`);
    if ((event.droppedBytes ?? -1) < told) this.problems.push('droppedBytes is less than the gaps name');
  }
}
