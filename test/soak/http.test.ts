import { type Hash, createCipheriv, createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { dialWebSocket } from '../../src/client/dial.ts';
import { ExecClient } from '../../src/client/exec-client.ts';
import { MiB } from '../support/faults-bytes.ts';
import { openSession } from '../support/files-session.ts';
import { type ListeningExecutor, startExecutor } from '../support/faults-executor.ts';
import { residentMiB, within } from '../support/faults-proc.ts';
import { deltasOf, lastDelta } from '../support/http-exchange.ts';
import { portOf } from '../support/reference.ts';

const BODY_BYTES = 100 * MiB;
const PART_BYTES = 256 * 1024;
/** Of the executor, beyond what a new one takes: what the collector leaves for later. */
const GROWTH_MIB = 100;
/** Bodies one after the other: were they kept, they would come to three times that. */
const ROUNDS = 3;
/** How long a reader stops. */
const STOP_MS = 5_000;
const SAMPLE_MS = 50;
const LONG_MS = 120_000;

/** Bytes of which no two parts are alike, the same in every run. */
function* content(seed: number): Generator<Buffer, void> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  for (let sent = 0; sent < BODY_BYTES; sent += PART_BYTES) yield cipher.update(Buffer.alloc(PART_BYTES));
}

function digestOf(seed: number): string {
  const hash = createHash('sha256');
  for (const part of content(seed)) hash.update(part);
  return hash.digest('hex');
}

let server: Server;
let url: string;
/** Of the last request, when its body has come. */
let received: PromiseWithResolvers<string>;
/** Bytes that the server has got rid of. */
let sent = 0;

beforeEach(async () => {
  sent = 0;
  received = Promise.withResolvers();
  server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${portOf(server)}/`;
});

afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

/** Hashes what comes, and sends as much back at the same time; `/tiny` sends nothing. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash('sha256');
  request.on('data', (part: Buffer) => void hash.update(part));
  const ended = new Promise<void>((resolve) => void request.on('end', resolve).on('close', resolve));
  request.on('end', () => received.resolve(hash.digest('hex')));
  request.on('error', () => {});
  for (const part of request.url === '/tiny' ? [] : content(2)) {
    if (!response.write(part)) await drained(response);
    if (response.destroyed) return;
    sent += part.length;
  }
  // A server that is done before it has read everything resets the connection.
  await ended;
  response.end();
}

async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => void response.once('drain', resolve).once('close', resolve));
}

interface Watched extends Disposable {
  readonly start: number;
  readonly most: () => number;
}

function watch(executor: ListeningExecutor): Watched {
  const start = residentMiB(executor.pid).now;
  let most = start;
  const timer = setInterval(() => void (most = Math.max(most, residentMiB(executor.pid).now)), SAMPLE_MS);
  return { start, most: () => most, [Symbol.dispose]: () => clearInterval(timer) };
}

async function* parts(seed: number): AsyncGenerator<Buffer, void> {
  yield* content(seed);
}

/** Loads what requests need, so that the memory for it is not counted. */
async function warmUp(client: ExecClient): Promise<void> {
  const tiny = (async function* () {
    yield Buffer.from('tiny');
  })();
  await client.http
    .request({ url: `${url}tiny`, method: 'POST', body: tiny })
    .then(async ({ body }) => drain(body));
  received = Promise.withResolvers();
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of body) hash.update(part);
  return hash.digest('hex');
}

function expectSmall(what: string, { start, most }: Watched): void {
  process.stdout.write(`${what}: executor ${start.toFixed(0)} MiB, at most ${most().toFixed(0)} MiB\n`);
  expect(most() - start, 'MiB of growth').toBeLessThan(GROWTH_MIB);
}

describe('over a WebSocket', () => {
  test.each(['up', 'down', 'up and down at the same time'] as const)(
    '100 MiB go %s whole, and the executor stays small',
    async (way) => {
      await using executor = await startExecutor();
      await using client = await ExecClient.connect({ url: executor.url });
      await warmUp(client);
      using watched = watch(executor);
      for (let round = 0; round < ROUNDS; round++) {
        received = Promise.withResolvers();
        const begin = performance.now();
        await transfer(client, way);
        process.stdout.write(`100 MiB ${way}: ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
      }
      expectSmall(`100 MiB ${way}`, watched);
      expect(executor.stderr).toBe('');
    },
  );

  test.each(['stream', 'deltas'] as const)(
    'a reader that stops for 5 s holds the server up, by %s',
    async (form) => {
      await using executor = await startExecutor();
      await using client = await ExecClient.connect({ url: executor.url });
      await warmUp(client);
      using watched = watch(executor);
      const hash = createHash('sha256');
      if (form === 'stream') {
        const response = await client.http.request({ url });
        let bytes = 0;
        for await (const part of response.body) {
          if (bytes === 0) await pauseAndLook();
          bytes += part.length;
          hash.update(part);
        }
      } else {
        await readDeltas(executor.url, hash);
      }
      expect(hash.digest('hex')).toBe(digestOf(2));
      expectSmall(`a reader that stops (${form})`, watched);
    },
  );
});

/** The stop itself is what is tested: the server must come to rest long before it has sent everything. */
async function pauseAndLook(): Promise<void> {
  await pause(STOP_MS - 1_000);
  const before = sent;
  await pause(1_000);
  expect(sent).toBe(before);
  expect(sent).toBeLessThan(BODY_BYTES / 2);
}

/** One request with a body one way, or both; each is compared where it arrives. */
async function transfer(client: ExecClient, way: string): Promise<void> {
  const target = way === 'up' ? `${url}tiny` : url;
  const sends = way !== 'down';
  const response = await client.http.request({
    url: target,
    ...(sends && { method: 'POST', body: parts(1) }),
  });
  const digest = await within(LONG_MS, 'the body', drain(response.body));
  if (way !== 'up') expect(digest).toBe(digestOf(2));
  if (sends) expect(await within(LONG_MS, 'the body at the server', received.promise)).toBe(digestOf(1));
}

/** Without credit: what holds the executor up is that nobody reads from the connection. */
async function readDeltas(executorUrl: string, hash: Hash): Promise<void> {
  const transport = await dialWebSocket(executorUrl, {}, AbortSignal.timeout(LONG_MS));
  await using client = await openSession(transport, randomUUID());
  await client.call('http/request', { requestId: 'slow', method: 'GET', url, streamResponse: true });
  transport.pause();
  await pauseAndLook();
  transport.resume();
  await lastDelta(client, 'slow');
  for (const { deltaBase64 } of deltasOf(client, 'slow')) hash.update(deltaBase64);
  expect(client.problems).toEqual([]);
}
