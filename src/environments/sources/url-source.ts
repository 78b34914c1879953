import { ExecClient } from '../../client/exec-client.ts';
import { dialWebSocket } from '../../client/dial.ts';
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
  const { url, token, headers } = options;
  return {
    kind: 'url',
    label: withoutQuery(url),
    open: async ({ connect, signal }) => {
      const client = await ExecClient.connect(
        { url, token, ...(headers !== undefined && { headers }) },
        { ...connect, signal },
      );
      return {
        client,
        dial: async (abandon) => dialWebSocket(url, { ...headers, ...(await bearerHeader(token)) }, abandon),
        [Symbol.asyncDispose]: () => client.close(),
      };
    },
  };
}

/** A query may be a signature; nothing before the host is shown either. */
function withoutQuery(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null
    ? 'a URL that cannot be read'
    : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
