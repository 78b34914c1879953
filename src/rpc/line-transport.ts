import { isUtf8 } from 'node:buffer';
import type { Readable, Writable } from 'node:stream';
import { limitOption } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import { giveBack } from '../support/give-back.ts';
import type { CloseReason, Transport, TransportEvents } from './transport.ts';

const newline = 0x0a;

/** One message a line over two byte streams: standard input and output of this process, or those of a child. */
export class LineTransport implements Transport {
  readonly kind = 'stdio';
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #messageBytes: number;
  #events: TransportEvents | undefined;
  /** The parts of the line that has not ended yet. */
  #parts: Buffer[] = [];
  #partBytes = 0;
  #receivedBytes = 0;
  #closed: CloseReason | undefined;

  constructor(input: Readable, output: Writable, messageBytes: number = limits.messageBytes) {
    this.#input = input;
    this.#output = output;
    this.#messageBytes = messageBytes;
    // A stream that fails before it is attached must not end the process; its close is seen below.
    input.on('error', () => {});
    output.on('error', () => {});
  }

  get unsentBytes(): number {
    return this.#output.writableLength;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  attach(events: TransportEvents): void {
    this.#events = events;
    const closed = this.#closed;
    if (closed !== undefined) return queueMicrotask(() => events.onClose(closed));
    const lost = (message: string) => () => this.#end({ kind: 'lost', message });
    this.#input.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#input.once('end', () => this.#inputEnded());
    this.#input.once('close', () => setImmediate(lost('the other side has closed its output')));
    this.#output.on('drain', () => events.onDrain());
    this.#output.once('close', lost('the other side no longer reads'));
    this.#output.once('error', lost('the other side no longer reads'));
    if (this.#input.readableEnded || this.#input.destroyed)
      queueMicrotask(lost('the other side has closed its output'));
  }

  send(message: string | Buffer): void {
    if (this.#closed !== undefined) return;
    if (typeof message === 'string') return void this.#output.write(`${message}\n`);
    this.#output.cork();
    this.#output.write(message);
    this.#output.write('\n', () => giveBack(message));
    this.#output.uncork();
  }

  pause(): void {
    this.#input.pause();
  }

  resume(): void {
    this.#input.resume();
  }

  close(reason: CloseReason): void {
    if (this.#closed !== undefined) return;
    this.#output.end();
    // What a peer that does not read has not taken by then would keep this process alive.
    const timer = setTimeout(() => this.#output.destroy(), limits.closeTimeoutMs);
    timer.unref();
    this.#output.once('close', () => clearTimeout(timer));
    this.#end(reason);
  }

  #inputEnded(): void {
    // A last line without its newline is a message too.
    if (this.#partBytes > 0) this.#line(Buffer.concat(this.#parts));
    // Later, so that it can be answered.
    setImmediate(() => this.#end({ kind: 'normal', message: 'the other side has closed its output' }));
  }

  #take(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const rest = chunk.subarray(start, end);
      const line = this.#partBytes === 0 ? rest : Buffer.concat([...this.#parts, rest]);
      this.#parts = [];
      this.#partBytes = 0;
      start = end + 1;
      this.#line(line);
      if (this.#closed !== undefined) return;
    }
    if (start === chunk.length) return;
    this.#parts.push(chunk.subarray(start));
    this.#partBytes += chunk.length - start;
    if (this.#partBytes > this.#messageBytes) this.#tooLong();
  }

  #line(line: Buffer): void {
    if (line.length > this.#messageBytes) return this.#tooLong();
    if (!isUtf8(line)) return this.#events?.onGarbage('is not UTF-8');
    const text = line.toString();
    if (text.trim() !== '') this.#events?.onMessage(text);
  }

  #tooLong(): void {
    const most = this.#messageBytes;
    this.close({
      kind: 'tooBig',
      message: `a line is longer than ${most} bytes ${limitOption('messageBytes')}`,
    });
  }

  #end(reason: CloseReason): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#parts = [];
    this.#input.destroy();
    this.#events?.onClose(reason);
  }
}
