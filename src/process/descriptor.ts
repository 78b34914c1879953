import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { limits } from '../protocol/limits.ts';
import { native } from '../support/native.ts';

const { EAGAIN } = constants.errno;
const readable = 1;
const writable = 2;
/** Reads of one event-loop turn, after which other descriptors get theirs. */
const readsPerTurn = 4;
/** More than a pipe or a PTY holds, so that only an endless writer is cut short. */
const readsAtOnce = 64;

/** Milliseconds between two looks at a terminal that nobody has open. */
const hangUpMs = 50;

/** Where reads land before they are copied to their right size; used only within one turn. */
const scratch = Buffer.allocUnsafeSlow(limits.chunkBytes);

interface Waiting {
  readonly bytes: Uint8Array;
  /** Bytes of it that the kernel has. */
  done: number;
}

/**
 * One end of a pipe or PTY, owned: output comes as it is written, input is queued and written as the child reads. Ends when the
 * other side is gone.
 */
export class Descriptor {
  readonly #fd: number;
  readonly #poll: object;
  readonly #onData: ((bytes: Buffer) => void) | undefined;
  readonly #onEnd: () => void;
  #reading: boolean;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #onRoom: (() => void)[] = [];
  #endAfterQueue = false;
  #inputBroken = false;
  readonly #isTerminal: boolean;
  /** Nobody has the terminal open. A program that lives can open it again. */
  #hungUp: NodeJS.Timeout | undefined;
  #endExpected = false;
  #ended = false;
  #closed = false;

  /** `onData` undefined: nothing is read. `onEnd` is called once, when nothing more can come or the descriptor was destroyed. */
  constructor(
    fd: number,
    onData: ((bytes: Buffer) => void) | undefined,
    onEnd: () => void,
    isTerminal = false,
  ) {
    this.#fd = fd;
    this.#isTerminal = isTerminal;
    this.#onData = onData;
    this.#onEnd = onEnd;
    this.#reading = onData !== undefined;
    this.#poll = native().pollOpen(fd, (events) => this.#ready(events));
    this.#watch();
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** The child has closed its end, or this side did: what is written is discarded. */
  get inputBroken(): boolean {
    return this.#inputBroken || this.#closed;
  }

  pauseReading(paused: boolean): void {
    if (this.#onData === undefined || this.#reading === !paused) return;
    this.#reading = !paused;
    this.#watch();
  }

  write(bytes: Uint8Array): void {
    if (this.inputBroken || this.#endAfterQueue || bytes.length === 0) return;
    this.#queue.push({ bytes, done: 0 });
    this.#queuedBytes += bytes.length;
    if (this.#queue.length === 1) this.#flush();
  }

  /** Resolves when fewer than `bytes` are queued, or the input is broken. */
  async room(bytes: number): Promise<void> {
    while (this.#queuedBytes >= bytes && !this.inputBroken) {
      await new Promise<void>((resolve) => void this.#onRoom.push(resolve));
    }
  }

  /** Closes the descriptor when everything queued is written. */
  endInput(): void {
    this.#endAfterQueue = true;
    if (this.#queue.length === 0) this.destroy();
  }

  /** For a PTY: what the kernel's line discipline takes as end of file. */
  eofByte(): number {
    return native().eofByte(this.#fd);
  }

  resize(rows: number, cols: number): void {
    if (!this.#closed) native().resize(this.#fd, rows, cols);
  }

  /** Takes what is there already, without waiting for more. */
  readAvailable(): void {
    for (let turn = 0; turn < readsAtOnce && !this.#closed && this.#onData !== undefined; turn++) {
      if (!this.#readOnce()) return;
    }
  }

  /** For a terminal: its program has ended, so a hang-up is the end. */
  expectEnd(): void {
    this.#endExpected = true;
    if (this.#hungUp !== undefined) this.#hangUp();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#hungUp);
    native().pollClose(this.#poll);
    closeSync(this.#fd);
    this.#dropQueue();
    if (!this.#ended) this.#onEnd();
  }

  /**
   * Closing a terminal sends a hang-up to the program that it controls, which may only have closed its streams: so it stays open, and as
   * the kernel would report it as readable for ever, it is looked at now and then instead.
   */
  #hangUp(): void {
    clearTimeout(this.#hungUp);
    if (this.#ended || this.#closed) return;
    native().pollSet(this.#poll, 0);
    this.#inputBroken = true;
    this.#dropQueue();
    if (this.#endExpected) {
      this.#ended = true;
      this.#onEnd();
      return;
    }
    this.#hungUp = setTimeout(() => {
      this.#inputBroken = false;
      this.#readTurn();
      if (!this.#inputBroken) this.#watch();
    }, hangUpMs);
  }

  #watch(): void {
    if (this.#closed) return;
    native().pollSet(this.#poll, (this.#reading ? readable : 0) | (this.#queue.length > 0 ? writable : 0));
  }

  #ready(events: number): void {
    if (events < 0 || (events & writable) !== 0) this.#flush();
    if (this.#reading && !this.#closed && (events < 0 || (events & readable) !== 0)) this.#readTurn();
  }

  #readTurn(): void {
    for (let turn = 0; turn < readsPerTurn && this.#reading && !this.#closed; turn++) {
      if (!this.#readOnce()) return;
    }
  }

  /** Answers whether there may be more. */
  #readOnce(): boolean {
    const count = native().read(this.#fd, scratch, 0, scratch.length);
    if (count === -EAGAIN) return false;
    if (count <= 0) {
      // A PTY answers EIO while no process has it open.
      if (this.#isTerminal) this.#hangUp();
      else this.destroy();
      return false;
    }
    clearTimeout(this.#hungUp);
    this.#hungUp = undefined;
    this.#onData?.(Buffer.from(scratch.subarray(0, count)));
    return true;
  }

  #flush(): void {
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      const count = native().write(this.#fd, head.bytes, head.done, head.bytes.length - head.done);
      if (count === -EAGAIN) break;
      if (count < 0) {
        this.#inputBroken = true;
        this.#dropQueue();
        break;
      }
      head.done += count;
      this.#queuedBytes -= count;
      if (head.done === head.bytes.length) this.#queue.shift();
    }
    this.#watch();
    this.#wake();
    if (
      this.#queue.length === 0 &&
      (this.#endAfterQueue || (this.#inputBroken && this.#onData === undefined))
    )
      this.destroy();
  }

  #dropQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#onRoom;
    this.#onRoom = [];
    for (const resolve of waiting) resolve();
  }
}
