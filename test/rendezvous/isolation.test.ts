import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Tickets } from '../../src/rendezvous/tickets.ts';
import {
  type Answer,
  type AskOptions,
  Peer,
  ask,
  codeOf,
  connectUrl,
  dial,
  executor,
  executorUrl,
  orchestrator,
  plainExecutor,
} from '../support/rendezvous-peers.ts';
import { type Service, startService, tokens } from '../support/rendezvous-tenants.ts';

/** Everything that somebody may try who has no right to an environment: with a foreign token, an altered ticket, a guessed stream. */
let service: Service;
let victim: Peer;
let url: string;

beforeAll(async () => {
  service = await startService();
  ({ url } = service);
  victim = await executor(url, 'secret-env', tokens.executor);
});

afterAll(async () => {
  victim[Symbol.dispose]();
  await service[Symbol.asyncDispose]();
});

const attempt = (path: string, options: AskOptions): (() => Promise<Answer>) => {
  return () => ask(url, path, options);
};

describe('requests', () => {
  const connect = '/cloud/environment/secret-env/connect';
  const register = '/cloud/environment/secret-env/register';
  test.each([
    ['connecting without a token', attempt(connect, {}), 401, 'unauthorized'],
    ['connecting with an empty token', attempt(connect, { token: '' }), 401, 'unauthorized'],
    ['connecting with an unknown token', attempt(connect, { token: 'guess' }), 401, 'unauthorized'],
    [
      'connecting with a part of a token',
      attempt(connect, { token: 'acme-orchestrator' }),
      401,
      'unauthorized',
    ],
    ['connecting with an expired token', attempt(connect, { token: tokens.expired }), 401, 'unauthorized'],
    [
      'connecting with the digest of a token',
      attempt(connect, { token: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' }),
      401,
      'unauthorized',
    ],
    [
      'connecting with another scheme',
      attempt(connect, { headers: { authorization: `Basic ${tokens.orchestrator}` } }),
      401,
      'unauthorized',
    ],
    [
      'connecting with two tokens in one header',
      attempt(connect, { headers: { authorization: `Bearer x, Bearer ${tokens.orchestrator}` } }),
      401,
      'unauthorized',
    ],
    [
      'connecting with the token in the query',
      attempt(`${connect}?token=${tokens.orchestrator}`, {}),
      401,
      'unauthorized',
    ],
    [
      'connecting from another tenant',
      attempt(connect, { token: tokens.foreignOrchestrator }),
      404,
      'environment_not_found',
    ],
    ['connecting as an executor', attempt(connect, { token: tokens.executor }), 403, 'role_forbidden'],
    [
      'connecting out of the scope of a token',
      attempt(connect, { token: tokens.ciOrchestrator }),
      403,
      'environment_forbidden',
    ],
    [
      'registering as an orchestrator',
      attempt(register, { token: tokens.orchestrator }),
      403,
      'role_forbidden',
    ],
    [
      'registering out of the scope of a token',
      attempt(register, { token: tokens.ciExecutor }),
      403,
      'environment_forbidden',
    ],
    [
      'registering what another principal has',
      attempt(register, { token: tokens.otherExecutor }),
      409,
      'environment_taken',
    ],
    [
      'registering it by the older endpoint',
      attempt('/cloud/executor/secret-env/register', { token: tokens.otherExecutor, body: {} }),
      409,
      'environment_taken',
    ],
    [
      'registering it by the oldest endpoint',
      attempt('/api/cloud/executor', { token: tokens.otherExecutor, body: { environment_id: 'secret-env' } }),
      409,
      'environment_taken',
    ],
    [
      'registering it directly',
      attempt('/cloud/environment/secret-env/direct/register', {
        token: tokens.otherExecutor,
        body: { transport: 'direct_jsonrpc_v1' },
      }),
      409,
      'environment_taken',
    ],
    [
      'naming a tenant in the body',
      attempt(connect, { token: tokens.foreignOrchestrator, body: { tenant: 'acme' } }),
      404,
      'environment_not_found',
    ],
    [
      'naming a tenant in the path',
      attempt('/cloud/environment/acme%00secret-env/connect', { token: tokens.foreignOrchestrator }),
      400,
      'invalid_environment_id',
    ],
    [
      'leaving the path',
      attempt('/cloud/environment/x%2f..%2fsecret-env/connect', { token: tokens.foreignOrchestrator }),
      404,
      'environment_not_found',
    ],
    [
      'sending it from a page of a browser',
      attempt(connect, { token: tokens.orchestrator, headers: { origin: 'https://example.com' } }),
      403,
      'foreign_origin',
    ],
    ['listing without a token', attempt('/v1/environments', { method: 'GET' }), 401, 'unauthorized'],
    [
      'listing as an executor',
      attempt('/v1/environments', { method: 'GET', token: tokens.executor }),
      403,
      'role_forbidden',
    ],
    ['watching without a login', attempt('/events', { method: 'GET' }), 401, 'unauthorized'],
    [
      'watching with an invented login',
      attempt('/events', { method: 'GET', headers: { cookie: 'exec_server_login=guess' } }),
      401,
      'unauthorized',
    ],
  ])('%s is refused', async (_title, request, status, code) => {
    const answer = await request();
    expect([answer.status, codeOf(answer)]).toStrictEqual([status, code]);
    expect(answer.text).not.toContain('ticket=');
  });

  test('a list has the environments of its tenant and scope alone', async () => {
    using own = await executor(url, 'globex-env', tokens.foreignExecutor);
    using ci = await executor(url, 'ci-1', tokens.ciExecutor);
    const ids = async (token: string): Promise<unknown[]> => {
      const { json } = await ask(url, '/v1/environments', { method: 'GET', token });
      return (json['environments'] as { id: unknown }[]).map(({ id }) => id);
    };
    expect(await ids(tokens.foreignOrchestrator)).toStrictEqual(['globex-env']);
    expect(await ids(tokens.ciOrchestrator)).toStrictEqual(['ci-1']);
    expect(await ids(tokens.orchestrator)).toStrictEqual(['ci-1', 'secret-env']);
    expect([own.waiting, ci.waiting]).toStrictEqual([0, 0]);
  });

  test('environments of one id in two tenants are two', async () => {
    using theirs = await executor(url, 'secret-env', tokens.foreignExecutor);
    using orchestratorThere = await orchestrator(url, 'secret-env', tokens.foreignOrchestrator);
    orchestratorThere.openStream('s-there');
    expect((await theirs.frame()).streamId).toBe('s-there');
    expect(victim.waiting).toBe(0);
  });
});

describe('tickets', () => {
  const wrong = async (change: (url: URL) => string | void): Promise<unknown> => {
    const ticket = new URL(await connectUrl(url, 'secret-env', tokens.orchestrator));
    return dial(change(ticket) ?? ticket.href);
  };
  const forged = (key: string): string =>
    new Tickets(Buffer.from(key)).issue({
      tenant: 'acme',
      environment: 'secret-env',
      role: 'orchestrator',
      subject: 'orchestrator',
      registration: '',
      reusable: true,
      expiresAt: Date.now() + 60_000,
    });
  const altered = (ticket: URL, change: (claims: unknown[]) => void): void => {
    const [version, body = '', signature] = (ticket.searchParams.get('ticket') ?? '').split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as unknown[];
    change(claims);
    const text = Buffer.from(JSON.stringify(claims)).toString('base64url');
    ticket.searchParams.set('ticket', `${version}.${text}.${signature}`);
  };
  test.each<[string, (url: URL) => string | void, number, string]>([
    ['none', (at) => at.searchParams.delete('ticket'), 401, 'missing_signature'],
    ['an empty one', (at) => at.searchParams.set('ticket', ''), 401, 'missing_signature'],
    ['a word', (at) => at.searchParams.set('ticket', 'please'), 403, 'invalid_signature'],
    [
      'one of another key',
      (at) => at.searchParams.set('ticket', forged('k'.repeat(32))),
      403,
      'invalid_signature',
    ],
    ['one of an empty key', (at) => at.searchParams.set('ticket', forged('')), 403, 'invalid_signature'],
    [
      'one without signature',
      (at) =>
        at.searchParams.set('ticket', `${at.searchParams.get('ticket')?.split('.').slice(0, 2).join('.')}.`),
      403,
      'invalid_signature',
    ],
    [
      'another tenant in it',
      (at) => altered(at, (claims) => (claims[0] = 'globex')),
      403,
      'invalid_signature',
    ],
    [
      'another environment in it',
      (at) => altered(at, (claims) => (claims[1] = 'ci-1')),
      403,
      'invalid_signature',
    ],
    [
      'another role in it',
      (at) => altered(at, (claims) => (claims[2] = 'executor')),
      403,
      'invalid_signature',
    ],
    [
      'another subject in it',
      (at) => altered(at, (claims) => (claims[3] = 'otherOrchestrator')),
      403,
      'invalid_signature',
    ],
    ['more uses in it', (at) => altered(at, (claims) => (claims[5] = true)), 403, 'invalid_signature'],
    [
      'a later end in it',
      (at) => altered(at, (claims) => (claims[6] = Date.now() + 9e9)),
      403,
      'invalid_signature',
    ],
    [
      'another spelling of the signature',
      (at) => at.searchParams.set('ticket', `${at.searchParams.get('ticket')}=`),
      403,
      'invalid_signature',
    ],
    ['one for another path', (at) => at.href.replace('secret-env', 'ci-1'), 403, 'invalid_signature'],
    ['one for another role', (at) => at.searchParams.set('role', 'executor'), 403, 'invalid_role'],
    ['no role', (at) => at.searchParams.delete('role'), 400, 'missing_role'],
    ['an unknown role', (at) => at.searchParams.set('role', 'admin'), 400, 'invalid_role'],
    ['two roles', (at) => `${at.href}&role=harness`, 400, 'malformed_query'],
    ['one parameter more', (at) => `${at.href}&tenant=globex`, 400, 'extra_query_param'],
    ['a malformed escape', (at) => `${at.href}%zz`, 400, 'malformed_query'],
    ['another place', (at) => at.href.replace('/cloud/', '/clouds/'), 404, 'unknown_route'],
  ])('%s is refused before the handshake', async (_title, change, status, reason) => {
    expect(await wrong(change)).toStrictEqual({ status, reason });
    expect(victim.waiting).toBe(0);
  });

  test('a used one is refused', async () => {
    const ticket = await connectUrl(url, 'secret-env', tokens.orchestrator);
    using first = (await dial(ticket)) as Peer;
    expect(first).toBeInstanceOf(Peer);
    expect(await dial(ticket)).toStrictEqual({ status: 403, reason: 'invalid_secret' });
  });

  test('a used one of an executor is refused', async () => {
    const ticket = await executorUrl(url, 'once-env', tokens.executor);
    using first = (await dial(ticket)) as Peer;
    expect(first).toBeInstanceOf(Peer);
    expect(await dial(ticket)).toStrictEqual({ status: 403, reason: 'invalid_secret' });
  });

  test('ten uses of one at a time are one', async () => {
    const ticket = await connectUrl(url, 'secret-env', tokens.orchestrator);
    const all = await Promise.all(Array.from({ length: 10 }, () => dial(ticket)));
    const peers = all.filter((one) => one instanceof Peer);
    for (const peer of peers) peer[Symbol.dispose]();
    expect(peers).toHaveLength(1);
  });

  test('one from before the last registration is refused', async () => {
    const former = await executorUrl(url, 'twice-env', tokens.executor);
    await executorUrl(url, 'twice-env', tokens.executor);
    expect(await dial(former)).toStrictEqual({ status: 409, reason: 'unexpected_executor_registration_id' });
  });

  test('a page of a browser has no use for one', async () => {
    const ticket = await connectUrl(url, 'secret-env', tokens.orchestrator);
    const refusal = await dial(ticket, { origin: 'https://example.com' });
    expect(refusal).toStrictEqual({ status: 403, reason: 'unknown_route' });
  });

  test('a reusable one is good more than once, and never longer than the limit', async () => {
    const asked = { reusable: true, ttl_seconds: 10 ** 9 };
    const { json } = await ask(url, '/cloud/environment/secret-env/connect', {
      token: tokens.orchestrator,
      body: asked,
    });
    expect(Date.parse(json['expires_at'] as string)).toBeLessThanOrEqual(Date.now() + 24 * 3600 * 1000);
    for (const time of [1, 2]) {
      using peer = (await dial(json['url'] as string)) as Peer;
      expect(peer, `use ${time}`).toBeInstanceOf(Peer);
    }
  });
});

describe('streams', () => {
  const id = '6f0c5f0e-1111-4222-8333-444455556666';

  test.each(['data', 'resume', 'reset', 'heartbeat', 'ack'] as const)(
    'another subject of the tenant that knows a stream id has nothing of it by %s',
    async (kind) => {
      using own = await orchestrator(url, 'secret-env', tokens.orchestrator);
      using thief = await orchestrator(url, 'secret-env', tokens.otherOrchestrator);
      const streamId = `${id}-${kind}`;
      own.openStream(streamId);
      await victim.frame();
      if (kind === 'data') thief.sendData(streamId, '{"id":1}');
      else if (kind === 'resume') thief.openStream(streamId);
      else if (kind === 'reset') thief.sendFrame(streamId, { kind, reason: 'normal: bye' });
      else thief.sendFrame(streamId, { kind });
      // A stream of its own shows that what it has sent before has been looked at.
      thief.openStream(`${streamId}-own`);
      expect((await victim.frame()).streamId).toBe(`${streamId}-own`);
      victim.sendData(streamId, '{"secret":true}');
      victim.sendData(`${streamId}-own`, '{}');
      expect((await own.frame()).streamId).toBe(streamId);
      expect((await thief.frame()).streamId).toBe(`${streamId}-own`);
      expect(thief.waiting).toBe(0);
      own.sendFrame(streamId, { kind: 'reset', reason: 'normal: done' });
      thief.sendFrame(`${streamId}-own`, { kind: 'reset', reason: 'normal: done' });
      await victim.frame();
      await victim.frame();
    },
  );

  test('a stream of another environment of the same subject is another one', async () => {
    using other = await executor(url, 'other-env', tokens.executor);
    using here = await orchestrator(url, 'secret-env', tokens.orchestrator);
    using there = await orchestrator(url, 'other-env', tokens.orchestrator);
    here.openStream('same-id');
    there.openStream('same-id');
    await victim.frame();
    await other.frame();
    other.sendData('same-id', 'from other');
    const { body } = await there.frame();
    expect(body.kind === 'data' && Buffer.from(body.payload).toString()).toBe('from other');
    victim.sendData('same-id', 'from secret');
    const { body: mine } = await here.frame();
    expect(mine.kind === 'data' && Buffer.from(mine.payload).toString()).toBe('from secret');
    expect([here.waiting, there.waiting]).toStrictEqual([0, 0]);
    here.sendFrame('same-id', { kind: 'reset', reason: 'normal: done' });
    await victim.frame();
  });

  test('an executor reaches orchestrators of its own environment alone', async () => {
    using hostile = await executor(url, 'hostile-env', tokens.otherExecutor);
    using own = await orchestrator(url, 'secret-env', tokens.orchestrator);
    own.openStream('quiet');
    await victim.frame();
    hostile.sendData('quiet', '{"injected":true}');
    hostile.sendFrame('quiet', { kind: 'reset', reason: 'normal: injected' });
    // Its own orchestrator is answered behind these.
    using theirs = await orchestrator(url, 'hostile-env', tokens.orchestrator);
    theirs.openStream('loud');
    expect((await hostile.frame()).streamId).toBe('loud');
    hostile.sendData('loud', '{}');
    await theirs.frame();
    expect(own.waiting).toBe(0);
    own.sendFrame('quiet', { kind: 'reset', reason: 'normal: done' });
    await victim.frame();
  });

  test('a second orchestrator of a plain executor gets no socket and no byte', async () => {
    using box = await plainExecutor(url, 'plain-env', tokens.executor);
    const second = await connectUrl(url, 'plain-env', tokens.otherOrchestrator);
    using first = await orchestrator(url, 'plain-env', tokens.orchestrator);
    first.webSocket.send('{"id":1}');
    expect(await box.text()).toBe('{"id":1}');
    expect(await dial(second)).toStrictEqual({ status: 409, reason: 'route_unavailable' });
    const answer = await ask(url, '/cloud/environment/plain-env/connect', {
      token: tokens.otherOrchestrator,
    });
    expect([answer.status, codeOf(answer)]).toStrictEqual([409, 'environment_busy']);
  });

  test('what a session has left unread is not for the next orchestrator', async () => {
    using box = await plainExecutor(url, 'reuse-env', tokens.executor);
    const first = await orchestrator(url, 'reuse-env', tokens.orchestrator);
    first.webSocket.send('{"id":1}');
    await box.text();
    first[Symbol.dispose]();
    expect(await box.closed()).toMatchObject({ code: 4011 });
    using again = await plainExecutor(url, 'reuse-env', tokens.executor);
    using next = await orchestrator(url, 'reuse-env', tokens.otherOrchestrator);
    next.webSocket.send('{"id":2}');
    expect(await again.text()).toBe('{"id":2}');
    again.webSocket.send('{"id":2,"result":{}}');
    expect(await next.text()).toBe('{"id":2,"result":{}}');
    expect(next.waiting).toBe(0);
  });
});
