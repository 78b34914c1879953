import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { limits } from '../../protocol/limits.ts';
import { RegistrationError, connectError } from './registration-error.ts';
import type { Secure } from './secure.ts';

export interface PostRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export interface PostOptions {
  readonly signal: AbortSignal;
  readonly secure?: Secure | undefined;
}

export interface PostAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** undefined: it was longer than registrationAnswerBytes. */
  readonly body: Buffer | undefined;
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Sends a POST and follows redirects within the origin, which alone may see the token. As browsers do it, and executors in the field: 307
 * and 308 repeat the request, the others become a GET without a body.
 */
export async function post(request: PostRequest, options: PostOptions): Promise<PostAnswer> {
  let { url, headers, body } = request;
  let method: 'POST' | 'GET' = 'POST';
  for (let followed = 0; ; followed += 1) {
    const answer = await exchange(method, { url, headers, body }, options);
    const status = answer.statusCode ?? 0;
    if (!redirects.has(status) || answer.headers.location === undefined) {
      return { status, retryAfter: answer.headers['retry-after'], body: await readBody(answer, url) };
    }
    answer.destroy();
    if (followed === limits.registrationRedirects)
      throw new RegistrationError(`the registry redirects more than ${limits.registrationRedirects} times`);
    url = redirected(url, answer.headers.location);
    if (status !== 307 && status !== 308) {
      const { 'content-type': _type, ...others } = headers;
      [method, body, headers] = ['GET', undefined, others];
    }
  }
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to?.origin === from.origin && to.username === '' && to.password === '') return to;
  const where = to === undefined || to.origin === 'null' ? 'to no http address' : `to ${to.origin}`;
  throw new RegistrationError(
    `the registry redirects ${where}, which is not sent the token; if that is the right place, name it in the URL of the registry`,
  );
}

async function exchange(
  method: string,
  { url, headers, body }: PostRequest,
  { signal, secure }: PostOptions,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const length = method === 'POST' ? { 'content-length': String(bytes?.length ?? 0) } : {};
    const sent = send(url, {
      method,
      headers: { accept: '*/*', ...headers, ...length },
      agent: false,
      signal,
      ...secure,
    });
    sent.once('response', resolve);
    sent.once('upgrade', (_answer, socket) => {
      socket.destroy();
      reject(new RegistrationError('the registry answers with another protocol'));
    });
    sent.once('error', (error) =>
      reject(signal.aborted ? (signal.reason as Error) : connectError(placeOf(url), error)),
    );
    sent.end(bytes);
  });
}

async function readBody(answer: IncomingMessage, url: URL): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of answer) {
      parts.push(part as Buffer);
      length += (part as Buffer).length;
      if (length > limits.registrationAnswerBytes) return undefined;
    }
  } catch (error) {
    throw connectError(placeOf(url), error);
  }
  return Buffer.concat(parts);
}

/** For texts: where a URL leads, without what it may hold of secrets. */
export function placeOf(url: URL): string {
  return `${url.protocol}//${url.host}`;
}
