import { isToken, readTokenFile } from '../disk/secret-file.ts';
import { ConnectionError } from '../rpc/connection-error.ts';

/** A bearer token; or the file that holds it; or what gives one. The latter two are asked anew for every connection. */
export type Token = string | { readonly file: string } | (() => string | Promise<string>);

/** The header that shows it. An error says nothing of the token. */
export async function bearerHeader(token: Token | undefined): Promise<Record<string, string>> {
  if (token === undefined) return {};
  try {
    const text = await readToken(token);
    if (!isToken(text)) throw new Error('The token is not one line of printable ASCII without blanks.');
    return { authorization: `Bearer ${text}` };
  } catch (cause) {
    throw new ConnectionError('unauthorized', (cause as Error).message, { cause });
  }
}

async function readToken(token: Token): Promise<string> {
  if (typeof token === 'string') return token;
  if (typeof token === 'function') return token();
  return (await readTokenFile(token.file)).secret.toString('latin1');
}
