import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';

import { idempotencyId } from '../../../../src/server/rendezvous/idempotency.ts';
import { version } from '../../../../src/version.ts';
import { Registrar } from '../../../../src/server/rendezvous/registration.ts';
import type { RendezvousSettings } from '../../../../src/server/rendezvous/settings.ts';
import {
  bearer,
  inEnvironment,
  noSecure,
  registryArena,
  settingsFor,
  url,
} from '../../../support/rendezvous-registering.ts';
import { replies } from '../../../support/rendezvous-registry.ts';

const arena = registryArena();
const { register, failure } = arena;

describe('what is sent', () => {
  const common = { authorization: `Bearer ${bearer}`, accept: '*/*' };

  test('to /api/cloud/executor: the body of the cloud environments', async () => {
    arena.registry.replies(replies(200, { id: 'x', environment_id: 'env-9', url }));
    const changes = {
      endpoint: 'cloud',
      id: undefined,
      name: 'codex-exec-server',
      accountId: 'account_id',
    } as const;
    expect(await register(changes)).toMatchObject({ framing: 'direct_jsonrpc_v1', id: 'env-9' });
    await register({ ...changes, id: 'env-1', name: 'box', accountId: 'acct-1' });
    const [chosen, named] = arena.registry.requests;
    expect(chosen).toMatchObject({ method: 'POST', path: '/api/cloud/executor' });
    expect(chosen?.headers).toMatchObject({
      ...common,
      'chatgpt-account-id': 'account_id',
      'content-type': 'application/json',
      'x-exec-server-transports': 'relay_v1, direct_jsonrpc_v1',
    });
    expect(JSON.parse(chosen?.body ?? '')).toEqual({
      idempotency_id: 'codex-exec-server-1dd70a6f8eafe7a30f3014eb478c81ac1f7461fceda09d283a7d88506340b1fe',
      name: 'codex-exec-server',
      labels: {},
      metadata: {},
    });
    expect(JSON.parse(named?.body ?? '')).toEqual({
      idempotency_id: 'codex-exec-server-ce7ced4cb394b0d5f805e31aa432a73a053a495fa31ed68c977d852e7aea5168',
      environment_id: 'env-1',
      name: 'box',
      labels: {},
      metadata: {},
    });
  });

  test('to /cloud/executor/ID/register: the body of 0.129, with one idempotency id for the life of the process', async () => {
    arena.registry.replies(replies(200, { id: 'x', executor_id: 'other', url }));
    const registrar = new Registrar(
      settingsFor(arena.registry, { endpoint: 'executor', id: 'e-1' }),
      noSecure,
    );
    const { signal } = new AbortController();
    expect(await registrar.register(signal)).toMatchObject({ framing: 'direct_jsonrpc_v1', id: 'other' });
    await registrar.register(signal);
    expect(arena.registry.requests[0]).toMatchObject({
      method: 'POST',
      path: '/cloud/executor/e-1/register',
    });
    const bodies = arena.registry.requests.map(({ body }) => JSON.parse(body) as { idempotency_id: string });
    expect(bodies[0]).toEqual({
      idempotency_id: expect.stringMatching(/^codex-exec-server-[0-9a-f]{64}$/),
      executor_id: 'e-1',
      name: 'box',
      labels: {},
      metadata: {},
    });
    expect(bodies[1]).toEqual(bodies[0]);
  });

  test.each([
    ['executor-relay', '/cloud/executor/env-1/register', { executor_id: 'env-1', url }],
    ['environment', '/cloud/environment/env-1/register', inEnvironment],
  ] as const)('to the endpoint of %s: no body', async (endpoint, path, answer) => {
    arena.registry.replies(replies(200, answer));
    expect(await register({ endpoint })).toMatchObject({ framing: 'relay_v1', id: 'env-1' });
    const [request] = arena.registry.requests;
    expect(request).toMatchObject({ method: 'POST', path, body: '' });
    expect(request?.headers).toMatchObject({
      ...common,
      'content-length': '0',
      'x-exec-server-name': 'box',
      'x-exec-server-version': version,
      'x-exec-server-idempotency-id': idempotencyId('', 'env-1', 'box'),
    });
    expect(request?.headers['content-type']).toBeUndefined();
    expect(request?.headers['chatgpt-account-id']).toBeUndefined();
  });

  test('to the endpoint of plain sockets: its transport', async () => {
    const answer = { transport: 'direct_jsonrpc_v1', registration_id: 'r', ...inEnvironment };
    arena.registry.replies(replies(200, answer));
    const changes = { endpoint: 'environment-direct', framings: ['direct_jsonrpc_v1'] } as const;
    expect(await register(changes)).toMatchObject({ framing: 'direct_jsonrpc_v1' });
    expect(arena.registry.requests[0]).toMatchObject({
      path: '/cloud/environment/env-1/direct/register',
      body: '{"transport":"direct_jsonrpc_v1"}',
    });
  });

  test('an id is one segment of the path, whatever is in it, and the URL of the registry may have a path', async () => {
    arena.registry.replies(replies(200, { environment_id: 'a/b?c#d%2e ü', url }));
    await register({ id: 'a/b?c#d%2e ü', registry: `${arena.registry.url}/prefix` });
    expect(arena.registry.requests[0]?.path).toBe(
      '/prefix/cloud/environment/a%2Fb%3Fc%23d%252e%20%C3%BC/register',
    );
  });
});

