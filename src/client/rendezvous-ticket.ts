import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { z } from 'zod';
import { isLoopback } from '../access/loopback.ts';
import { limits } from '../protocol/limits.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { withDeadline } from '../support/deadline.ts';
import { type Token, bearerHeader } from './token.ts';

/** An executor that has dialled out to a rendezvous and is known there by an environment id. */
export interface RendezvousAddress {
  /** http or https; a path before those of the service is kept. */
  readonly rendezvous: string;
  readonly environmentId: string;
  readonly token?: Token | undefined;
  /** More headers for the rendezvous, such as those that a proxy before it wants. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Plain http and ws to another machine, where anybody on the way can read the token. */
  readonly allowHttp?: boolean | undefined;
}

/** Where to connect once, and what to speak there. The URL is a secret: it stands for the token. */
export interface Ticket {
  readonly url: string;
  readonly transport: 'relay_v1' | 'direct_jsonrpc_v1';
}

const ticketAnswer = z.object({
  url: z.string().max(limits.rendezvousUrlLength),
  transport: z.enum(['relay_v1', 'direct_jsonrpc_v1']),
});

const errorAnswer = z.object({ error: z.object({ message: z.string() }) });

/** Characters of an error of the service that are shown. */
const saidCharacters = 200;

/** Asks for a new ticket. Rejects with a ConnectionError whose text has neither token nor ticket. */
export async function fetchTicket(address: RendezvousAddress, outer: AbortSignal): Promise<Ticket> {
  const base = readBase(address);
  const headers = { ...address.headers, ...(await bearerHeader(address.token)) };
  const late = (): Error =>
    new ConnectionError(
      'timeout',
      `The rendezvous at ${base.host} has not answered within ${limits.ticketMs} ms.`,
    );
  return withDeadline(limits.ticketMs, late, outer, async (signal) => {
    const path = `cloud/environment/${encodeURIComponent(address.environmentId)}/connect`;
    const answer = await post(new URL(path, base), headers, signal);
    const body = await readBody(answer, base, signal);
    if (answer.statusCode !== 200) throw refusal(answer.statusCode ?? 0, body, address, base);
    return readTicket(body, address, base);
  });
}

function readBase({ rendezvous, environmentId, allowHttp = false }: RendezvousAddress): URL {
  const base = parseUrl(rendezvous);
  if (base === undefined || !/^https?:$/.test(base.protocol) || base.host === '')
    throw new ConnectionError('refused', 'The URL of a rendezvous begins with https:// or http://.');
  if (base.username !== '' || base.password !== '')
    throw new ConnectionError(
      'refused',
      'The URL of a rendezvous holds no credentials; give the token apart.',
    );
  if (base.search !== '' || base.hash !== '')
    throw new ConnectionError('refused', 'The URL of a rendezvous has no query and no fragment.');
  if (environmentId === '') throw new ConnectionError('refused', 'The environment id is empty.');
  if (base.protocol === 'http:' && !allowHttp && !staysHere(base))
    throw new ConnectionError(
      'refused',
      'The rendezvous is plain http on another machine, where anybody on the way can read the token; write https, or allow http.',
    );
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

/** Its error would quote the text. */
function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function staysHere({ hostname }: URL): boolean {
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

async function post(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const body = '{}';
    const sent = send(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', 'content-length': String(body.length) },
      // Tickets are far apart: a connection that is kept would be dead by then.
      agent: false,
      signal,
    });
    sent.once('response', resolve);
    sent.once('error', (cause) =>
      reject(signal.aborted ? (signal.reason as Error) : unreachable(url, cause)),
    );
    sent.end(body);
  });
}

function unreachable(url: URL, cause: Error): ConnectionError {
  return new ConnectionError('refused', `The rendezvous at ${url.host} cannot be reached: ${cause.message}`, {
    cause,
  });
}

async function readBody(answer: IncomingMessage, base: URL, signal: AbortSignal): Promise<string> {
  let text = '';
  try {
    for await (const part of answer.setEncoding('utf8')) {
      text += part as string;
      if (text.length > limits.ticketAnswerBytes) break;
    }
  } catch (cause) {
    throw signal.aborted ? signal.reason : unreachable(base, cause as Error);
  } finally {
    answer.destroy();
  }
  return text;
}

function refusal(
  status: number,
  body: string,
  { environmentId }: RendezvousAddress,
  base: URL,
): ConnectionError {
  const parsed = errorAnswer.safeParse(parseJson(body));
  const said = parsed.success ? printable(parsed.data.error.message.slice(0, saidCharacters)) : '';
  const tail = `${status}${said === '' ? '' : ` (${said})`}.`;
  const environment = `environment ${JSON.stringify(printable(environmentId.slice(0, saidCharacters)))}`;
  if (status === 401 || status === 403)
    return new ConnectionError('unauthorized', `The rendezvous at ${base.host} refuses the token: ${tail}`);
  if (status === 404)
    return new ConnectionError('notFound', `The rendezvous at ${base.host} has no ${environment}: ${tail}`);
  if (status === 409) return new ConnectionError('busy', `Another orchestrator has ${environment}: ${tail}`);
  if (status === 503)
    return new ConnectionError(
      'offline',
      `The executor of ${environment} is not connected to the rendezvous: ${tail}`,
    );
  if (status >= 300 && status <= 399)
    return new ConnectionError(
      'refused',
      `The rendezvous at ${base.host} redirects, where the token is not sent; name the right place: ${tail}`,
    );
  return new ConnectionError('refused', `The rendezvous at ${base.host} refuses with ${tail}`);
}

function readTicket(body: string, { allowHttp = false }: RendezvousAddress, base: URL): Ticket {
  const wrong = (what: string): ConnectionError =>
    new ConnectionError('protocol', `The rendezvous at ${base.host} answers with ${what}.`);
  const parsed = ticketAnswer.safeParse(parseJson(body));
  if (!parsed.success) throw wrong('no ticket that this client understands');
  const url = parseUrl(parsed.data.url);
  if (url === undefined || !/^wss?:$/.test(url.protocol)) throw wrong('a ticket that leads to no WebSocket');
  if (url.protocol === 'ws:' && (base.protocol === 'https:' || (!allowHttp && !staysHere(url))))
    throw wrong('a ticket that leads to a plain socket, where anybody on the way can read it');
  return { url: url.href, transport: parsed.data.transport };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function printable(text: string): string {
  return text.trim().replace(/[^\x20-\x7e]/g, '?');
}
