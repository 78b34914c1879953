import { type Hash, createHash } from 'node:crypto';
import type { WireEvent } from '../../src/protocol/methods.ts';
import { within } from './faults-proc.ts';

export interface GapAt extends WireEvent<'process/gap'> {
  /** Bytes of output that came before it. */
  readonly at: number;
}

/** The events of one process, as they came. Throws at once when one is missing, comes twice or out of order. */
export class ProcessLog {
  readonly processId: string;
  readonly gaps: GapAt[] = [];
  /** Bytes of all streams. */
  bytes = 0;
  lastSeq = 0;
  exit: WireEvent<'process/exited'> | undefined;
  readonly #onOutput: ((bytes: number) => void) | undefined;
  readonly #hash: Hash = createHash('sha256');
  readonly #chunks: Buffer[] = [];
  readonly #closed = Promise.withResolvers<WireEvent<'process/closed'>>();
  readonly #exited = Promise.withResolvers<WireEvent<'process/exited'>>();

  constructor(processId: string, onOutput: ((bytes: number) => void) | undefined) {
    this.processId = processId;
    this.#onOutput = onOutput;
    this.#closed.promise.catch(() => {});
    this.#exited.promise.catch(() => {});
  }

  /** The last event, when it has come. */
  async closed(milliseconds = 60_000): Promise<WireEvent<'process/closed'>> {
    return within(
      milliseconds,
      `process/closed of ${this.processId} after ${this.bytes} bytes`,
      this.#closed.promise,
    );
  }

  async ended(milliseconds = 60_000): Promise<WireEvent<'process/exited'>> {
    return within(milliseconds, `process/exited of ${this.processId}`, this.#exited.promise);
  }

  /** Of all that has come. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** All that has come. */
  content(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  output({ seq, chunk }: WireEvent<'process/output'>): void {
    this.#follow(seq);
    const bytes = Buffer.from(chunk, 'base64');
    this.#hash.update(bytes);
    this.#chunks.push(bytes);
    this.bytes += bytes.length;
    this.#onOutput?.(this.bytes);
  }

  exited(event: WireEvent<'process/exited'>): void {
    this.#follow(event.seq);
    this.exit = event;
    this.#exited.resolve(event);
  }

  gap(event: WireEvent<'process/gap'>): void {
    this.#follow(event.fromSeq);
    this.lastSeq = event.toSeq;
    this.gaps.push({ ...event, at: this.bytes });
  }

  end(event: WireEvent<'process/closed'>): void {
    this.#follow(event.seq);
    this.#closed.resolve(event);
  }

  lose(error: Error): void {
    this.#closed.reject(error);
    this.#exited.reject(error);
  }

  #follow(seq: number): void {
    if (seq !== this.lastSeq + 1) {
      this.lose(new Error(`${this.processId}: event ${seq} came after event ${this.lastSeq}`));
    }
    this.lastSeq = seq;
  }
}
