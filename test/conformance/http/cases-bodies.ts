import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';

import { expect } from 'vitest';
import { WebSocketServer } from 'ws';

import { limits } from '../../../src/protocol/limits.ts';
import { type WireClient, base64 } from '../../support/conformance-wire.ts';
import { deltasOf, events, exchange, lastDelta } from '../../support/http-exchange.ts';
import { Origin, bytesOf, until } from '../../support/http-origin.ts';
import { portOf } from '../../support/reference.ts';
import { MiB } from '../../support/transfer-view.ts';
import type { Topic } from '../case.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Opens a request whose body is a stream, and sends the parts and, where there is one, the end. */
function sendBody(
  client: WireClient,
  streamId: string,
  parts: readonly string[],
  digest?: string,
): Promise<unknown>[] {
  let offset = 0;
  const sent: Promise<unknown>[] = parts.map((part) => {
    const write = client.request('stream/write', { streamId, offset, chunk: base64(part) });
    offset += Buffer.byteLength(part);
    return write;
  });
  if (digest !== undefined)
    sent.push(client.request('stream/finish', { streamId, bytes: offset, sha256: digest }));
  return sent;
}

const post = (origin: Origin, streamId: string, target = '/echo') => ({
  requestId: randomUUID(),
  method: 'POST',
  url: `${origin.url}${target}`,
  bodyStreamId: streamId,
});

/** Waits until the origin gets rid of nothing any more, and answers how much it did. */
async function stalledAt(origin: Origin): Promise<number> {
  let last = -1;
  let same = 0;
  await until('the origin is held up', async () => {
    same = origin.sentBytes === last ? same + 1 : 0;
    last = origin.sentBytes;
    return last > 0 && same >= 10;
  });
  return last;
}

