import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

/** A key of 32 bytes, and a token of which the executor has the digest or the file. */
export const sharedSecret = 'k'.repeat(32);
export const capabilityToken = 'capability-token-of-the-test';

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A signed token, made without the library that the executor checks it with. */
export function signed(claims: unknown, header: object = {}, secret = sharedSecret, hash = 'sha256'): string {
  const text = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(claims)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
}

/** Seconds from now. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One request by hand, so that headers can come twice; `upgrade`: asks for a WebSocket. The connection is cut after the answer. */
export async function ask(
  url: string,
  options: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: readonly string[];
    readonly upgrade?: boolean;
  } = {},
): Promise<HttpAnswer> {
  const { method = 'GET', path = '/', headers = [], upgrade = true } = options;
  const target = new URL(url);
  const socket = connect(Number(target.port), target.hostname);
  await once(socket, 'connect');
  const upgrading = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ];
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${target.host}`,
    ...(upgrade ? upgrading : []),
    ...headers,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1');
    if (isWhole(text)) break;
  }
  socket.destroy();
  return parse(text);
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const { status, headers, body } = parse(text);
  return status === 101 || body.length >= Number(headers['content-length'] ?? 0);
}

function parse(text: string): HttpAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = lines.map((line) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1).trim(),
  ]);
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: text.slice(end + 4),
  };
}

/** One row: what a listener answers to an upgrade. `body` undefined: it is admitted. */
export interface Row {
  readonly title: string;
  readonly headers: () => readonly string[];
  readonly body: string | undefined;
}

const bearer = (token: string): string[] => [`Authorization: Bearer ${token}`];
const row = (title: string, headers: () => readonly string[], body?: string): Row => ({
  title,
  headers,
  body,
});

/** Of any mode, with a token that is right in it. */
export const headerRows = (right: () => string): readonly Row[] => [
  row('no header', () => [], 'missing websocket bearer token'),
  row('the token in the query only', () => [], 'missing websocket bearer token'),
  row('the right token', () => bearer(right())),
  row('the scheme in capitals', () => [`Authorization: BEARER ${right()}`]),
  row('the scheme in small letters', () => [`authorization: bearer ${right()}`]),
  row('blanks around the token', () => [`Authorization: Bearer    ${right()}   `]),
  row('the right header first', () => [...bearer(right()), ...bearer('wrong')]),
  row('no token', () => ['Authorization: Bearer'], 'invalid authorization header'),
  row('a blank token', () => ['Authorization: Bearer  '], 'invalid authorization header'),
  row('an empty header', () => ['Authorization:'], 'invalid authorization header'),
  row('another scheme', () => [`Authorization: Basic ${right()}`], 'invalid authorization header'),
  row('the token alone', () => [`Authorization: ${right()}`], 'invalid authorization header'),
];

export const capabilityRows: readonly Row[] = [
  row('another token', () => bearer('other'), 'invalid websocket bearer token'),
  row(
    'the wrong header first',
    () => [...bearer('wrong'), ...bearer(capabilityToken)],
    'invalid websocket bearer token',
  ),
  row('more than the token', () => bearer(`${capabilityToken}x`), 'invalid websocket bearer token'),
  row('a part of the token', () => bearer(capabilityToken.slice(1)), 'invalid websocket bearer token'),
];

const invalid = 'invalid websocket jwt';
const claims = (more: object = {}): object => ({ exp: inSeconds(600), ...more });
const unsigned = (token: string): string => token.slice(0, token.lastIndexOf('.') + 1);

/** With a skew of 30 s, any issuer and any audience. */
export const signedRows: readonly Row[] = [
  row('no token of this kind', () => bearer('nonsense'), invalid),
  row('two parts', () => bearer('a.b'), invalid),
  row('another key', () => bearer(signed(claims(), {}, 'x'.repeat(32))), invalid),
  row('the algorithm none', () => bearer(unsigned(signed(claims(), { alg: 'none' }))), invalid),
  row('HS512', () => bearer(signed(claims(), { alg: 'HS512' }, sharedSecret, 'sha512')), invalid),
  row('HS256 with the name of HS512', () => bearer(signed(claims(), { alg: 'HS512' })), invalid),
  row('no signature', () => bearer(unsigned(signed(claims()))), invalid),
  row('no exp', () => bearer(signed({ sub: 'x' })), invalid),
  row('exp as a string', () => bearer(signed({ exp: String(inSeconds(600)) })), invalid),
  row('exp with a fraction', () => bearer(signed({ exp: inSeconds(600) + 0.5 })), invalid),
  row('exp with a fraction in the past', () => bearer(signed({ exp: inSeconds(-600) + 0.5 })), invalid),
  row('claims that are no object', () => bearer(signed([1])), invalid),
  row('exp 25 s ago', () => bearer(signed({ exp: inSeconds(-25) }))),
  row('exp 35 s ago', () => bearer(signed({ exp: inSeconds(-35) })), 'expired websocket jwt'),
  row('nbf in 25 s', () => bearer(signed(claims({ nbf: inSeconds(25) })))),
  row('nbf in 35 s', () => bearer(signed(claims({ nbf: inSeconds(35) }))), 'websocket jwt is not valid yet'),
  row('any issuer and audience', () => bearer(signed(claims({ iss: 'anybody', aud: ['anything'] })))),
];

/** With a skew of 0, the issuer "issuer" and the audience "audience". */
export const claimRows: readonly Row[] = [
  row('both', () => bearer(signed(claims({ iss: 'issuer', aud: 'audience' })))),
  row('the audience in a list', () => bearer(signed(claims({ iss: 'issuer', aud: ['x', 'audience'] })))),
  row('no issuer', () => bearer(signed(claims({ aud: 'audience' }))), 'websocket jwt issuer mismatch'),
  row(
    'another issuer',
    () => bearer(signed(claims({ iss: 'other', aud: 'audience' }))),
    'websocket jwt issuer mismatch',
  ),
  row('no audience', () => bearer(signed(claims({ iss: 'issuer' }))), 'websocket jwt audience mismatch'),
  row(
    'another audience',
    () => bearer(signed(claims({ iss: 'issuer', aud: ['x'] }))),
    'websocket jwt audience mismatch',
  ),
  row(
    'exp 5 s ago',
    () => bearer(signed({ exp: inSeconds(-5), iss: 'issuer', aud: 'audience' })),
    'expired websocket jwt',
  ),
  row(
    'nbf in 5 s',
    () => bearer(signed(claims({ nbf: inSeconds(5), iss: 'issuer', aud: 'audience' }))),
    'websocket jwt is not valid yet',
  ),
];