describe('the framing', () => {
  const direct = { ...inEnvironment, transport: 'direct_jsonrpc_v1' };
  test.each([
    ['environment', direct, 'direct_jsonrpc_v1'],
    ['environment', { ...inEnvironment, transport: 'relay_v1' }, 'relay_v1'],
    ['cloud', { id: 'x', ...inEnvironment, transport: 'relay_v1' }, 'relay_v1'],
    ['executor', { executor_id: 'env-1', url }, 'relay_v1'],
    ['executor', { id: 'x', executor_id: 'env-1', url }, 'direct_jsonrpc_v1'],
    ['executor-relay', { id: 'x', executor_id: 'env-1', url }, 'relay_v1'],
  ] as const)('at %s, %j means %s', async (endpoint, answer, framing) => {
    arena.registry.replies(replies(200, answer));
    expect(await register({ endpoint })).toMatchObject({ framing });
  });

  test.each([
    ['environment', ['relay_v1'], direct, 'not one that this executor offered'],
    [
      'environment',
      ['relay_v1'],
      { ...inEnvironment, transport: 'quic' },
      'not one that this executor offered',
    ],
    ['executor', ['relay_v1'], { id: 'x', executor_id: 'e', url }, 'speaks direct_jsonrpc_v1 only'],
    ['executor', ['direct_jsonrpc_v1'], { executor_id: 'e', url }, 'speaks relay_v1 only'],
    [
      'environment',
      ['relay_v1'],
      { ...inEnvironment, transport: null },
      'not one that this executor offered',
    ],
  ] as const)('at %s, to an executor of %j, %j is refused', async (endpoint, framings, answer, text) => {
    arena.registry.replies(replies(200, answer));
    expect(await failure({ endpoint, framings })).toMatchObject({
      message: expect.stringContaining(text),
      transient: false,
    });
  });
});

describe('a refusal', () => {
  const body = { error: { code: 'no_such\r\nthing', message: `Bearer ${bearer} at /x?signature=hidden` } };

  it.each([
    [400, false, 'look at the id, the URL and the log of the service'],
    [404, false, 'the environment, or the address, is not known there'],
    [405, false, 'does not take this registration'],
    [410, false, 'does not take this registration'],
    [422, false, 'does not take this registration'],
    [304, false, 'look at the URL'],
    [408, true, '408'],
    [409, true, '409'],
    [425, true, '425'],
    [429, true, '429'],
    [500, true, '500'],
    [502, true, '502'],
    [503, true, '503'],
    [504, true, '504'],
  ])('with %d is told once; it passes: %s', async (status, transient, text) => {
    arena.registry.replies(replies(status, status === 304 ? '' : body));
    const error = await failure();
    expect(error).toMatchObject({ transient, unauthorized: false, message: expect.stringContaining(text) });
    expect(error.message).toContain(`the registry answers with ${status}`);
    if (status !== 304) expect(error.message).toContain('(no_such??thing: Bearer … at /x)');
    expect(arena.registry.requests).toHaveLength(1);
  });

  it.each([
    [401, 'it does not know the token in EXEC_SERVER_REMOTE_TOKEN; get a new one'],
    [403, 'the token in EXEC_SERVER_REMOTE_TOKEN does not permit this registration'],
  ])('with %d is tried once more and then told', async (status, text) => {
    arena.registry.replies(replies(status));
    const error = await failure();
    expect(error).toMatchObject({
      transient: false,
      unauthorized: true,
      message: expect.stringContaining(text),
    });
    expect(arena.registry.requests).toHaveLength(2);
  });

  it('shows nothing of a body that is no error', async () => {
    for (const text of ['', 'oops', '[]', 'null', '{"error":"text"}', '{"error":{"message":7}}', '\xff']) {
      arena.registry.replies(replies(500, text));
      expect((await failure()).message).toBe('the registry answers with 500');
    }
  });

  it.each([
    ['7', 7_000],
    ['0', 0],
    ['86400', 300_000],
    ['soon', undefined],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ])('with Retry-After %j waits %s ms', async (header, milliseconds) => {
    arena.registry.replies(replies(429, '', { 'retry-after': header }));
    expect((await failure()).retryAfterMs).toBe(milliseconds);
    arena.registry.replies(replies(404, '', { 'retry-after': header }));
    expect((await failure()).retryAfterMs).toBeUndefined();
  });

  it('with a date in Retry-After waits until then', async () => {
    arena.registry.replies(replies(503, '', { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }));
    const { retryAfterMs = 0 } = await failure();
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });
});

