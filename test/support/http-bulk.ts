import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

import type { ExecClient } from '../../src/client/exec-client.ts';
import { MiB } from './faults-bytes.ts';
import { portOf } from './reference.ts';

export const BODY_BYTES = 100 * MiB;
const PART_BYTES = 256 * 1024;

/** Bytes of which no two parts are alike, the same in every run. */
export function* content(seed: number): Generator<Buffer, void> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  for (let sent = 0; sent < BODY_BYTES; sent += PART_BYTES) yield cipher.update(Buffer.alloc(PART_BYTES));
}

export function digestOf(seed: number): string {
  const hash = createHash('sha256');
  for (const part of content(seed)) hash.update(part);
  return hash.digest('hex');
}

/** A server that hashes what comes, and sends as much back at the same time; `/tiny` sends nothing. */
export class BulkOrigin implements AsyncDisposable {
  /** The digest of the last body that has come. */
  received = Promise.withResolvers<string>();
  /** Bytes that the server has got rid of. */
  sent = 0;
  readonly #server: Server;

  static async listen(): Promise<BulkOrigin> {
    const origin = new BulkOrigin();
    origin.#server.listen(0, '127.0.0.1');
    await once(origin.#server, 'listening');
    return origin;
  }

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hash = createHash('sha256');
    request.on('data', (part: Buffer) => void hash.update(part));
    const ended = new Promise<void>((resolve) => void request.on('end', resolve).on('close', resolve));
    request.on('end', () => this.received.resolve(hash.digest('hex')));
    request.on('error', () => {});
    for (const part of request.url === '/tiny' ? [] : content(2)) {
      if (!response.write(part)) await drained(response);
      if (response.destroyed) return;
      this.sent += part.length;
    }
    // A server that is done before it has read everything resets the connection.
    await ended;
    response.end();
  }
}

async function drained(response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  const { signal } = gone;
  await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]);
  gone.abort();
}

export type Way = 'up' | 'down' | 'up and down at the same time';

/** The digests of what has arrived: here, and at the server. */
export interface Arrived {
  readonly here: string;
  readonly there: string | undefined;
}

/** One request with a body one way, or both. */
export async function transfer(client: ExecClient, origin: BulkOrigin, way: Way): Promise<Arrived> {
  origin.received = Promise.withResolvers();
  const sends = way !== 'down';
  const { body } = await client.http.request({
    url: way === 'up' ? `${origin.url}tiny` : origin.url,
    ...(sends && { method: 'POST', body: parts(1) }),
  });
  const hash = createHash('sha256');
  for await (const part of body) hash.update(part);
  return { here: hash.digest('hex'), there: sends ? await origin.received.promise : undefined };
}

async function* parts(seed: number): AsyncGenerator<Buffer, void> {
  yield* content(seed);
}
