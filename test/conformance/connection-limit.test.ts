import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { ExecClient } from '../../src/client/exec-client.ts';
import { ask } from '../support/access-tokens.ts';
import { eventually, expectNothingLeft } from '../support/conformance-leftovers.ts';
import { startListener } from '../support/wire-listener.ts';

const mark = randomUUID();
afterAll(() => expectNothingLeft(mark));

test('a connection beyond the limit is refused with 503, and the probes are answered', async () => {
  await using listener = await startListener(mark, '--limit', 'connections=2');
  const first = await listener.open();
  const second = await listener.open();
  const text = 'The executor has 2 connections (--limit connections=N of the executor changes that).';
  expect(await ask(listener.url)).toMatchObject({ status: 503, body: `${text}\n` });
  expect(await ask(listener.url, { path: '/readyz', upgrade: false })).toMatchObject({ status: 200 });
  await expect(ExecClient.connect({ url: listener.url })).rejects.toMatchObject({
    reason: 'refused',
    message: `The executor refuses the connection with 503 (${text}).`,
  });
  expect(await second.call('environment/status')).toEqual({ status: 'ready' });
  await first[Symbol.asyncDispose]();
  const third = await eventually('a free place', async () => {
    const { status } = await ask(listener.url);
    return status === 101 ? true : undefined;
  });
  expect(third).toBe(true);
});
