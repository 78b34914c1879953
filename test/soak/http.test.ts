import { type Hash, createHash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { dialWebSocket } from '../../src/client/dial.ts';
import { ExecClient } from '../../src/client/exec-client.ts';
import { openSession } from '../support/files-session.ts';
import { type ListeningExecutor, startExecutor } from '../support/faults-executor.ts';
import { residentMiB, within } from '../support/faults-proc.ts';
import { deltasOf, lastDelta } from '../support/http-exchange.ts';
import { BODY_BYTES, BulkOrigin, digestOf, transfer } from '../support/http-bulk.ts';

/** Of the executor, beyond what a new one takes: what the collector leaves for later. */
const GROWTH_MIB = 100;
/** Bodies one after the other: were they kept, they would come to three times that. */
const ROUNDS = 3;
/** How long a reader stops. */
const STOP_MS = 5_000;
const SAMPLE_MS = 50;
const LONG_MS = 120_000;

let origin: BulkOrigin;

beforeEach(async () => {
  origin = await BulkOrigin.listen();
});

afterEach(async () => {
  await origin[Symbol.asyncDispose]();
});

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

/** Loads what requests need, so that the memory for it is not counted. */
async function warmUp(client: ExecClient): Promise<void> {
  const { body } = await client.http.request({ url: `${origin.url}tiny`, method: 'POST', body: tiny() });
  for await (const part of body) expect(part).toHaveLength(0);
}

async function* tiny(): AsyncGenerator<Buffer, void> {
  yield Buffer.from('tiny');
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
        const begin = performance.now();
        const { here, there } = await within(LONG_MS, 'the bodies', transfer(client, origin, way));
        if (way !== 'up') expect(here).toBe(digestOf(2));
        if (way !== 'down') expect(there).toBe(digestOf(1));
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
        const response = await client.http.request({ url: origin.url });
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
  const before = origin.sent;
  await pause(1_000);
  expect(origin.sent).toBe(before);
  expect(origin.sent).toBeLessThan(BODY_BYTES / 2);
}

/** Without credit: what holds the executor up is that nobody reads from the connection. */
async function readDeltas(executorUrl: string, hash: Hash): Promise<void> {
  const transport = await dialWebSocket(executorUrl, {}, AbortSignal.timeout(LONG_MS));
  await using client = await openSession(transport, randomUUID());
  await client.call('http/request', {
    requestId: 'slow',
    method: 'GET',
    url: origin.url,
    streamResponse: true,
  });
  transport.pause();
  await pauseAndLook();
  transport.resume();
  await lastDelta(client, 'slow');
  for (const { deltaBase64 } of deltasOf(client, 'slow')) hash.update(deltaBase64);
  expect(client.problems).toEqual([]);
}
