import { randomUUID } from 'node:crypto';

import { expect } from 'vitest';

import { limits } from '../../../src/protocol/limits.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { deltasOf, events } from '../../support/http-exchange.ts';
import { Origin, until } from '../../support/http-origin.ts';
import type { Topic } from '../case.ts';

/** Sends a request and waits until the origin has it. The answer may be long in coming. */
async function pending(client: WireClient, origin: Origin, more: object) {
  const before = origin.seen.length;
  const answer = client.request('http/request', {
    requestId: 'pending',
    method: 'GET',
    url: `${origin.url}/hang`,
    ...more,
  });
  await until('the origin has the request', async () => origin.seen.length > before);
  return { answer };
}

async function disconnected(origin: Origin): Promise<void> {
  await until('the origin has no connection any more', async () => origin.connections === 0);
}

export const cancelling: Topic = {
  name: 'cancelling',
  cases: [
    {
      id: 'HTTP-C1',
      title: 'a request that waits for its answer is cancelled, with its connection',
      covers: ['http/request', 'http/cancel'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        for (const more of [{}, { streamResponse: true }, { responseStreamId: 'answer' }]) {
          const { answer } = await pending(client, origin, more);
          await client.call('http/cancel', { requestId: 'pending' });
          expect((await answer).error).toMatchObject({ code: -32603 });
          await disconnected(origin);
        }
      },
    },
    {
      id: 'HTTP-C2',
      title: 'a body that is being sent as deltas is cancelled, and says so',
      covers: ['http/request', 'http/cancel', 'http/request/bodyDelta'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const request = {
          requestId: 'body',
          method: 'GET',
          url: `${origin.url}/hang-body`,
          streamResponse: true,
        };
        await client.call('http/request', request);
        await client.waitFor('the first delta', () => deltasOf(client, 'body')[0]);
        await client.call('http/cancel', { requestId: 'body' });
        const last = await client.waitFor('the last delta', () =>
          deltasOf(client, 'body').find(({ done }) => done),
        );
        expect(last).toMatchObject({ error: expect.any(String), seq: 2 });
        await disconnected(origin);
        await client.call('http/request', request);
      },
    },
    {
      id: 'HTTP-C3',
      title: 'a body that is a stream is cancelled without a word',
      covers: ['http/request', 'stream/cancel'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const request = { requestId: 'body', method: 'GET', url: `${origin.url}/hang-body` };
        await client.call('http/request', { ...request, responseStreamId: 'gone' });
        await client.waitFor('the first bytes', () => events(client, 'stream/data')[0]);
        await client.call('stream/cancel', { streamId: 'gone' });
        await disconnected(origin);
        expect(events(client, 'stream/error')).toEqual([]);
      },
    },
    {
      id: 'HTTP-C4',
      title: 'the stream of an answer that has not come is cancelled with its request',
      covers: ['http/request', 'stream/cancel'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const { answer } = await pending(client, origin, { responseStreamId: 'early' });
        await client.call('stream/cancel', { streamId: 'early' });
        expect((await answer).error).toMatchObject({ code: -32603 });
        await disconnected(origin);
      },
    },
    {
      id: 'HTTP-C5',
      title: 'a body that nobody reads at the other end is given up by its client',
      covers: ['http/request', 'stream/write', 'stream/cancel'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const bodyStreamId = randomUUID();
        const answer = client.request('http/request', {
          requestId: 'upload',
          method: 'POST',
          url: `${origin.url}/no-read`,
          bodyStreamId,
        });
        const chunk = Buffer.alloc(limits.fileBlockBytes).toString('base64');
        const writes = Array.from({ length: 12 }, (_, index) =>
          client.request('stream/write', {
            streamId: bodyStreamId,
            offset: index * limits.fileBlockBytes,
            chunk,
          }),
        );
        await until('the origin has the request', async () => origin.seen.length > 0);
        await client.call('stream/cancel', { streamId: bodyStreamId });
        expect((await answer).error).toBeDefined();
        expect((await Promise.all(writes)).at(-1)?.error).toBeDefined();
        origin.resume();
        await disconnected(origin);
      },
    },
    {
      id: 'HTTP-C6',
      title: 'the end of a connection ends its requests',
      covers: ['http/request'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        await pending(client, origin, {}).then(({ answer }) => void answer.catch(() => {}));
        await client.call('http/request', {
          requestId: 'deltas',
          method: 'GET',
          url: `${origin.url}/hang-body`,
          streamResponse: true,
        });
        await client.call('http/request', {
          requestId: 'stream',
          method: 'GET',
          url: `${origin.url}/hang-body`,
          responseStreamId: 'stream',
        });
        await until('three connections', async () => origin.connections === 3);
        client.transport.close({ kind: 'lost', message: 'cut by the test' });
        await disconnected(origin);
      },
    },
    {
      id: 'HTTP-C7',
      title: `more than ${limits.httpRequests} requests at a time are refused, and a hanging one delays nobody`,
      covers: ['http/request', 'http/cancel'],
      over: ['memory'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const request = { requestId: 'many', method: 'GET', url: `${origin.url}/hang` };
        const answers = Array.from({ length: limits.httpRequests }, () =>
          client.request('http/request', request),
        );
        await until('all have come', async () => origin.seen.length === limits.httpRequests);
        expect(await client.refused('http/request', request)).toMatchObject({ code: -32011 });
        await client.call('environment/status');
        await client.call('http/cancel', { requestId: 'many' });
        expect((await Promise.all(answers)).every(({ error }) => error?.code === -32603)).toBe(true);
        await client.call('http/request', { ...request, url: `${origin.url}/plain` });
      },
    },
    {
      id: 'HTTP-C8',
      title: 'to cancel what is not there is no error',
      covers: ['http/cancel'],
      run: async (context) => {
        const client = await context.open();
        await client.call('http/cancel', { requestId: 'never seen' });
      },
    },
  ],
};