describe('the token in a file', () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'exec-token-'));
    file = path.join(folder, 'token');
    await writeFile(file, 'old-token\n');
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is read at each registration, and again when it was refused', async () => {
    const registrar = new Registrar(settingsFor(arena.registry, { credential: { file } }), noSecure);
    const { signal } = new AbortController();
    arena.registry.replies(
      (response) => {
        // The registry itself is who replaces it: between the two requests of one registration.
        void writeFile(file, 'new-token\n').then(() =>
          replies(401)(response, arena.registry.requests[0] as never),
        );
      },
      replies(200, inEnvironment),
    );
    await registrar.register(signal);
    await writeFile(file, 'third-token\n');
    await registrar.register(signal);
    expect(arena.registry.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer old-token',
      'Bearer new-token',
      'Bearer third-token',
    ]);
  });

  it.each([
    ['', 'is empty'],
    ['two words', 'is no token'],
  ])('that holds %j is told before anything is sent', async (content, text) => {
    await writeFile(file, content);
    expect((await failure({ credential: { file } })).message).toContain(text);
    await rm(file);
    expect((await failure({ credential: { file } })).message).toContain('No such file');
    expect(arena.registry.requests).toEqual([]);
  });
});

describe('an answer', () => {
  const answered = async (body: unknown, changes: Partial<RendezvousSettings> = {}): Promise<string> => {
    arena.registry.replies(replies(200, body));
    const error = await failure(changes);
    expect(error.transient).toBe(false);
    expect(arena.registry.requests).toHaveLength(1);
    return error.message;
  };

  it.each([
    ['', 'it is no JSON'],
    ['<html>', 'it is no JSON'],
    ['{"url":', 'it is no JSON'],
    ['null', 'it is no JSON object'],
    ['[]', 'it is no JSON object'],
    ['"text"', 'it is no JSON object'],
    [{}, 'it has no text "environment_id"'],
    [{ __proto__: inEnvironment }, 'it has no text "environment_id"'],
    [{ url }, 'it has no text "environment_id"'],
    [{ environment_id: 7, url }, 'it has no text "environment_id"'],
    [{ environment_id: 'env-1' }, 'it has no text "url"'],
    [{ environment_id: 'env-1', url: null }, 'it has no text "url"'],
    [{ environment_id: 'env-1', url: '' }, 'it has no text "url"'],
    [{ ...inEnvironment, environment_id: 'env-2' }, 'it is about another environment'],
    [{ ...inEnvironment, security_profile: 'noise_hybrid_ik_v1' }, 'it asks for encrypted relay frames'],
    [{ ...inEnvironment, url: 'https://x/?hidden' }, 'no ws:// or wss:// URL'],
    [{ ...inEnvironment, url: '/socket?hidden' }, 'no ws:// or wss:// URL'],
    [{ ...inEnvironment, url: 'wss://' }, 'no ws:// or wss:// URL'],
    [{ ...inEnvironment, url: `wss://x/?${'h'.repeat(8192)}` }, 'no ws:// or wss:// URL'],
    [{ ...inEnvironment, url: 'wss://user:hidden@x/' }, 'credentials or a fragment'],
    [{ ...inEnvironment, url: 'wss://x/#hidden' }, 'credentials or a fragment'],
    [{ ...inEnvironment, url: 'ws://10.0.0.1/?hidden' }, '--remote-allow-http'],
    [' '.repeat(65_537), 'it has more than 65536 bytes'],
  ])('%j is refused', async (body, text) => {
    expect(await answered(body)).toContain(text);
  });

  it('lacks what its endpoint promises, in this order', async () => {
    const all = {
      id: 'x',
      transport: 'direct_jsonrpc_v1',
      registration_id: 'r',
      executor_id: 'e',
      ...inEnvironment,
    };
    const orders = {
      cloud: ['id', 'environment_id', 'url'],
      executor: ['executor_id', 'url'],
      'executor-relay': ['executor_id', 'url'],
      environment: ['environment_id', 'url'],
      'environment-direct': ['transport', 'environment_id', 'registration_id', 'url'],
    } as const;
    for (const [endpoint, names] of Object.entries(orders)) {
      for (const [place, name] of names.entries()) {
        const without = Object.fromEntries(
          Object.entries(all).filter(([key]) => !(names.slice(place) as string[]).includes(key)),
        );
        arena.registry.replies(replies(201, without));
        const { message } = await failure({ endpoint: endpoint as keyof typeof orders });
        expect(message).toContain(`it has no text "${name}"`);
      }
    }
  });

  it('may have more members, another status of success, and a plain socket of this machine', async () => {
    arena.registry.replies(
      replies(202, { ...inEnvironment, url: 'ws://127.0.0.1:1/x', more: { deep: [1] } }),
    );
    expect((await register()).url.href).toBe('ws://127.0.0.1:1/x');
    arena.registry.replies(replies(200, { ...inEnvironment, url: 'ws://10.0.0.1/x' }));
    expect((await register({ allowHttp: true })).url.href).toBe('ws://10.0.0.1/x');
  });
});
