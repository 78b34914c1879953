import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mode, type Secrets, createSecrets, modes } from '../support/access-modes.ts';
import { ask } from '../support/access-tokens.ts';
import { type RunningExecutor, startReferenceExecutor } from '../support/reference.ts';

/** The table that our listener is held to, held against the listener that it comes from. */
let secrets: Secrets;

beforeAll(async () => {
  secrets = await createSecrets();
});

afterAll(() => secrets[Symbol.asyncDispose]());

describe.each(modes)('with $name the reference', ({ flags, rows }: Mode) => {
  let executor: RunningExecutor;

  beforeAll(async () => {
    executor = await startReferenceExecutor('0.169.0', flags(secrets));
  });

  afterAll(() => executor[Symbol.asyncDispose]());

  test.each(rows)('answers $title', async ({ headers, body }) => {
    const answer = await ask(executor.url, { headers: headers() });
    if (body === undefined) return expect(answer.status).toBe(101);
    expect(answer).toMatchObject({ status: 401, body });
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });
});
