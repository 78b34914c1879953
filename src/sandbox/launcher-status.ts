import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { native } from '../support/native.ts';

const { EAGAIN, EINTR } = constants.errno;
const readable = 1;
/** Bytes; a message names at most one path. */
const messageBytes = 8192;

export type LaunchOutcome =
  /** `pid` as this process sees it: the command leads the group and the session of that id. */
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'failed'; readonly stage: string; readonly errno: number; readonly detail: string }
  /** What was to start the launcher ended before it had anything to say. */
  | { readonly kind: 'lost' };

/** How the command ended: a wait status as the kernel gives it, with what it used. */
export interface LaunchExit {
  readonly waitStatus: number;
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  /** Operations that the launcher itself has refused. */
  readonly denials: number;
}

/**
 * What the launcher says, beginning to end. The command's process stays a zombie until this is closed, so that its pid and its group's id
 * cannot belong to somebody else before.
 */
export class LauncherStatus implements Disposable {
  readonly outcome: Promise<LaunchOutcome>;
  readonly #fd: number;
  readonly #poll: object;
  readonly #decide: (outcome: LaunchOutcome) => void;
  #pid = 0;
  readonly #exit = Promise.withResolvers<LaunchExit | null>();
  #ended = false;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
    const outcome = Promise.withResolvers<LaunchOutcome>();
    this.outcome = outcome.promise;
    this.#decide = outcome.resolve;
    this.#poll = native().pollOpen(fd, () => this.#receive());
    native().pollSet(this.#poll, readable);
  }

  /** Calls back once, in a later turn of the event loop, with null where the launcher was killed before it could say. */
  onExit(callback: (exit: LaunchExit | null) => void): void {
    void this.#exit.promise.then((exit) => setImmediate(callback, exit));
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    native().pollClose(this.#poll);
    closeSync(this.#fd);
    this.#decide({ kind: 'lost' });
  }

  #receive(): void {
    const buffer = Buffer.allocUnsafe(messageBytes);
    while (!this.#closed && !this.#ended) {
      const got = native().receiveStatus(this.#fd, buffer);
      if (got === -EAGAIN) return;
      if (got === -EINTR) continue;
      const [bytes, pid] = typeof got === 'number' ? [0, 0] : got;
      if (bytes === 0) return this.#end(null);
      this.#message(buffer.toString('latin1', 0, bytes), pid);
    }
  }

  #message(text: string, sender: number): void {
    const [word, ...rest] = text.split(' ');
    if (word === 'pid') this.#pid = sender;
    else if (word === 'started') this.#decide({ kind: 'started', pid: this.#pid });
    else if (word === 'failed') {
      const [stage = 'setup', errno, ...detail] = rest;
      this.#decide({ kind: 'failed', stage, errno: Number(errno), detail: detail.join(' ') });
    } else if (word === 'exited') {
      const [waitStatus = 0, user = 0, system = 0, denials = 0] = rest.map(Number);
      this.#end({ waitStatus, userCpuMs: user / 1000, systemCpuMs: system / 1000, denials });
    }
  }

  #end(exit: LaunchExit | null): void {
    this.#ended = true;
    // Nothing more comes; the descriptor stays open, because closing it gives the pid back.
    native().pollSet(this.#poll, 0);
    this.#decide({ kind: 'lost' });
    this.#exit.resolve(exit);
  }
}
