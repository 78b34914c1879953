import { createHash } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { Replacement } from '../../disk/replacement.ts';
import { native } from '../../support/native.ts';
import { errnoOf } from '../../support/os-error.ts';
import type { SyncState } from './options.ts';

/** What both sides had at a path when they were in step last. */
export interface BaseEntry {
  /** `f`: SHA-256 of the content; `l`: the link's text; `d`: a directory. */
  readonly value: string;
  readonly size: number;
  readonly mode: number;
  /** Of this machine's entry and of the other one, where a change would be seen by it. */
  readonly localVersion: string | undefined;
  readonly remoteVersion: string | undefined;
}

export interface Base {
  readonly entries: Map<string, BaseEntry>;
  /** Of the two directories. */
  readonly localVersion: string | undefined;
  readonly remoteVersion: string | undefined;
}

export const noBase: Base = { entries: new Map(), localVersion: undefined, remoteVersion: undefined };

/** The first line of its file: another form is another number, and an older file counts as none. */
const form = 'exec-server sync 1';

/** What is remembered of one pair of directories. Held as long as a run lasts, by one run at a time. */
export class BaseFile implements AsyncDisposable {
  readonly #path: string;
  readonly #lock: { close(): Promise<void> };

  private constructor(path: string, lock: { close(): Promise<void> }) {
    this.#path = path;
    this.#lock = lock;
  }

  static async open({ directory, environment }: SyncState, local: string, remote: string): Promise<BaseFile> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const key = createHash('sha256')
      .update(JSON.stringify([environment, local, remote]))
      .digest('hex');
    const path = join(directory, key.slice(0, 40));
    const lock = await open(`${path}.lock`, 'a', 0o600);
    if (native().lock(lock.fd, true) === 0) return new BaseFile(`${path}.jsonl`, lock);
    await lock.close();
    throw new Error(`Another sync of ${local} and ${remote} is at work; wait for it.`);
  }

  async read(): Promise<Base> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (errnoOf(error) === os.errno.ENOENT) return noBase;
      throw error;
    }
    return parseBase(text) ?? noBase;
  }

  /** Readers see the old content or the new. */
  async write(base: Base): Promise<void> {
    await using replacement = await Replacement.open(Buffer.from(this.#path), true, 0o600);
    const head = { form, local: base.localVersion, remote: base.remoteVersion, entries: base.entries.size };
    let text = `${JSON.stringify(head)}\n`;
    for (const [path, entry] of base.entries) {
      const { value, size, mode, localVersion = '', remoteVersion = '' } = entry;
      text += `${JSON.stringify([path, value, size, mode, localVersion, remoteVersion])}\n`;
      if (text.length < 1024 * 1024) continue;
      await replacement.file.writeFile(text);
      text = '';
    }
    await replacement.file.writeFile(text);
    await replacement.commit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock.close();
  }
}

/** undefined where it is damaged, or of another form: nothing is known then, which is always safe. */
export function parseBase(text: string): Base | undefined {
  try {
    const [head = '', ...lines] = text.trimEnd().split('\n');
    const { form: found, local, remote, entries } = JSON.parse(head) as Record<string, unknown>;
    if (found !== form || entries !== lines.length) return undefined;
    const read = lines.map((line): [string, BaseEntry] => {
      const [path, value, size, mode, localVersion, remoteVersion] = JSON.parse(line) as [
        string,
        string,
        number,
        number,
        string,
        string,
      ];
      const versions = { localVersion: localVersion || undefined, remoteVersion: remoteVersion || undefined };
      return [path, { value, size, mode, ...versions }];
    });
    return {
      entries: new Map(read),
      localVersion: typeof local === 'string' ? local : undefined,
      remoteVersion: typeof remote === 'string' ? remote : undefined,
    };
  } catch {
    return undefined;
  }
}
