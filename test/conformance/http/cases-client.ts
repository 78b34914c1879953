import { randomBytes } from 'node:crypto';

import { expect } from 'vitest';

import type { ExecClient } from '../../../src/client/exec-client.ts';
import { Origin, bytesOf, until } from '../../support/http-origin.ts';
import { MiB } from '../../support/transfer-view.ts';
import type { Context, Topic } from '../case.ts';
import { collect, openTyped } from '../transfer/client-streams.ts';

async function withClient(
  context: Context,
  work: (client: ExecClient, origin: Origin) => Promise<void>,
): Promise<void> {
  await using origin = await Origin.start();
  await using typed = await openTyped(context);
  await work(typed.client, origin);
}

const gone = async (origin: Origin): Promise<void> =>
  until('the origin has no connection any more', async () => origin.connections === 0);

export const clientHttp: Topic = {
  name: 'the client',
  cases: [
    {
      id: 'HTTP-L1',
      title: 'fetch answers as fetch does',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const response = await fetch(`${origin.url}/duplicates`);
          expect([response.status, response.ok, response.url]).toEqual([
            200,
            true,
            `${origin.url}/duplicates`,
          ]);
          expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
          expect(await response.text()).toBe('ok');
          expect((await fetch(new URL(`${origin.url}/status/404`))).ok).toBe(false);
          expect((await fetch(`${origin.url}/no-content`)).body).toBeNull();
          expect((await fetch(`${origin.url}/plain`, { method: 'HEAD' })).headers.get('content-length')).toBe(
            '7',
          );
          expect(await (await fetch(`${origin.url}/gzip`)).text()).toBe('unpacked');
        }),
    },
    {
      id: 'HTTP-L2',
      title: 'fetch takes each form of body',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const form = new FormData();
          form.set('name', 'value');
          const stream = ReadableStream.from([Buffer.from('in '), Buffer.from('parts')]);
          const large = randomBytes(3 * MiB);
          const cases: (readonly [NonNullable<RequestInit['body']>, string | RegExp, string | undefined])[] =
            [
              ['text', 'text', 'text/plain;charset=UTF-8'],
              [Buffer.from('bytes'), 'bytes', undefined],
              [new URLSearchParams({ a: '1' }), 'a=1', 'application/x-www-form-urlencoded;charset=UTF-8'],
              [new Blob(['blob']), 'blob', undefined],
              [form, /name="name"\r\n\r\nvalue/, undefined],
              [stream as ReadableStream, 'in parts', undefined],
              [large, large.toString('latin1'), undefined],
            ];
          for (const [body, expected, type] of cases) {
            const response = await fetch(`${origin.url}/plain`, { method: 'POST', body });
            await response.text();
            const seen = origin.seen.at(-1);
            if (typeof expected === 'string') expect(seen?.body.toString('latin1') === expected).toBe(true);
            else expect(seen?.body.toString()).toMatch(expected);
            if (type !== undefined) expect(seen?.headers.get('content-type')).toBe(type);
          }
          const request = new Request(`${origin.url}/plain`, { method: 'PUT', body: 'of a request' });
          await (await fetch(request)).text();
          expect(origin.seen.at(-1)).toMatchObject({ method: 'PUT', body: Buffer.from('of a request') });
        }),
    },
    {
      id: 'HTTP-L3',
      title: 'fetch follows redirects, hands them back, or fails, as it is asked',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const url = `${origin.url}/redirect/302/%2Fplain`;
          const followed = await fetch(url);
          expect([followed.url, followed.redirected, await followed.text()]).toEqual([
            `${origin.url}/plain`,
            true,
            'content',
          ]);
          expect(await fetch(url, { redirect: 'manual' })).toMatchObject({ status: 302, redirected: false });
          await expect(fetch(url, { redirect: 'error' })).rejects.toThrow(TypeError);
        }),
    },
    {
      id: 'HTTP-L4',
      title: 'fetch fails with a TypeError that has the cause',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const failure: unknown = await fetch('http://127.0.0.1:1/').catch((error: unknown) => error);
          expect(failure).toBeInstanceOf(TypeError);
          expect((failure as Error).cause).toMatchObject({ code: -32603 });
          const cut = await fetch(`${origin.url}/truncated`);
          await expect(cut.text()).rejects.toThrow('http/request failed');
          await expect(fetch(`${origin.url}/hang`, { timeoutMs: 100 })).rejects.toThrow(TypeError);
        }),
    },
    {
      id: 'HTTP-L5',
      title: 'an abort ends the request at the origin, before the answer and in its body',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const reason = new Error('enough');
          const before = new AbortController();
          const waiting = fetch(`${origin.url}/hang`, { signal: before.signal });
          waiting.catch(() => {});
          await until('the origin has the request', async () => origin.seen.length === 1);
          before.abort(reason);
          await expect(waiting).rejects.toBe(reason);
          await gone(origin);
          const within = new AbortController();
          const response = await fetch(`${origin.url}/hang-body`, { signal: within.signal });
          const text = response.text();
          text.catch(() => {});
          within.abort(reason);
          await expect(text).rejects.toBe(reason);
          await gone(origin);
          await expect(fetch(origin.url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
          const dropped = await fetch(`${origin.url}/hang-body`);
          await dropped.body?.cancel();
          await gone(origin);
        }),
    },
    {
      id: 'HTTP-L6',
      title: 'a body is read as it comes, and the origin waits for its reader',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const size = 24 * MiB;
          const response = await fetch(`${origin.url}/bytes/${size}`);
          const reader = response.body?.getReader();
          const first = await reader?.read();
          expect(origin.sentBytes).toBeLessThan(size);
          const rest: Uint8Array[] = [first?.value ?? new Uint8Array()];
          for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
            rest.push(part.value);
          expect(Buffer.concat(rest).equals(bytesOf(size))).toBe(true);
        }),
    },
    {
      id: 'HTTP-L7',
      title: 'a source that fails ends its request, and is the reason',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ http }, origin) => {
          const broken = new Error('the source is broken');
          const body = (async function* () {
            yield Buffer.from('a part');
            throw broken;
          })();
          const request = http.request({ url: `${origin.url}/echo`, method: 'POST', body });
          await expect(request).rejects.toBe(broken);
          await gone(origin);
        }),
    },
    {
      id: 'HTTP-L8',
      title: 'an answer has trailers and timing',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ http }, origin) => {
          const response = await http.request({ url: `${origin.url}/chunked` });
          expect((await collect(response.body)).toString()).toBe('one two');
          expect(response.trailers()).toEqual([{ name: 'x-sum', value: '7' }]);
          expect(response.timing).toMatchObject({
            dnsMs: expect.any(Number),
            firstByteMs: expect.any(Number),
          });
        }),
    },
    {
      id: 'HTTP-L9',
      title: 'sixty requests run side by side',
      covers: [],
      run: async (context) =>
        withClient(context, async ({ fetch }, origin) => {
          const texts = await Promise.all(
            Array.from({ length: 60 }, async () =>
              (await fetch(`${origin.url}/plain`, { method: 'POST', body: 'x' })).text(),
            ),
          );
          expect(new Set(texts)).toEqual(new Set(['content']));
        }),
    },
  ],
};