export const bodies: Topic = {
  name: 'bodies',
  cases: [
    {
      id: 'HTTP-B1',
      title: 'a body that is written as a stream reaches the origin',
      covers: ['http/request', 'stream/write', 'stream/finish'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const streamId = randomUUID();
        const answer = client.request('http/request', post(origin, streamId));
        const sent = sendBody(
          client,
          streamId,
          ['one ', 'two ', 'three'],
          sha256(Buffer.from('one two three')),
        );
        expect(
          (await Promise.all(sent)).filter((one) => (one as { error?: unknown }).error !== undefined),
        ).toEqual([]);
        expect((await answer).error).toBeUndefined();
        expect(origin.seen[0]?.body.toString()).toBe('one two three');
        expect(origin.seen[0]?.headers.get('transfer-encoding')).toBe('chunked');
      },
    },
    {
      id: 'HTTP-B2',
      title: 'a body whose digest is wrong is no body: the request fails',
      covers: ['http/request', 'stream/finish'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const streamId = randomUUID();
        const answer = client.request('http/request', post(origin, streamId));
        await Promise.all(sendBody(client, streamId, ['one'], sha256(Buffer.from('two'))));
        expect((await answer).error).toBeDefined();
        expect(origin.seen).toEqual([]);
      },
    },
    {
      id: 'HTTP-B3',
      title: 'a body with a content-length is sent with it',
      covers: ['http/request', 'stream/write', 'stream/finish'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const streamId = randomUUID();
        const headers = [{ name: 'content-length', value: '5' }];
        const answer = client.request('http/request', { ...post(origin, streamId), headers });
        await Promise.all(sendBody(client, streamId, ['12', '345'], sha256(Buffer.from('12345'))));
        expect((await answer).error).toBeUndefined();
        expect(origin.seen[0]?.headers.get('content-length')).toBe('5');
        expect(origin.seen[0]?.body.toString()).toBe('12345');
      },
    },
    {
      id: 'HTTP-B4',
      title: 'an origin may answer before the body has ended',
      covers: ['http/request', 'stream/write'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const streamId = randomUUID();
        const answer = client.request('http/request', post(origin, streamId, '/early'));
        void Promise.all(sendBody(client, streamId, ['first part']));
        expect((await answer).result).toMatchObject({ status: 413, bodyBase64: base64('enough') });
        await client.waitFor('the end of the stream', () => true);
        await until('the stream is gone', async () => {
          const { code } = await client.refused('stream/write', { streamId, offset: 10, chunk: '' });
          return code === -32004;
        });
      },
    },
    {
      id: 'HTTP-B5',
      title: 'an origin is held up by the credit of the client, and nothing is lost',
      covers: ['http/request', 'stream/data', 'stream/credit', 'stream/end'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const [streamId, size] = [randomUUID(), 24 * MiB];
        await client.call('http/request', {
          requestId: 'credit',
          method: 'GET',
          url: `${origin.url}/bytes/${size}`,
          responseStreamId: streamId,
          creditBytes: limits.streamChunkBytes,
        });
        await client.waitFor('the first bytes', () => events(client, 'stream/data')[0]);
        // What is not with the client is in the sockets between.
        expect(await stalledAt(origin)).toBeLessThan(20 * MiB);
        expect(events(client, 'stream/data').length).toBe(1);
        await client.call('stream/credit', { streamId, bytes: size });
        const end = await client.waitFor('the end', () => events(client, 'stream/end')[0]);
        expect(end).toMatchObject({ bytes: size, sha256: sha256(bytesOf(size)) });
      },
    },
    {
      id: 'HTTP-B6',
      title: 'an origin is held up by a client that stops reading, and nothing is lost',
      covers: ['http/request', 'http/request/bodyDelta'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const size = 48 * MiB;
        const whole = client.call('http/request', {
          requestId: 'stalled',
          method: 'GET',
          url: `${origin.url}/bytes/${size}`,
          streamResponse: true,
        });
        await whole;
        client.transport.pause();
        expect(await stalledAt(origin)).toBeLessThan(40 * MiB);
        client.transport.resume();
        await lastDelta(client, 'stalled');
        const all = deltasOf(client, 'stalled');
        expect(all.map(({ seq }) => seq)).toEqual(all.map((_delta, index) => index + 1));
        expect(all.at(-1)).toMatchObject({ done: true, error: null, bodyBytes: size });
        expect(sha256(Buffer.concat(all.map(({ deltaBase64 }) => deltaBase64)))).toBe(sha256(bytesOf(size)));
      },
    },
    {
      id: 'HTTP-B7',
      title: 'server-sent events come one by one, as they are sent',
      covers: ['http/request', 'http/request/bodyDelta'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        await client.call('http/request', {
          requestId: 'sse',
          method: 'GET',
          url: `${origin.url}/held`,
          headers: [{ name: 'accept', value: 'text/event-stream' }],
          streamResponse: true,
        });
        const [socket] = origin.held;
        for (let count = 1; count <= 5; count++) {
          socket?.write(`9\r\ndata: ${count}\n\n\r\n`);
          await client.waitFor(`event ${count}`, () => deltasOf(client, 'sse')[count - 1]);
        }
        socket?.end('0\r\n\r\n');
        await client.waitFor('the end', () => deltasOf(client, 'sse').find(({ done }) => done));
        const text = Buffer.concat(deltasOf(client, 'sse').map(({ deltaBase64 }) => deltaBase64)).toString();
        expect(text).toBe([1, 2, 3, 4, 5].map((count) => `data: ${count}\n\n`).join(''));
      },
    },
    {
      id: 'HTTP-B8',
      title: 'an id is taken until the last delta of its body, and for streamed bodies only',
      covers: ['http/request', 'http/request/bodyDelta'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const request = { requestId: 'same', method: 'GET', url: `${origin.url}/held`, streamResponse: true };
        await client.call('http/request', request);
        expect(await client.refused('http/request', request)).toMatchObject({ code: -32602 });
        const plain = { requestId: 'same', method: 'GET', url: `${origin.url}/plain` };
        await Promise.all([client.call('http/request', plain), client.call('http/request', plain)]);
        origin.held[0]?.end('0\r\n\r\n');
        await client.waitFor('the end', () => deltasOf(client, 'same').find(({ done }) => done));
        await exchange(client, 'deltas', { ...plain, requestId: 'same' });
      },
    },
    {
      id: 'HTTP-B9',
      title: 'a failed request leaves its id and its streams free',
      covers: ['http/request'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const [bodyStreamId, responseStreamId] = [randomUUID(), randomUUID()];
        const bad = { requestId: 'again', method: 'POST', url: 'http://127.0.0.1:1/', bodyStreamId };
        await client.refused('http/request', { ...bad, streamResponse: true });
        await client.refused('http/request', { ...bad, responseStreamId });
        const good = { ...bad, url: `${origin.url}/echo`, responseStreamId };
        const answer = client.request('http/request', good);
        await Promise.all(sendBody(client, bodyStreamId, ['x'], sha256(Buffer.from('x'))));
        expect((await answer).error).toBeUndefined();
        await client.waitFor('the end', () => events(client, 'stream/end')[0]);
      },
    },
    {
      id: 'HTTP-B10',
      title: 'a body comes in one form only',
      covers: ['http/request'],
      run: async (context) => {
        const client = await context.open();
        const request = { requestId: 'r', method: 'POST', url: 'http://127.0.0.1:1/' };
        for (const more of [
          { streamResponse: true, responseStreamId: 'a' },
          { bodyBase64: 'eA==', bodyStreamId: 'a' },
        ]) {
          expect(await client.refused('http/request', { ...request, ...more })).toMatchObject({
            code: -32602,
          });
        }
      },
    },
    {
      id: 'HTTP-B11',
      title: 'a body that is too large for one piece is refused, and comes as a stream',
      covers: ['http/request', 'http/request/bodyDelta'],
      over: ['memory'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const size = limits.httpBufferedBytes + 1;
        const request = { method: 'GET', url: `${origin.url}/bytes/${size}` };
        const { code, message } = await exchange(client, 'buffered', request);
        expect({ code, message }).toEqual({ code: -32603, message: expect.stringContaining('as a stream') });
        expect((await exchange(client, 'deltas', request)).body?.length).toBe(size);
      },
    },
    {
      id: 'HTTP-B12',
      title: 'a unix socket of the environment is reached, and its redirects stay with it',
      covers: ['http/request'],
      run: async (context) => {
        const socket = path.join(await context.folder(), 'http.sock');
        await using origin = await Origin.start({ path: socket });
        const client = await context.open();
        const request = { method: 'GET', unixSocket: socket };
        const got = await exchange(client, 'buffered', {
          ...request,
          url: 'http://inside/redirect/302/%2Fecho',
        });
        expect(got).toMatchObject({ status: 200, url: 'http://inside/echo' });
        expect(origin.seen[1]?.headers.get('host')).toBe('inside');
        const away = await exchange(client, 'buffered', {
          ...request,
          url: `http://inside/redirect/302/${encodeURIComponent('http://127.0.0.1:1/')}`,
        });
        expect(away).toMatchObject({ code: -32603 });
      },
    },
    {
      id: 'HTTP-B14',
      title: 'a WebSocket of the environment is reached through both streams',
      covers: ['http/request', 'stream/write', 'stream/data', 'stream/end'],
      run: async (context) => {
        const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
        server.on('connection', (socket) => {
          socket.on('message', (text: Buffer) => socket.send(`echo of ${text.toString()}`));
        });
        await once(server, 'listening');
        try {
          const client = await context.open();
          const [bodyStreamId, responseStreamId] = [randomUUID(), randomUUID()];
          const answer = await client.call('http/request', {
            requestId: 'websocket',
            method: 'GET',
            url: `http://127.0.0.1:${portOf(server)}/`,
            headers: [
              { name: 'sec-websocket-version', value: '13' },
              { name: 'sec-websocket-key', value: 'dGhlIHNhbXBsZSBub25jZQ==' },
            ],
            upgrade: 'websocket',
            bodyStreamId,
            responseStreamId,
          });
          expect(answer).toMatchObject({ status: 101 });
          const accept = answer.headers.find(({ name }) => name === 'sec-websocket-accept');
          expect(accept?.value).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
          // A text frame and a close frame, with a mask of zeros.
          const frame = Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from('hello')]);
          const close = Buffer.from([0x88, 0x80, 0, 0, 0, 0]);
          const write = (offset: number, bytes: Buffer) =>
            client.call('stream/write', { streamId: bodyStreamId, offset, chunk: bytes.toString('base64') });
          await write(0, frame);
          const [first] = await client.waitFor('the echo', () => {
            const found = events(client, 'stream/data');
            return found.length > 0 ? found : undefined;
          });
          expect(
            Buffer.from(first?.chunk ?? [])
              .subarray(2)
              .toString(),
          ).toBe('echo of hello');
          await write(frame.length, close);
          await client.waitFor('the end', () => events(client, 'stream/end')[0]);
        } finally {
          server.close();
        }
      },
    },
    {
      id: 'HTTP-B15',
      title: 'an upgrade that is refused is an answer like any other, and needs both streams',
      covers: ['http/request', 'stream/data', 'stream/end'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const request = { requestId: 'no', method: 'GET', url: `${origin.url}/plain`, upgrade: 'websocket' };
        expect(await client.refused('http/request', request)).toMatchObject({ code: -32602 });
        const answer = await client.call('http/request', {
          ...request,
          bodyStreamId: 'up',
          responseStreamId: 'down',
        });
        expect(answer.status).toBe(200);
        await client.waitFor('the end', () => events(client, 'stream/end')[0]);
        expect(Buffer.from(events(client, 'stream/data')[0]?.chunk ?? []).toString()).toBe('content');
        expect(origin.seen[0]?.headers.get('upgrade')).toBe('websocket');
      },
    },
    {
      id: 'HTTP-B13',
      title: 'a redirect is not followed with a body that was a stream',
      covers: ['http/request', 'stream/write', 'stream/finish'],
      run: async (context) => {
        await using origin = await Origin.start();
        const client = await context.open();
        const streamId = randomUUID();
        const answer = client.request('http/request', post(origin, streamId, '/redirect/307/%2Fecho'));
        await Promise.all(sendBody(client, streamId, ['x'], sha256(Buffer.from('x'))));
        expect((await answer).error).toMatchObject({ code: -32603 });
        expect(origin.seen.length).toBe(1);
      },
    },
  ],
};
