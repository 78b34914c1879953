import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { Origin, bytesOf } from '../support/http-origin.ts';
import { type RunningExecutor, startReferenceExecutor } from '../support/reference.ts';
import { MiB } from '../support/transfer-view.ts';

/** The newest has no credit and no cancellation, the other one takes plain paths and no redirect policy as well. */
describe.each(['0.130.0', '0.169.0'])('fetch of our client through the reference %s', (release) => {
  let executor: RunningExecutor;
  let client: ExecClient;
  let origin: Origin;
  beforeAll(async () => {
    executor = await startReferenceExecutor(release);
    client = await ExecClient.connect({ url: executor.url });
    origin = await Origin.start();
  });
  afterAll(async () => {
    await origin[Symbol.asyncDispose]();
    await client.close();
    await executor[Symbol.asyncDispose]();
  });

  test('brings a large body whole', async () => {
    const size = 8 * MiB + 5;
    const response = await client.fetch(`${origin.url}/bytes/${size}`);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytesOf(size))).toBe(true);
  });

  test('sends a body that is a stream', async () => {
    const body = ReadableStream.from([Buffer.from('in '), Buffer.from('parts')]) as ReadableStream;
    const response = await client.fetch(`${origin.url}/echo`, { method: 'POST', body });
    expect(await response.json()).toMatchObject({ body: 'in parts' });
  });

  test('fails where the body is cut, where nobody listens, and where it is aborted', async () => {
    const cut = await client.fetch(`${origin.url}/truncated`);
    await expect(cut.text()).rejects.toThrow('response body');
    await expect(client.fetch('http://127.0.0.1:1/')).rejects.toThrow(TypeError);
    const stop = new AbortController();
    const response = await client.fetch(`${origin.url}/hang-body`, { signal: stop.signal });
    const text = response.text();
    text.catch(() => {});
    stop.abort(new Error('enough'));
    await expect(text).rejects.toThrow('enough');
  });
});
