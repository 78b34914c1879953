import { isIP } from 'node:net';
import { isLoopback } from '../../access/loopback.ts';
import { dialWebSocket } from '../../client/dial.ts';
import { ExecClient } from '../../client/exec-client.ts';
import { type Token, bearerHeader } from '../../client/token.ts';
import type { EnvironmentSource } from '../environment-source.ts';

export interface UrlSourceOptions {
  /** Begins with ws:// or wss://, without credentials. */
  readonly url: string;
  readonly token?: Token | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** An executor that listens at a URL. A lost connection comes back with its session. */
export function urlSource(options: UrlSourceOptions): EnvironmentSource {
  const { url, token, headers = {} } = options;
  return {
    kind: 'url',
    label: urlLabel(url),
    open: async ({ connect, signal }) => {
      const client = await ExecClient.connect({ url, token, headers }, { ...connect, signal });
      return { client, [Symbol.asyncDispose]: () => client.close() };
    },
    dial: async ({ signal }) => dialWebSocket(url, { ...headers, ...(await bearerHeader(token)) }, signal),
  };
}

/** What is wrong with the URL of an executor; undefined: nothing. */
export function urlProblem(url: string): string | undefined {
  if (url.trim() === '') return 'must not be empty';
  if (!/^wss?:\/\//.test(url)) return 'must begin with ws:// or wss://';
  const parsed = URL.parse(url);
  if (parsed === null || parsed.host === '') return 'is no URL';
  if (parsed.username !== '' || parsed.password !== '')
    return 'must hold no credentials; give the token apart';
  if (url.includes('#')) return 'must not have a fragment';
  return undefined;
}

/** Whether nobody on the way can read what is sent: over TLS, or within this machine. */
export function staysPrivate(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'wss:' || protocol === 'https:') return true;
  const host = hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || (isIP(host) !== 0 && isLoopback(host));
}

/** A URL without its query, which may be a signature. */
export function urlLabel(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null
    ? 'a URL that cannot be read'
    : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
