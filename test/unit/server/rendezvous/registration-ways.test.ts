import { describe, expect, it } from 'vitest';

import { secureFrom } from '../../../../src/server/rendezvous/secure.ts';
import { RegistrationError } from '../../../../src/server/rendezvous/registration-error.ts';
import { Registrar } from '../../../../src/server/rendezvous/registration.ts';
import {
  bearer,
  inEnvironment,
  noSecure,
  registryArena,
  settingsFor,
  url,
} from '../../../support/rendezvous-registering.ts';
import {
  RecordedRegistry,
  type Reply,
  authorityFile,
  breaks,
  breaksInside,
  replies,
  silence,
} from '../../../support/rendezvous-registry.ts';

const arena = registryArena();
const { register, failure } = arena;

describe('no answer', () => {
  it.each([
    ['a connection that breaks', breaks, 'cannot be reached'],
    ['a connection that breaks inside the answer', breaksInside, 'cannot be reached'],
    ['an upgrade', upgrades, 'answers with another protocol'],
    ['bytes that are no HTTP', garbles, 'cannot be reached (HPE_'],
  ] as const)('%s is told', async (_name, reply, text) => {
    arena.registry.replies(reply);
    expect((await failure()).message).toContain(text);
  });

  it('in time is told, and passes', async () => {
    arena.registry.replies(silence);
    const error = await failure({}, 50);
    expect(error).toMatchObject({
      transient: true,
      message: `${arena.registry.url} has not answered within 50 ms`,
    });
  });

  it('where nobody listens passes', async () => {
    await arena.registry[Symbol.asyncDispose]();
    expect(await failure()).toMatchObject({
      transient: true,
      message: `${arena.registry.url} cannot be reached (connection refused, ECONNREFUSED)`,
    });
  });

  it('is waited for when the executor ends', async () => {
    arena.registry.replies(silence);
    const stop = new AbortController();
    const registered = new Registrar(settingsFor(arena.registry), noSecure).register(stop.signal);
    await arena.registry.until('a request', () => arena.registry.requests.length > 0);
    stop.abort(new Error('It ends.'));
    await expect(registered).rejects.toThrow('It ends.');
  });
});

describe('a redirect', () => {
  const to = (status: number, location: string): Reply => replies(status, '', { location });

  it.each([
    [301, 'GET', ''],
    [302, 'GET', ''],
    [303, 'GET', ''],
    [307, 'POST', 'body'],
    [308, 'POST', 'body'],
  ])('with %d is followed within the origin by %s, with the token', async (status, method, body) => {
    arena.registry.replies(to(status, '/elsewhere?x=1'), replies(200, { id: 'x', executor_id: 'e', url }));
    await register({ endpoint: 'executor', accountId: 'account' });
    const [first, second] = arena.registry.requests;
    expect(second).toMatchObject({ method, path: '/elsewhere?x=1', body: body === '' ? '' : first?.body });
    expect(second?.headers).toMatchObject({
      authorization: `Bearer ${bearer}`,
      'chatgpt-account-id': 'account',
    });
    expect(second?.headers['content-type']).toBe(body === '' ? undefined : 'application/json');
  });

  it('is followed ten times', async () => {
    arena.registry.replies(
      ...Array.from({ length: 10 }, () => to(307, '/again')),
      replies(200, inEnvironment),
    );
    await register();
    expect(arena.registry.requests).toHaveLength(11);
    arena.registry.replies(to(307, '/again'));
    expect(await failure()).toMatchObject({
      transient: false,
      message: expect.stringContaining('more than 10 times'),
    });
    expect(arena.registry.requests).toHaveLength(22);
  });

  it('to another origin is refused, and nothing is sent there', async () => {
    await using other = await RecordedRegistry.start();
    const port = new URL(arena.registry.url).port;
    for (const location of [other.url, `http://localhost:${port}/`, `https://127.0.0.1:${port}/`]) {
      arena.registry.replies(to(307, `${location}?token=hidden`));
      expect(await failure()).toMatchObject({
        transient: false,
        message: expect.stringContaining(`the registry redirects to ${new URL(location).origin}`),
      });
    }
    for (const location of [
      'ftp://x/hidden',
      'http://[',
      `http://user:hidden@127.0.0.1:${port}/`,
      'data:hidden',
    ]) {
      arena.registry.replies(to(302, location));
      expect((await failure()).message).toContain('the registry redirects');
    }
    expect(other.requests).toEqual([]);
    expect(arena.registry.requests).toHaveLength(7);
  });

  it('without a place is a refusal', async () => {
    arena.registry.replies(replies(302));
    expect((await failure()).message).toContain('the registry answers with 302');
  });
});

describe('https', () => {
  it('trusts the authorities that SSL_CERT_FILE names, and no others', async () => {
    await using secure = await RecordedRegistry.start({ secure: true });
    secure.replies(replies(200, inEnvironment));
    const { signal } = new AbortController();
    const trusting = (env: Record<string, string>) =>
      new Registrar(settingsFor(secure), () => secureFrom(env)).register(signal);
    await expect(trusting({ SSL_CERT_FILE: authorityFile })).resolves.toMatchObject({ id: 'env-1' });
    await expect(trusting({})).rejects.toMatchObject({
      transient: false,
      message: expect.stringMatching(/cannot be trusted \(.*SSL_CERT_FILE/),
    });
  });

  it.each(['ftp://user:hidden@proxy', 'proxy:3128', 'http://user:hidden@['])(
    'is not done without the proxy that HTTPS_PROXY names wrongly: %s',
    async (proxy) => {
      for (const name of ['HTTPS_PROXY', 'https_proxy']) {
        const error: unknown = await secureFrom({ [name]: proxy }).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(RegistrationError);
        expect(String(error)).toContain('HTTPS_PROXY is no http:// or https:// URL');
        expect(String(error)).not.toContain('hidden');
      }
    },
  );
});

function upgrades(response: Parameters<Reply>[0]): void {
  response.socket?.end(
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  );
}

function garbles(response: Parameters<Reply>[0]): void {
  response.socket?.end('SSH-2.0-server\r\n\r\n');
}
