import { createHash } from 'node:crypto';
import { readdir, readlink } from 'node:fs/promises';
import path from 'node:path';

import { limits } from '../../src/protocol/limits.ts';
import type { Event, WireParams } from '../../src/protocol/methods.ts';
import { eventually } from './conformance-leftovers.ts';
import { type WireClient, type Answer, base64 } from './conformance-wire.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;
/** The least credit that a stream may begin with: one chunk. */
export const oneChunk: number = limits.streamChunkBytes;

let ids = 0;

/** Another one each time. */
export function streamId(): string {
  return `stream ${++ids}`;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes that tell their place: a mix-up of two parts is seen. */
export function numbered(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(Math.imul(at, 0x9e3779b1) >>> 0, at);
  return bytes;
}

/** What has come of one stream to the client. Looks through the messages of its connection whenever it is asked. */
export class StreamView {
  readonly id: string;
  readonly #client: WireClient;
  readonly #chunks: Buffer[] = [];
  /** The place of its first event among all messages. */
  firstIndex: number | undefined;
  length = 0;
  largestChunk = 0;
  end: Event<'stream/end'> | undefined;
  error: Event<'stream/error'> | undefined;
  #seen: number;

  constructor(client: WireClient, id: string) {
    this.#client = client;
    this.id = id;
    this.#seen = client.texts.length;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Takes what has come since the last time. */
  look(): this {
    const { texts } = this.#client;
    for (; this.#seen < texts.length; this.#seen++) {
      const text = texts[this.#seen] ?? '';
      if (!text.startsWith('{"method":"stream/')) continue;
      const { method, params } = JSON.parse(text) as { method: string; params: { streamId: string } };
      if (params.streamId === this.id) this.#take(method, params);
    }
    return this;
  }

  /** Resolves when so many bytes have come. */
  async has(length: number): Promise<void> {
    await this.#client.waitFor(`${length} bytes of ${this.id}`, () =>
      this.look().length >= length ? true : undefined,
    );
  }

  /** The end, with everything before it: no byte is missing, and the digest is right. */
  async ended(): Promise<Event<'stream/end'>> {
    const end = await this.#client.waitFor(`the end of ${this.id}`, () => {
      this.look();
      if (this.error !== undefined) throw new Error(`${this.id} has failed: ${this.error.message}`);
      return this.end;
    });
    const { bytes } = this;
    if (end.bytes !== bytes.length || end.sha256 !== sha256(bytes))
      this.#problem(`its end tells ${JSON.stringify(end)} of ${bytes.length} bytes with ${sha256(bytes)}`);
    return end;
  }

  async failed(): Promise<Event<'stream/error'>> {
    return this.#client.waitFor(`the failure of ${this.id}`, () => this.look().error);
  }

  /** Lets the executor send everything, as it comes. */
  async drain(): Promise<Event<'stream/end'>> {
    let granted = 0;
    while (this.look().end === undefined && this.error === undefined) {
      if (this.length > granted) {
        const bytes = this.length - granted;
        granted = this.length;
        await this.#client.call('stream/credit', { streamId: this.id, bytes });
      } else {
        await this.#client.waitFor(`more of ${this.id}`, () =>
          this.look().length > granted || this.end !== undefined || this.error !== undefined
            ? true
            : undefined,
        );
      }
    }
    return this.ended();
  }

  #take(method: string, params: object): void {
    this.firstIndex ??= this.#seen;
    if (this.end !== undefined || this.error !== undefined) this.#problem(`${method} comes behind its end`);
    if (method === 'stream/end') this.end = params as Event<'stream/end'>;
    else if (method === 'stream/error') this.error = params as Event<'stream/error'>;
    else {
      const { offset, chunk } = params as { offset: number; chunk: string };
      if (offset !== this.length) this.#problem(`a chunk for ${offset} comes at ${this.length}`);
      const bytes = Buffer.from(chunk, 'base64');
      if (bytes.length === 0) this.#problem('an empty chunk comes');
      this.length += bytes.length;
      this.largestChunk = Math.max(this.largestChunk, bytes.length);
      this.#chunks.push(bytes);
    }
  }

  #problem(text: string): void {
    this.#client.problems.push(`stream ${this.id}: ${text}`);
  }
}

type Opening = 'fs/download' | 'fs/archive' | 'fs/manifest';

/** Opens a stream to the client. */
export async function openStream<M extends Opening>(
  client: WireClient,
  method: M,
  params: Omit<WireParams<M>, 'streamId'> & { streamId?: string },
): Promise<StreamView> {
  const id = params.streamId ?? streamId();
  const view = new StreamView(client, id);
  await client.call(method, { ...params, streamId: id } as unknown as WireParams<M>);
  return view;
}

/** Sends bytes in writes that do not wait for each other. */
export function writeAhead(
  client: WireClient,
  id: string,
  bytes: Uint8Array,
  { from = 0, chunkBytes = oneChunk } = {},
): Promise<Answer>[] {
  const answers: Promise<Answer>[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    const chunk = base64(bytes.subarray(start, start + chunkBytes));
    answers.push(client.request('stream/write', { streamId: id, offset: from + start, chunk }));
  }
  return answers;
}

export function finishParams(id: string, bytes: Uint8Array): WireParams<'stream/finish'> {
  return { streamId: id, bytes: bytes.length, sha256: sha256(bytes) };
}

/** Sends everything to an open stream, and ends it. */
export async function fill(
  client: WireClient,
  id: string,
  bytes: Uint8Array,
): Promise<{ bytes: number; sha256: string; entries?: number | undefined }> {
  const answers = writeAhead(client, id, bytes);
  const finished = client.call('stream/finish', finishParams(id, bytes));
  finished.catch(() => {});
  for (const answer of await Promise.all(answers))
    if (answer.error !== undefined) throw new Error(`A write was refused: ${answer.text}`);
  return finished;
}

/** Opens a stream to a file, fills and ends it. */
export async function upload(
  client: WireClient,
  params: Omit<WireParams<'fs/upload'>, 'streamId'>,
  bytes: Uint8Array,
): Promise<void> {
  const id = streamId();
  await client.call('fs/upload', { ...params, streamId: id });
  await fill(client, id, bytes);
}

/** Round trips after which the executor has sent whatever it wants to send. */
export async function settle(client: WireClient, ...paths: readonly string[]): Promise<void> {
  for (let round = 0; round < 12; round++) {
    await client.call('environment/status');
    for (const file of paths) await client.call('fs/readFile', { path: file, length: 1 });
  }
}

/** The process that serves a connection: that of the test where it is in memory. */
export async function pidOf(client: WireClient): Promise<string> {
  return path.basename((await client.call('fs/canonicalize', { path: '/proc/self' })).path);
}

/** What a process has open in a folder, and of what was removed from it. */
export async function openIn(pid: string | number, folder: string): Promise<string[]> {
  const numbers = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(numbers.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  return targets.filter((target) => target === folder || target.startsWith(`${folder}/`));
}

/** Fails if the process keeps something open in a folder. Says nothing where there is no /proc. */
export async function nothingOpen(pid: string | number, folder: string): Promise<void> {
  if (process.platform !== 'linux') return;
  let seen: string[] = [];
  await eventually('the end of all descriptors', async () => {
    seen = await openIn(pid, folder);
    return seen.length === 0 ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(`These are still open: ${seen.join(', ')}`, { cause });
  });
}
