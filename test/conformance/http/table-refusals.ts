import { restricted } from '../../support/sandbox-profiles.ts';
import type { RequestParams } from '../../support/http-exchange.ts';
import type { Row } from './row.ts';

interface Refusal extends Pick<Row, 'id' | 'title' | 'reference' | 'extension'> {
  readonly change: RequestParams | object;
  readonly code?: number;
}

const list: readonly Refusal[] = [
  { id: 'HTTP-X01', title: 'a method that is no token', change: { method: 'GE T' } },
  { id: 'HTTP-X02', title: 'an empty method', change: { method: '' } },
  { id: 'HTTP-X03', title: 'a relative URL', change: { url: '/plain' } },
  { id: 'HTTP-X04', title: 'a URL without a host', change: { url: 'http://' } },
  { id: 'HTTP-X05', title: 'a URL of another scheme', change: { url: 'ftp://127.0.0.1/x' } },
  { id: 'HTTP-X06', title: 'a URL of a file', change: { url: 'file:///etc/passwd' } },
  {
    id: 'HTTP-X07',
    title: 'a header name that is no token',
    change: { headers: [{ name: 'a b', value: '1' }] },
  },
  { id: 'HTTP-X08', title: 'an empty header name', change: { headers: [{ name: '', value: '1' }] } },
  {
    id: 'HTTP-X09',
    title: 'a header value with a line break',
    change: { headers: [{ name: 'a', value: '1\r\nb: 2' }] },
  },
  {
    id: 'HTTP-X10',
    title: 'a header value with a NUL',
    change: { headers: [{ name: 'a', value: '1\u0000' }] },
  },
  {
    id: 'HTTP-X11',
    title: 'a header with a variable that is not set',
    change: { headers: [{ name: 'a', value: '', valueEnvVar: 'NO_SUCH_VARIABLE_HERE' }] },
  },
  { id: 'HTTP-X12', title: 'headers that are null', change: { headers: null } },
  { id: 'HTTP-X13', title: 'a body that is no base64', change: { bodyBase64: '!' } },
  { id: 'HTTP-X14', title: 'a body without its padding', change: { bodyBase64: 'YQ' } },
  { id: 'HTTP-X15', title: 'a deadline below zero', change: { timeoutMs: -1 } },
  { id: 'HTTP-X16', title: 'a deadline that is no integer', change: { timeoutMs: 1.5 } },
  { id: 'HTTP-X17', title: 'an unknown redirect policy', change: { redirectPolicy: 'error' } },
  {
    id: 'HTTP-X18',
    title: 'a tunnel',
    change: { method: 'CONNECT' },
    reference: { reason: 'The reference sends CONNECT like any method, and has no use for the tunnel.' },
  },
  {
    id: 'HTTP-X19',
    title: 'a length that is not that of the body',
    change: { method: 'POST', bodyBase64: 'YWJj', headers: [{ name: 'content-length', value: '1' }] },
    reference: {
      reason: 'The reference sends what does not fit together; a server reads the rest as a second request.',
      expected: { status: 200 },
    },
  },
  {
    id: 'HTTP-X20',
    title: 'two hosts',
    change: {
      headers: [
        { name: 'host', value: 'a' },
        { name: 'host', value: 'b' },
      ],
    },
    reference: { reason: 'The reference sends both, which servers must refuse.', expected: { status: 200 } },
  },
  {
    id: 'HTTP-X21',
    title: 'a variable that only the executor may know',
    change: { headers: [{ name: 'a', value: '', valueEnvVar: 'CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN' }] },
  },
  {
    id: 'HTTP-X22',
    title: 'a permission profile with a restricted network',
    change: { sandbox: { permissions: restricted([]) } },
    code: -32600,
    extension: true,
  },
  {
    id: 'HTTP-X23',
    title: 'a permission profile that cannot be read',
    change: { sandbox: { permissions: 'all of them' } },
    code: -32602,
    extension: true,
  },
  {
    id: 'HTTP-X24',
    title: 'a permission profile that says nothing of the network',
    change: { sandbox: { permissions: { type: 'external' } } },
    code: -32602,
    extension: true,
  },
  {
    id: 'HTTP-X25',
    title: 'a unix socket under a permission profile that restricts files',
    change: {
      unixSocket: '/no/such/socket',
      sandbox: { permissions: restricted([], { network: 'enabled' }) },
    },
    code: -32600,
    extension: true,
  },
  {
    id: 'HTTP-X26',
    title: 'a unix socket that does not exist',
    change: { unixSocket: '/no/such/socket' },
    code: -32603,
    extension: true,
  },
  {
    id: 'HTTP-X27',
    title: 'a metadata service',
    change: { url: 'http://169.254.169.254/latest/meta-data/' },
    code: -32603,
    extension: true,
  },
];

/** What is refused, or fails before anything is sent. */
export const refusals: readonly Row[] = list.map(toRow);

function toRow({ change, code = -32602, title, ...row }: Refusal): Row {
  return {
    ...row,
    title: `${title} is refused`,
    params: (origin) => ({ method: 'GET', url: `${origin.url}/plain`, ...change }),
    expected: { code, requests: 0 },
  };
}
