import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { installCodex } from '../support/reference.ts';
import { type Registering, RecordedRegistry, replies } from '../support/rendezvous-registry.ts';
import { type Background, startOwnAt, startReferenceAt } from './rendezvous-service.ts';

/** Each release with the flags that make our executor register the same way, and what that one is answered. */
const GENERATIONS = [
  {
    release: '0.129.0',
    flags: ['--executor-id', 'box 1/a', '--remote-transport', 'direct'],
    path: '/cloud/executor/box%201%2Fa/register',
    answer: { id: 'x', executor_id: 'box 1/a' },
  },
  {
    release: '0.131.0',
    flags: ['--executor-id', 'box 1/a', '--remote-transport', 'relay'],
    path: '/cloud/executor/box%201%2Fa/register',
    answer: { executor_id: 'box 1/a' },
  },
  {
    release: '0.139.0',
    flags: ['--environment-id', 'box 1/a', '--remote-transport', 'relay'],
    path: '/cloud/environment/box%201%2Fa/register',
    answer: { environment_id: 'box 1/a' },
  },
] as const;

describe.each(GENERATIONS)('the registration of Codex $release', ({ release, flags, path, answer }) => {
  let registry: RecordedRegistry;
  let reference: Background;
  let own: Background;
  const seen: Registering[] = [];

  beforeAll(async () => {
    await installCodex(release);
    registry = await RecordedRegistry.start();
    registry.replies(replies(200, { ...answer, url: registry.socketUrl() }));
    reference = await startReferenceAt(registry, release, 'box 1/a');
    (await registry.socket()).webSocket.resume();
    own = await startOwnAt(registry, flags);
    (await registry.socket()).webSocket.resume();
    seen.push(...registry.requests);
  });

  afterAll(async () => {
    await own[Symbol.asyncDispose]();
    await reference[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  test('is that of ours, but for the id that is not escaped there, and for what ours adds in headers', () => {
    const [theirs, ours] = seen;
    expect(ours).toMatchObject({ method: theirs?.method, path });
    expect(comparable(ours?.body)).toEqual(comparable(theirs?.body));
    expect(theirs?.path).toBe(path.replace('%2F', '/'));
    const own = new Set(
      Object.keys(ours?.headers ?? {}).filter((name) => !name.startsWith('x-exec-server-')),
    );
    expect(own).toEqual(new Set([...Object.keys(theirs?.headers ?? {}), ...always]));
    for (const name of ['authorization', 'content-type', 'accept'])
      expect(ours?.headers[name]).toBe(theirs?.headers[name]);
  });

  test('is followed by the same upgrade', () => {
    const [theirs, ours] = registry.upgrades.map((headers) =>
      headers.filter((_, place) => place % 2 === 0).map((name) => name.toLowerCase()),
    );
    expect(new Set(ours)).toEqual(new Set(theirs));
  });
});

/** What every HTTP client of ours sends: a length of 0, too. */
const always = ['connection', 'content-length'];

function comparable(body = ''): unknown {
  if (body === '') return '';
  const members = JSON.parse(body) as { idempotency_id?: string };
  // Of one process in that release.
  return { ...members, idempotency_id: members.idempotency_id?.replace(/[0-9a-f]{64}$/, 'HEX') };
}
