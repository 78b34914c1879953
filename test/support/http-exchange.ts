import { createHash, randomUUID } from 'node:crypto';

import type { HttpField } from '../../src/protocol/http-field.ts';
import type { Event, ServerNotification, WireParams } from '../../src/protocol/methods.ts';
import { requests, serverNotifications } from '../../src/protocol/methods.ts';
import type { WireClient } from './conformance-wire.ts';

/** How the body of an answer comes. `stream` is an extension. */
export const modes = ['buffered', 'deltas', 'stream'] as const;
export type Mode = (typeof modes)[number];

export type RequestParams = Omit<WireParams<'http/request'>, 'requestId'> & { readonly requestId?: string };

/** What came of a request, however its body came. */
export interface Outcome {
  readonly status?: number;
  readonly headers?: readonly HttpField[];
  readonly body?: Buffer;
  readonly trailers?: readonly HttpField[];
  readonly url?: string | undefined;
  /** The answer was an error. */
  readonly code?: number;
  readonly message?: string;
  /** The header came, and the body failed. */
  readonly bodyError?: string;
}

/** Makes a request and takes its whole body; notes what breaks a rule of its mode as a problem of the client. */
export async function exchange(client: WireClient, mode: Mode, request: RequestParams): Promise<Outcome> {
  const requestId = request.requestId ?? randomUUID();
  const streamId = randomUUID();
  const more =
    mode === 'deltas' ? { streamResponse: true } : mode === 'stream' ? { responseStreamId: streamId } : {};
  const before = client.texts.length;
  const answer = await client.request('http/request', { ...request, requestId, ...more });
  if (answer.error !== undefined) return { code: answer.error.code, message: answer.error.message };
  const head = requests['http/request'].result.parse(answer.result);
  const known = { status: head.status, headers: head.headers, url: head.url };
  if (mode === 'buffered') {
    return { ...known, body: Buffer.from(head.bodyBase64), trailers: head.trailers ?? [] };
  }
  if (head.bodyBase64.length > 0) client.problems.push('A streamed answer has a body of its own.');
  const early = notifications(client.texts.slice(before, answer.index), requestId, streamId);
  if (early.length > 0) client.problems.push('A part of a body came before its answer.');
  return {
    ...known,
    ...(mode === 'deltas'
      ? await deltas(client, requestId, answer.index)
      : await stream(client, streamId, answer.index)),
  };
}

async function deltas(client: WireClient, requestId: string, after: number): Promise<Outcome> {
  await lastDelta(client, requestId);
  const all = deltasOf(client, requestId, after);
  const wrong = all.some(({ seq, done }, index) => seq !== index + 1 || done !== (index === all.length - 1));
  if (wrong)
    client.problems.push(
      `Deltas are out of order: ${JSON.stringify(all.map(({ seq, done }) => [seq, done]))}`,
    );
  const body = Buffer.concat(all.map(({ deltaBase64 }) => deltaBase64));
  const last = all.at(-1);
  if (last?.error != null) return { body, bodyError: last.error };
  if (last?.bodyBytes !== undefined && last.bodyBytes !== body.length)
    client.problems.push('A wrong total of bytes.');
  return { body, trailers: last?.trailers ?? [] };
}

/** Looks at the newest message only: all of them can be many MiB. */
export async function lastDelta(client: WireClient, requestId: string): Promise<void> {
  const isLast = (text: string): boolean =>
    text.includes('"done":true') && text.includes(JSON.stringify(requestId));
  await client.waitFor(`the last delta of ${requestId}`, () => client.texts.slice(-8).find(isLast));
}

export function deltasOf(
  client: WireClient,
  requestId: string,
  after = 0,
): Event<'http/request/bodyDelta'>[] {
  return events(client, 'http/request/bodyDelta', after).filter((event) => event.requestId === requestId);
}

async function stream(client: WireClient, streamId: string, after: number): Promise<Outcome> {
  const mine = <N extends 'stream/data' | 'stream/end' | 'stream/error'>(name: N): Event<N>[] =>
    events(client, name, after).filter((event) => (event as { streamId?: string }).streamId === streamId);
  const isLast = (text: string): boolean =>
    /^{"method":"stream\/(end|error)"/.test(text) && text.includes(streamId);
  await client.waitFor(`the end of ${streamId}`, () => client.texts.slice(-8).find(isLast));
  const body = Buffer.concat(mine('stream/data').map(({ chunk }) => chunk));
  const [error] = mine('stream/error');
  if (error !== undefined) return { body, bodyError: error.message };
  const [end] = mine('stream/end');
  const digest = createHash('sha256').update(body).digest('hex');
  if (end?.bytes !== body.length || end.sha256 !== digest) client.problems.push('A wrong total or digest.');
  return { body, trailers: end?.trailers ?? [] };
}

/** The notifications of a kind, of the messages from the given one on. */
export function events<N extends ServerNotification>(client: WireClient, name: N, after = 0): Event<N>[] {
  const start = `{"method":"${name}"`;
  const isOne = (text: string): boolean => text.startsWith(start) || text.includes(`"method":"${name}"`);
  return client.texts
    .slice(after)
    .filter(isOne)
    .map(
      (text) =>
        serverNotifications[name].params.parse((JSON.parse(text) as { params: unknown }).params) as Event<N>,
    );
}

function notifications(texts: readonly string[], ...ids: readonly string[]): string[] {
  return texts.filter((text) => text.includes('"method"') && ids.some((id) => text.includes(id)));
}
