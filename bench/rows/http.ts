import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { BrokenRow } from '../process-run.ts';
import { latencies, milliseconds, type Sample } from '../stats.ts';
import { WireClient } from '../wire-client.ts';
import type { Row, Subject } from './row.ts';

const SEQUENTIAL_REQUESTS = 100;
const PARALLEL_REQUESTS = 16;

export const httpLatency: Row = {
  name: 'http',
  title: `http/request to a local server (${SEQUENTIAL_REQUESTS} in turn)`,
  servedByNull: false,
  run: async ({ url }: Subject): Promise<readonly Sample[]> => {
    await using origin = await startOrigin(Buffer.from('an answer'));
    using client = await WireClient.open(url);
    const times: number[] = [];
    for (let request = 0; request < SEQUENTIAL_REQUESTS; request += 1) {
      const before = performance.now();
      await ask(client, origin.url, `latency-${request}`);
      times.push(performance.now() - before);
    }
    return latencies(times);
  },
};

export const httpParallel: Row = {
  name: 'http-parallel',
  title: `${PARALLEL_REQUESTS} parallel http/request of 50 ms each`,
  servedByNull: false,
  run: async ({ url }: Subject): Promise<readonly Sample[]> => {
    await using origin = await startOrigin(Buffer.from('an answer'), 50);
    using client = await WireClient.open(url);
    const before = performance.now();
    await Promise.all(
      Array.from({ length: PARALLEL_REQUESTS }, (_, index) => ask(client, origin.url, `parallel-${index}`)),
    );
    return [milliseconds('all', performance.now() - before)];
  },
};

export const httpStream: Row = {
  name: 'http-stream',
  title: '64 MiB streamed by http/request',
  servedByNull: false,
  run: async ({ url, fixtures }: Subject): Promise<readonly Sample[]> => {
    await using origin = await startOrigin(readFileSync(fixtures.outputFile));
    using client = await WireClient.open(url);
    const before = performance.now();
    const body = await client.stream({ requestId: 'stream', method: 'GET', url: origin.url });
    const time = performance.now() - before;
    const sha256 = createHash('sha256').update(body()).digest('hex');
    if (sha256 !== fixtures.output.sha256) throw new BrokenRow('another body came than was sent');
    return [milliseconds('all', time)];
  },
};

async function ask(client: WireClient, url: string, requestId: string): Promise<void> {
  const { status } = await client.call('http/request', { requestId, method: 'GET', url });
  if (Number(status) !== 200) throw new BrokenRow(`the answer has status ${status}`);
}

/** In this process: what it takes is the same for every executor. */
async function startOrigin(body: Buffer, delayMs = 0): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((_request, response) => {
    setTimeout(() => response.end(body), delayMs);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
