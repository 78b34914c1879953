import { createHash } from 'node:crypto';

/** The params of `process/output`, `process/exited` and `process/closed`. */
export interface ProcessEvent {
  readonly processId: string;
  readonly seq: number;
  /** Base64, or the whole message that still has to be parsed for it. */
  readonly chunk?: string | Buffer;
  readonly exitCode?: number;
}

/** Bytes were lost, repeated, reordered or changed: the number measured beside it would be worthless. */
export class BrokenRow extends Error {
  override readonly name = 'BrokenRow';
}

/** Events may overtake each other by a few places, not by seconds. */
const LATE_EVENT_MS = 5_000;

/**
 * The events of one process, put in the order of their sequence numbers. It keeps the chunks as they came, so that as
 * little as possible happens while the clock runs; `output` decodes them afterwards.
 */
export class ProcessRun {
  /** Called with each chunk when it arrives. */
  onOutput: ((chunk: Buffer) => void) | undefined;
  /** `performance.now()` of the first output. */
  firstOutputAt: number | undefined;
  /** `performance.now()` of the moment when the closing event and all before it were there. */
  closedAt: number | undefined;
  exitCode: number | undefined;

  readonly #events: (string | Buffer | null | undefined)[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #received = 0;
  #highest = 0;
  #last: number | undefined;
  #lateTimer: NodeJS.Timeout | undefined;

  constructor() {
    // A run that nobody waits for must not end the benchmark when its connection goes.
    this.#closed.promise.catch(() => undefined);
  }

  /** Settles once the process is closed and no event is missing. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  accept(method: string, event: ProcessEvent): void {
    if (this.#events[event.seq] !== undefined) {
      this.fail(new BrokenRow(`event ${event.seq} came twice`));
      return;
    }
    this.#events[event.seq] = event.chunk ?? null;
    this.#received += 1;
    this.#highest = Math.max(this.#highest, event.seq);
    if (event.chunk !== undefined) {
      this.firstOutputAt ??= performance.now();
      if (this.onOutput !== undefined) this.onOutput(decode(event.chunk));
    } else if (method === 'process/exited') this.exitCode = event.exitCode;
    else if (method === 'process/closed') this.#expectNoMoreThan(event.seq);
    if (this.#received === this.#last) this.#finish();
  }

  fail(reason: Error): void {
    clearTimeout(this.#lateTimer);
    this.#closed.reject(reason);
  }

  /** The reassembled output's length and SHA-256. */
  output(): { readonly bytes: number; readonly sha256: string } {
    const hash = createHash('sha256');
    let bytes = 0;
    for (const chunk of this.#chunks()) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  }

  text(): string {
    return Buffer.concat([...this.#chunks()]).toString();
  }

  expectExitCode(expected: number): void {
    if (this.exitCode !== expected) throw new BrokenRow(`exit code ${this.exitCode}, expected ${expected}`);
  }

  expectOutput(expected: { readonly bytes: number; readonly sha256: string }): void {
    const actual = this.output();
    if (actual.bytes !== expected.bytes) {
      throw new BrokenRow(`${actual.bytes} bytes arrived of ${expected.bytes}`);
    }
    if (actual.sha256 !== expected.sha256) throw new BrokenRow('the bytes arrived changed or out of order');
  }

  *#chunks(): Generator<Buffer> {
    for (const chunk of this.#events) {
      if (chunk !== null && chunk !== undefined) yield decode(chunk);
    }
  }

  #expectNoMoreThan(seq: number): void {
    this.#last = seq;
    if (this.#highest > seq) this.fail(new BrokenRow(`event ${this.#highest} came after the closing one`));
    if (this.#received === seq) return;
    this.#lateTimer = setTimeout(() => {
      this.fail(new BrokenRow(`${seq - this.#received} of ${seq} events were lost`));
    }, LATE_EVENT_MS);
  }

  #finish(): void {
    clearTimeout(this.#lateTimer);
    this.closedAt = performance.now();
    this.#closed.resolve();
  }
}

function decode(chunk: string | Buffer): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk, 'base64');
  const message: { params: { chunk: string } } = JSON.parse(chunk.toString());
  return Buffer.from(message.params.chunk, 'base64');
}
