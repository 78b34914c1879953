import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { limits } from '../../protocol/limits.ts';
import { errnoOf } from '../../support/os-error.ts';

/** What a file is for a search: bytes to look at, or why there are none. `gone`: not there any more, or no regular file. */
export type FileText = Buffer | 'empty' | 'binary' | 'large' | 'gone' | 'unreadable';

export interface FileTextOptions {
  /** Bytes. A larger file is not read. */
  readonly maxBytes: number;
  readonly followLink: boolean;
}

/** Reads files for a search into one buffer: what `read` answers holds until the next call. For a thread of its own: it waits for the disk. */
export class FileTexts {
  readonly #options: FileTextOptions;
  #buffer = Buffer.allocUnsafeSlow(4 * limits.binaryProbeBytes);

  constructor(options: FileTextOptions) {
    this.#options = options;
  }

  read(path: Buffer): FileText {
    return this.#open(path, (fd) => this.#readAll(fd));
  }

  /** The same, with no more of a text than its beginning. */
  probe(path: Buffer): FileText {
    return this.#open(path, (fd) => this.#readBeginning(fd));
  }

  #open(path: Buffer, read: (fd: number) => FileText): FileText {
    const { O_RDONLY, O_NONBLOCK, O_NOCTTY, O_NOFOLLOW } = constants;
    // What was a file when its directory was read can be a FIFO or a link by now.
    const careful = O_NONBLOCK | O_NOCTTY | (this.#options.followLink ? 0 : O_NOFOLLOW);
    let fd: number | undefined;
    try {
      fd = openSync(path, O_RDONLY | careful);
      const stat = fstatSync(fd);
      if (!stat.isFile()) return 'gone';
      return stat.size > this.#options.maxBytes ? 'large' : read(fd);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? '';
      return ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(code) ? 'gone' : 'unreadable';
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #readBeginning(fd: number): FileText {
    let length = 0;
    while (length < limits.binaryProbeBytes) {
      const count = readSync(fd, this.#buffer, length, limits.binaryProbeBytes - length, null);
      if (count === 0) break;
      length += count;
    }
    if (length === 0) return 'empty';
    const beginning = this.#buffer.subarray(0, length);
    return beginning.includes(0) ? 'binary' : beginning;
  }

  /** Up to the end, whatever the size was said to be: files of /proc say none. */
  #readAll(fd: number): FileText {
    const beginning = this.#readBeginning(fd);
    if (typeof beginning === 'string') return beginning;
    let { length } = beginning;
    for (;;) {
      if (length > this.#options.maxBytes) return 'large';
      if (length === this.#buffer.length) this.#grow();
      const count = readSync(fd, this.#buffer, length, this.#buffer.length - length, null);
      if (count === 0) return this.#buffer.subarray(0, length);
      length += count;
    }
  }

  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(2 * this.#buffer.length);
    this.#buffer.copy(larger);
    this.#buffer = larger;
  }
}
