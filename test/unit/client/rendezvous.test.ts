import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';

import { type RendezvousAddress, fetchTicket } from '../../../src/client/rendezvous-ticket.ts';
import { dialRendezvous } from '../../../src/client/rendezvous.ts';
import { ConnectionError } from '../../../src/rpc/connection-error.ts';

const token = 'top-secret-token';
const secret = 'hidden-ticket';
const stack: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const one of stack.splice(0)) await one.disposeAsync();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A service that answers every request in the same way. */
async function service(handler: Handler): Promise<{ url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    handler(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const disposal = new AsyncDisposableStack();
  disposal.defer(async () => {
    server.closeAllConnections();
    const closed = once(server, 'close');
    server.close();
    await closed;
  });
  stack.push(disposal);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

const json =
  (status: number, body: unknown): Handler =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const at = (rendezvous: string, more: Partial<RendezvousAddress> = {}): RendezvousAddress => ({
  rendezvous,
  environmentId: 'env 1/x',
  token,
  ...more,
});

async function failure(work: Promise<unknown>): Promise<ConnectionError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConnectionError);
  const { message } = error as ConnectionError;
  expect(message).not.toContain(token);
  expect(message).not.toContain(secret);
  return error as ConnectionError;
}

const never = new AbortController().signal;
const ticketFor = (url: string): object => ({ url, transport: 'relay_v1', environment_id: 'env-1' });

describe('a ticket of a rendezvous', () => {
  test('is asked for with the token, for this environment', async () => {
    const url = `ws://127.0.0.1:1/socket?ticket=${secret}`;
    const { url: base, requests } = await service(json(200, ticketFor(url)));
    const ticket = await fetchTicket(at(`${base}/below/`, { headers: { 'x-more': 'yes' } }), never);
    expect(ticket).toEqual({ url, transport: 'relay_v1' });
    const [request] = requests;
    expect([request?.method, request?.url]).toEqual(['POST', '/below/cloud/environment/env%201%2Fx/connect']);
    expect(request?.headers).toMatchObject({ authorization: `Bearer ${token}`, 'x-more': 'yes' });
  });

  test.each([
    [401, 'unauthorized'],
    [403, 'unauthorized'],
    [404, 'notFound'],
    [409, 'busy'],
    [429, 'refused'],
    [500, 'refused'],
    [503, 'offline'],
  ])('is refused with %i as %s', async (status, reason) => {
    const { url } = await service(json(status, { error: { code: 'x', message: 'because\u001b' } }));
    const error = await failure(fetchTicket(at(url), never));
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(`${status} (because?)`);
  });

  test('is not fetched where a redirect leads', async () => {
    const { url, requests } = await service((_request, response) => {
      response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
    });
    expect((await failure(fetchTicket(at(url), never))).message).toMatch(/redirects.*307/);
    expect(requests).toHaveLength(1);
  });

  test.each([
    ['no JSON', 'no ticket', 'x'],
    ['another transport', 'no ticket', { url: 'ws://127.0.0.1:1/', transport: 'relay_v2' }],
    ['no URL', 'no WebSocket', { url: secret, transport: 'relay_v1' }],
    ['a URL of another kind', 'no WebSocket', { url: `http://127.0.0.1/${secret}`, transport: 'relay_v1' }],
    ['a plain socket elsewhere', 'plain socket', { url: `ws://192.0.2.1/${secret}`, transport: 'relay_v1' }],
    [
      'a URL that is too long',
      'no ticket',
      { url: `ws://127.0.0.1/${'x'.repeat(9000)}`, transport: 'relay_v1' },
    ],
  ])('with %s is none', async (_name, problem, answer) => {
    const { url } = await service(json(200, answer));
    const error = await failure(fetchTicket(at(url), never));
    expect([error.reason, error.message]).toEqual(['protocol', expect.stringContaining(problem)]);
  });

  test('of any length is not read to its end', async () => {
    const { url } = await service((_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        response.once('drain', more);
      };
      more();
    });
    expect((await failure(fetchTicket(at(url), never))).reason).toBe('protocol');
  });

  test.each([
    ['http://192.0.2.1', /plain http/],
    ['ftp://192.0.2.1', /https:\/\//],
    ['not a URL', /https:\/\//],
    ['https://user:word@example.org', /holds no credentials/],
    ['https://example.org?x=1', /no query/],
  ])('is not asked for at %s', async (rendezvous, problem) => {
    expect((await failure(fetchTicket(at(rendezvous), never))).message).toMatch(problem);
  });

  test('is not waited for when the caller has given up', async () => {
    const { url } = await service(() => {});
    const gone = new AbortController();
    const asked = fetchTicket(at(url), gone.signal);
    gone.abort(new ConnectionError('timeout', 'enough'));
    expect((await failure(asked)).message).toBe('enough');
  });

  test('that is refused at the socket is no refusal of the token, and is not shown', async () => {
    const { url } = await service((request, response) => {
      const { host } = request.headers;
      json(200, ticketFor(`ws://${host}/socket?ticket=${secret}`))(request, response);
    });
    const error = await failure(dialRendezvous(at(url), 0, never));
    expect(error.reason).toBe('refused');
  });
});
