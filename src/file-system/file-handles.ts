import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { systemError } from './file-error.ts';
import { openEmptied, openRegular } from '../disk/open-regular.ts';

interface Slot {
  readonly mode: 'read' | 'replace';
  /** undefined: it is being opened. */
  file: FileHandle | undefined;
}

/** The open files of one connection, by the id that the client chose. */
export class FileHandles {
  readonly #opened = new Map<string, Slot>();

  has(id: string): boolean {
    return this.#opened.has(id);
  }

  get size(): number {
    return this.#opened.size;
  }

  async open(id: string, path: Buffer, mode: Slot['mode'], follow: boolean): Promise<void> {
    if (Buffer.byteLength(id) > limits.handleIdBytes) {
      throw invalidRequest(`file handle ID must not exceed ${limits.handleIdBytes} bytes`);
    }
    if (this.#opened.has(id)) throw invalidRequest(`file handle \`${id}\` already exists`);
    if (this.#opened.size >= limits.fileHandles) {
      throw invalidRequest(`at most ${limits.fileHandles} file handles may be open per connection`);
    }
    const slot: Slot = { mode, file: undefined };
    this.#opened.set(id, slot);
    try {
      const file =
        mode === 'read'
          ? (await openRegular(path, constants.O_RDONLY, follow)).file
          : await openEmptied(path, follow);
      // It may have been closed meanwhile.
      if (this.#opened.get(id) === slot) slot.file = file;
      else await file.close();
    } catch (error) {
      if (this.#opened.get(id) === slot) this.#opened.delete(id);
      throw error;
    }
  }

  async readBlock(id: string, offset: number, length: number): Promise<{ bytes: Buffer; eof: boolean }> {
    checkLength('read', length);
    const opened = this.#get(id);
    if (opened.mode !== 'read') throw systemError('EBADF');
    const block = Buffer.allocUnsafeSlow(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await opened.file.read(block, done, length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return { bytes: block.subarray(0, done), eof: done < length };
  }

  async writeBlock(id: string, offset: number, bytes: Uint8Array): Promise<void> {
    checkLength('write', bytes.length);
    const opened = this.#get(id);
    if (opened.mode !== 'replace') throw systemError('EBADF');
    for (let done = 0; done < bytes.length;) {
      done += (await opened.file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
    }
  }

  async close(id: string): Promise<void> {
    const slot = this.#opened.get(id);
    this.#opened.delete(id);
    await slot?.file?.close();
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.#opened.keys()].map((id) => this.close(id)));
  }

  #get(id: string): { readonly mode: Slot['mode']; readonly file: FileHandle } {
    const { mode, file } = this.#opened.get(id) ?? {};
    if (mode === undefined || file === undefined) throw unknown(id);
    return { mode, file };
  }
}

function unknown(id: string): RpcError {
  return new RpcError('notFound', `unknown file handle \`${id.slice(0, limits.handleIdBytes)}\``);
}

function checkLength(kind: 'read' | 'write', length: number): void {
  if (length >= 1 && length <= limits.fileBlockBytes) return;
  throw invalidRequest(`file ${kind} block length must be between 1 and ${limits.fileBlockBytes}`);
}
