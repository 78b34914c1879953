import { type Duplex, Readable, Writable } from 'node:stream';
import { limits } from '../../protocol/limits.ts';
import type { HopChild, HopExit } from '../hop.ts';
import { within } from '../../support/within.ts';

/** Bytes before each piece: the number of the stream, three of nothing, and the length of the piece. */
const headerBytes = 8;
const errorStream = 2;

export interface MultiplexedOptions {
  /** How the program has ended; undefined while it runs. */
  readonly exit: () => Promise<HopExit | undefined>;
  /** Ends it where it does not when its input has ended. */
  readonly kill: () => Promise<void>;
}

/** A program whose streams an engine carries on one connection. */
export class MultiplexedChild implements HopChild {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<HopExit>;
  readonly #socket: Duplex;
  readonly #options: MultiplexedOptions;
  #ending: Promise<void> | undefined;

  constructor(socket: Duplex, options: MultiplexedOptions) {
    this.#socket = socket;
    this.#options = options;
    this.stdin = new Writable({
      write: (bytes: Buffer, _encoding, done) => {
        // Called when the connection has taken it, or fails.
        socket.write(bytes, done);
      },
      final: (done) => void socket.end(done),
      destroy: (error, done) => {
        socket.end();
        done(error);
      },
    });
    const wake = (): void => void socket.resume();
    this.stdout = new Readable({ read: wake });
    this.stderr = new Readable({ read: wake });
    for (const stream of [socket, this.stdin, this.stdout, this.stderr]) stream.on('error', () => {});
    const demultiplexer = new Demultiplexer((stream, bytes) => {
      const target = stream === errorStream ? this.stderr : this.stdout;
      if (!target.destroyed && !target.push(bytes)) socket.pause();
    });
    socket.on('data', (bytes: Buffer) => demultiplexer.take(bytes));
    const over = Promise.withResolvers<void>();
    socket.once('end', over.resolve);
    socket.once('close', over.resolve);
    this.exited = over.promise.then(async () => {
      this.stdout.push(null);
      this.stderr.push(null);
      this.stdin.destroy();
      return this.#exit();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.stdin.destroy();
    // What is not read any more must not keep the end from coming.
    this.stdout.destroy();
    this.stderr.destroy();
    this.#socket.resume();
    if (!(await within(limits.commandGraceMs, this.exited))) {
      await this.#options.kill();
      await within(limits.commandGraceMs, this.exited);
    }
    this.#socket.destroy();
    await this.exited;
  }

  /** The streams can end before the program does. */
  async #exit(): Promise<HopExit> {
    const deadline = Date.now() + 2 * limits.commandGraceMs;
    while (Date.now() < deadline) {
      const exit = await this.#options.exit().catch(() => gone);
      if (exit !== undefined) return exit;
      await new Promise((resolve) => void setTimeout(resolve, limits.endPollMs));
    }
    return gone;
  }
}

const gone: HopExit = { code: null, signal: null };

/** Takes the pieces apart, however they come. */
class Demultiplexer {
  readonly #onPiece: (stream: number, bytes: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);
  #stream = 0;
  #left = 0;

  constructor(onPiece: (stream: number, bytes: Buffer) => void) {
    this.#onPiece = onPiece;
  }

  take(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (rest.length > 0) {
      if (this.#left === 0) {
        if (rest.length < headerBytes) break;
        this.#stream = rest.readUInt8(0);
        this.#left = rest.readUInt32BE(4);
        rest = rest.subarray(headerBytes);
        continue;
      }
      const piece = rest.subarray(0, this.#left);
      this.#left -= piece.length;
      rest = rest.subarray(piece.length);
      this.#onPiece(this.#stream, piece);
    }
    this.#rest = rest;
  }
}
