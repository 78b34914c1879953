import { close } from 'node:fs';
import { constants } from 'node:os';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { native } from '../support/native.ts';
import { osErrorText } from '../support/os-error.ts';

const { ENOMEM, ENOSPC } = constants.errno;

/** Bits of linux/inotify.h: events, and at the end what only `add` takes. */
export const bits = {
  modify: 0x2,
  attributes: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  unmount: 0x2000,
  overflow: 0x4000,
  ignored: 0x8000,
  isDirectory: 0x40000000,
  onlyDirectory: 0x1000000,
  noFollow: 0x2000000,
  /** No events of a name that is gone, though the file is still open. */
  excludeUnlinked: 0x4000000,
} as const;

/** Keeps what other watches of the same inode have asked for. */
const maskAdd = 0x20000000;
/** struct inotify_event: wd, mask, cookie, length of the name with its padding; 32 bits each. */
const headerBytes = 16;
/** Reads of one turn of the event loop, after which others get theirs. */
const readsPerTurn = 4;
/** Watches given back in one turn of the event loop: a few milliseconds. */
const releasesPerTurn = 1000;
/** Where events are read before they are parsed; used only within one turn. */
const scratch = Buffer.allocUnsafeSlow(limits.chunkBytes);

/** What hears the events of one inode. `name`: its bytes as latin1; empty where the event is about the watched inode itself. */
export interface Listener {
  heard(mask: number, name: string): void;
}

export interface InotifyUser {
  /** The kernel has dropped events of any watch. */
  overflowed(): void;
}

let shared: Inotify | undefined;

/**
 * The kernel's watches of this process, on one descriptor: a user of the system may open only 128 of them (max_user_instances), and the
 * budget of watches is one for all in any case. It is open as long as somebody uses it.
 */
export class Inotify {
  readonly #fd: number;
  readonly #poll: object;
  readonly #users = new Set<InotifyUser>();
  readonly #listeners = new Map<number, Listener[]>();
  /** Watches that nobody listened to any more when they came in here. */
  #idle: number[] = [];
  #releasing = false;
  #closed = false;

  private constructor(fd: number) {
    this.#fd = fd;
    this.#poll = native().pollOpen(fd, () => this.#readTurn());
    native().pollSet(this.#poll, 1);
  }

  /** Throws an RpcError where the system has no inotify, or no more of it. */
  static join(user: InotifyUser): Inotify {
    if (process.platform !== 'linux')
      throw invalidRequest(
        'fs/watch is unsupported here: this executor can watch directories on Linux only.',
      );
    if (shared === undefined) {
      const fd = native().inotifyOpen();
      if (fd < 0) {
        const why = `inotify: ${osErrorText(-fd)}. /proc/sys/fs/inotify/max_user_instances says how many one user may have.`;
        throw new RpcError('overloaded', why);
      }
      shared = new Inotify(fd);
    }
    shared.#users.add(user);
    return shared;
  }

  /** The last one to leave ends all watches. */
  leave(user: InotifyUser): void {
    this.#users.delete(user);
    if (this.#users.size > 0 || this.#closed) return;
    this.#closed = true;
    shared = undefined;
    native().pollClose(this.#poll);
    // The kernel takes tens of milliseconds for many watches; the callback only keeps it off this thread.
    close(this.#fd, () => {});
  }

  /**
   * Watches what is at the path, and answers its number, the same for the same inode; or -errno. `listen` has to follow in the same turn.
   * Throws an RpcError when a limit is reached, and leaves nothing behind then.
   */
  add(path: Buffer, mask: number): number {
    const wd = native().inotifyAdd(this.#fd, Buffer.concat([path, Buffer.alloc(1)]), mask | maskAdd);
    if (wd === -ENOSPC || wd === -ENOMEM) throw new RpcError('overloaded', kernelLimit);
    if (wd > 0 && !this.#listeners.has(wd) && this.#listeners.size >= limits.watchedDirectories) {
      native().inotifyRemove(this.#fd, wd);
      throw new RpcError('overloaded', ownLimit);
    }
    return wd;
  }

  listen(wd: number, listener: Listener): void {
    const listeners = this.#listeners.get(wd);
    if (listeners === undefined) this.#listeners.set(wd, [listener]);
    else listeners.push(listener);
  }

  unlisten(wd: number, listener: Listener): void {
    if (this.#closed) return;
    const listeners = this.#listeners.get(wd);
    const index = listeners?.indexOf(listener) ?? -1;
    if (listeners === undefined || index < 0) return;
    listeners.splice(index, 1);
    if (listeners.length > 0) return;
    this.#idle.push(wd);
    if (!this.#releasing) setImmediate(() => this.#release());
    this.#releasing = true;
  }

  /** In slices. What a renamed directory has given up is often taken again before its turn comes. */
  #release(): void {
    if (this.#closed) return;
    for (const wd of this.#idle.splice(-releasesPerTurn)) {
      if (this.#listeners.get(wd)?.length !== 0) continue;
      this.#listeners.delete(wd);
      native().inotifyRemove(this.#fd, wd);
    }
    this.#releasing = this.#idle.length > 0;
    if (this.#releasing) setImmediate(() => this.#release());
  }

  #readTurn(): void {
    for (let turn = 0; turn < readsPerTurn && !this.#closed; turn++) {
      const count = native().read(this.#fd, scratch, 0, scratch.length);
      if (count <= 0) return;
      this.#parse(count);
    }
  }

  #parse(count: number): void {
    for (let at = 0; at < count && !this.#closed;) {
      const wd = scratch.readInt32LE(at);
      const mask = scratch.readUInt32LE(at + 4);
      const start = at + headerBytes;
      at = start + scratch.readUInt32LE(at + 12);
      if ((mask & bits.overflow) !== 0) for (const user of this.#users) user.overflowed();
      else this.#tell(wd, mask, start === at ? '' : nameIn(start, at));
    }
  }

  #tell(wd: number, mask: number, name: string): void {
    const listeners = this.#listeners.get(wd);
    if (listeners === undefined) return;
    // The kernel has ended the watch; its number does not come again.
    if ((mask & bits.ignored) !== 0) this.#listeners.delete(wd);
    // A copy: one that hears of its end leaves the list.
    for (const listener of listeners.slice()) listener.heard(mask, name);
  }
}

/** A name ends with NUL, and is filled with more of them. */
function nameIn(start: number, end: number): string {
  return scratch.toString('latin1', start, Math.min(end, scratch.indexOf(0, start)));
}

const advice = 'Watch a smaller part, or exclude directories such as node_modules.';
const kernelLimit = `The kernel allows this user no more inotify watches. ${advice} Raising /proc/sys/fs/inotify/max_user_watches also helps.`;
const ownLimit = `This executor watches at most ${limits.watchedDirectories} directories (watchedDirectories). ${advice}`;
