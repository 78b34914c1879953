import { invalidParams } from '../protocol/errors.ts';
import type { HttpField } from '../protocol/http-field.ts';
import type { Params } from '../protocol/methods.ts';
import { httpFailure } from './failure.ts';

export interface OutgoingField extends HttpField {
  /** Not for another origin: redirects leave it behind. */
  readonly secret: boolean;
}

/** A request as it is sent to one origin. */
export interface OutgoingRequest {
  readonly method: string;
  readonly url: URL;
  readonly fields: readonly OutgoingField[];
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** What the header says of a body that is a stream. */
  readonly contentLength: number | undefined;
  readonly unixSocket: Buffer | undefined;
  /** Another protocol for the connection; `body` is what goes to it then. */
  readonly upgrade: string | undefined;
}

type RequestParams = Pick<
  Params<'http/request'>,
  'method' | 'url' | 'headers' | 'bodyBase64' | 'unixSocket' | 'upgrade'
>;
type Variables = Readonly<Record<string, string>>;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Without its case: secrets of one origin. */
const secretNames = new Set([
  'authorization',
  'cookie',
  'cookie2',
  'proxy-authorization',
  'www-authenticate',
]);
/** About the connection, which is the executor's; and `expect`, which asks it to wait. */
const connectionNames = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Checks method, URL and header, in this order. */
export function outgoingRequest(
  params: RequestParams,
  stream: AsyncIterable<Uint8Array> | undefined,
  variables: Variables,
): OutgoingRequest {
  const { method, bodyBase64, unixSocket } = params;
  if (!token.test(method)) throw invalidParams('http/request method is invalid: it must be a token');
  if (method.toUpperCase() === 'CONNECT') {
    throw invalidParams(
      'http/request method is invalid: CONNECT asks for a tunnel, which this executor does not make',
    );
  }
  const url = parseUrl(params.url);
  const given = params.headers.map((field) => outgoingField(field, variables));
  const sent = given.filter(({ name }) => !connectionNames.has(name) && name !== 'content-length');
  const has = (name: string): boolean => sent.some((field) => field.name === name);
  if (sent.filter(({ name }) => name === 'host').length > 1) {
    throw invalidParams('http/request header host may be given once');
  }
  if (!has('accept')) sent.push({ name: 'accept', value: '*/*', secret: false });
  const credentials = userInfo(url);
  if (credentials !== undefined && !has('authorization')) {
    sent.push({ name: 'authorization', value: credentials, secret: true });
  }
  url.username = '';
  url.password = '';
  url.hash = '';
  return {
    method,
    url,
    fields: sent,
    body: stream ?? bodyBase64 ?? undefined,
    contentLength: contentLength(given, stream === undefined ? (bodyBase64?.length ?? 0) : undefined),
    unixSocket: unixSocket?.bytes,
    upgrade: params.upgrade ?? undefined,
  };
}

/** The request that a redirect asks for; undefined where the answer is none that can be followed. */
export function redirected(
  request: OutgoingRequest,
  status: number,
  location: string | undefined,
): OutgoingRequest | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return undefined;
  const url = URL.parse(location, request.url.href);
  if (url === null) return undefined;
  if (!isHttp(url)) {
    throw httpFailure(`redirect target uses unsupported URL scheme: ${url.protocol.slice(0, -1)}`);
  }
  const sameOrigin = url.origin === request.url.origin;
  if (!sameOrigin && request.unixSocket !== undefined) {
    throw httpFailure('a redirect leads away from the origin behind the unix socket');
  }
  url.hash = '';
  url.username = '';
  url.password = '';
  const keepsBody = status === 307 || status === 308;
  if (keepsBody && request.body !== undefined && !(request.body instanceof Uint8Array)) {
    throw httpFailure(
      `the answer is a redirect with status ${status}, and a body that is a stream cannot be sent twice`,
    );
  }
  const dropsBody = !keepsBody && request.method !== 'GET' && request.method !== 'HEAD';
  const fields = request.fields.filter(
    ({ name, secret }) =>
      (sameOrigin || !(secret || name === 'host')) && !(dropsBody && name.startsWith('content-')),
  );
  if (!dropsBody) return { ...request, url, fields };
  return { ...request, method: 'GET', url, fields, body: undefined, contentLength: undefined };
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw invalidParams('http/request url is invalid: it must be absolute, with a host');
  if (!isHttp(url)) {
    throw invalidParams(`http/request only supports http and https URLs, got ${url.protocol.slice(0, -1)}`);
  }
  return url;
}

function isHttp(url: URL): boolean {
  return url.protocol === 'http:' || url.protocol === 'https:';
}

function outgoingField(
  { name, value, valueEnvVar }: RequestParams['headers'][number],
  variables: Variables,
): OutgoingField {
  if (!token.test(name)) throw invalidParams('http/request header name is invalid: it must be a token');
  let secret = secretNames.has(name.toLowerCase());
  let text = value;
  if (valueEnvVar != null) {
    const content = Object.hasOwn(variables, valueEnvVar) ? variables[valueEnvVar] : undefined;
    if (content === undefined) {
      throw invalidParams(
        `http/request header ${name} requires executor environment variable ${valueEnvVar}`,
      );
    }
    text += content;
    secret = true;
  }
  // oxlint-disable-next-line no-control-regex -- these are what a value must not have
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(text)) {
    throw invalidParams(`http/request header value is invalid for ${name}: it has control characters`);
  }
  return { name: name.toLowerCase(), value: text.trim(), secret };
}

/** The executor frames bodies itself: what the client says must be so, or a server would read another request out of the rest. */
function contentLength(fields: readonly HttpField[], actual: number | undefined): number | undefined {
  const given = fields.filter(({ name }) => name === 'content-length').map(({ value }) => value);
  const [first] = given;
  if (first === undefined) return undefined;
  const length = /^\d{1,15}$/.test(first) ? Number(first) : undefined;
  if (
    length === undefined ||
    given.some((value) => value !== first) ||
    (actual !== undefined && length !== actual)
  ) {
    throw invalidParams(
      'http/request header content-length is not the length of the body; it may be left out',
    );
  }
  return length;
}

function userInfo(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const decoded = `${unescapePercent(url.username)}:${unescapePercent(url.password)}`;
  return `Basic ${Buffer.from(decoded, 'latin1').toString('base64')}`;
}

/** Bytes as latin1: what is escaped need not be UTF-8. */
function unescapePercent(text: string): string {
  return text.replace(/%([\da-f]{2})/gi, (_escape, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
