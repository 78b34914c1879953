import { gzipSync } from 'node:zlib';

import { expect } from 'vitest';

import { base64 } from '../../support/conformance-wire.ts';
import type { SeenRequest } from '../../support/http-origin.ts';
import { redirects } from './table-redirects.ts';
import { refusals } from './table-refusals.ts';
import type { Row } from './row.ts';

const get = (path: string) => (origin: { readonly url: string }) => ({
  method: 'GET',
  url: `${origin.url}${path}`,
});

const lines = (request: SeenRequest): string[] => request.head.slice(1).map((line) => line.toLowerCase());

const statuses: readonly Row[] = [
  200, 201, 202, 206, 299, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 599,
].map((status) => ({
  id: `HTTP-S${status}`,
  title: `status ${status} is an answer like any other`,
  params: get(`/status/${status}`),
  expected: { status, body: `status ${status}` },
}));

const answers: readonly Row[] = [
  {
    id: 'HTTP-A01',
    title: 'a body comes whole',
    params: get('/plain'),
    expected: { status: 200, headers: [['content-type', 'text/plain']], body: 'content' },
  },
  {
    id: 'HTTP-A02',
    title: 'an empty body is none',
    params: get('/empty'),
    expected: { status: 200, body: '' },
  },
  {
    id: 'HTTP-A03',
    title: 'a 204 has no body',
    params: get('/no-content'),
    expected: { status: 204, headers: [['x-a', '1']], body: '' },
  },
  {
    id: 'HTTP-A04',
    title: 'a 304 has no body',
    params: get('/not-modified'),
    expected: { status: 304, headers: [['etag', '"x"']], body: '' },
  },
  {
    id: 'HTTP-A05',
    title: 'the answer to HEAD has the length of a body that does not come',
    params: (origin) => ({ method: 'HEAD', url: `${origin.url}/plain` }),
    expected: { status: 200, headers: [['content-length', '7']], body: '' },
  },
  {
    id: 'HTTP-A06',
    title: 'headers of one name stay apart and come together, names in lower case',
    params: get('/duplicates'),
    expected: {
      status: 200,
      headers: [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['x-one', '1'],
        ['x-one', '2'],
      ],
    },
  },
  {
    id: 'HTTP-A07',
    title: 'a header that is not visible ASCII is left out',
    params: get('/latin1'),
    expected: { status: 200, headers: [['x-good', 'cafe']], withoutHeaders: ['x-bad'] },
  },
  {
    id: 'HTTP-A08',
    title: 'nothing is unpacked',
    params: get('/gzip'),
    expected: { status: 200, headers: [['content-encoding', 'gzip']], body: gzipSync('unpacked') },
  },
  {
    id: 'HTTP-A09',
    title: 'a chunked body comes without its chunks, and its trailers behind it',
    params: get('/chunked'),
    expected: { status: 200, body: 'one two', trailers: [['x-sum', '7']] },
    reference: {
      reason: 'Trailers are an extension.',
      expected: { status: 200, body: 'one two', trailers: [] },
    },
  },
  {
    id: 'HTTP-A10',
    title: 'a body without a length ends with its connection',
    params: get('/until-close'),
    expected: { status: 200, body: 'until the end' },
  },
  {
    id: 'HTTP-A11',
    title: 'an early hint is no answer',
    params: get('/early-hints'),
    expected: { status: 200, body: 'ok' },
  },
  {
    id: 'HTTP-A12',
    title: 'a slow body comes whole',
    params: get('/slow'),
    expected: { status: 200, body: '54321' },
  },
];

const failures: readonly Row[] = [
  {
    id: 'HTTP-F01',
    title: 'a body that is cut has failed',
    params: get('/truncated'),
    expected: { status: 200, bodyFails: true },
  },
  {
    id: 'HTTP-F02',
    title: 'a chunked body that is cut has failed',
    params: get('/truncated-chunk'),
    expected: { status: 200, bodyFails: true },
  },
  {
    id: 'HTTP-F03',
    title: 'a reset in the middle of a body is a failure',
    params: get('/reset'),
    expected: { status: 200, bodyFails: true },
  },
  {
    id: 'HTTP-F04',
    title: 'a reset is no end of a body without a length',
    params: get('/reset-until-close'),
    expected: { status: 200, bodyFails: true },
  },
  {
    id: 'HTTP-F05',
    title: 'a reset before the answer is a failure',
    params: get('/reset-at-once'),
    expected: { code: -32603 },
  },
  {
    id: 'HTTP-F06',
    title: 'what is no HTTP is a failure',
    params: get('/garbage'),
    expected: { code: -32603 },
  },
  {
    id: 'HTTP-F07',
    title: 'a connection that ends without an answer is a failure',
    params: get('/nothing'),
    expected: { code: -32603 },
  },
  {
    id: 'HTTP-F08',
    title: 'a header beyond the limit is a failure',
    params: get('/large-header'),
    expected: { code: -32603 },
    reference: { reason: 'The reference takes larger headers.', expected: { status: 200 } },
  },
  {
    id: 'HTTP-F09',
    title: 'a port where nobody listens is a failure',
    params: () => ({ method: 'GET', url: 'http://127.0.0.1:1/' }),
    expected: { code: -32603, requests: 0 },
  },
  {
    id: 'HTTP-F10',
    title: 'a name that does not exist is a failure',
    params: () => ({ method: 'GET', url: 'http://no-such-name.invalid/' }),
    expected: { code: -32603, requests: 0 },
  },
  {
    id: 'HTTP-F11',
    title: 'a deadline that is over at once is a failure',
    params: (origin) => ({ ...get('/plain')(origin), timeoutMs: 0 }),
    expected: { code: -32603 },
  },
  {
    id: 'HTTP-F12',
    title: 'a deadline ends the wait for an answer',
    params: (origin) => ({ ...get('/hang')(origin), timeoutMs: 200 }),
    expected: { code: -32603, requests: 1 },
  },
  {
    id: 'HTTP-F13',
    title: 'a deadline ends the wait for the body',
    params: (origin) => ({ ...get('/hang-body')(origin), timeoutMs: 300 }),
    expected: { status: 200, bodyFails: true },
  },
  {
    id: 'HTTP-F14',
    title: 'https where the server speaks http is a failure',
    params: (origin) => ({ method: 'GET', url: `https://127.0.0.1:${origin.port}/plain`, timeoutMs: 5000 }),
    expected: { code: -32603 },
  },
];

const requests: readonly Row[] = [
  {
    id: 'HTTP-R01',
    title: 'a request has host and accept, and tells of no agent and no encoding',
    params: (origin) => get('/plain?a=1&b=%20')(origin),
    expected: {
      status: 200,
      seen: (request) => {
        expect(request.head[0]).toBe('GET /plain?a=1&b=%20 HTTP/1.1');
        expect(lines(request)).toContain('accept: */*');
        expect(request.headers.get('host')).toMatch(/^127\.0\.0\.1:\d+$/);
        expect([...request.headers.keys()]).not.toEqual(expect.arrayContaining(['user-agent']));
        expect([...request.headers.keys()]).not.toEqual(expect.arrayContaining(['accept-encoding']));
      },
    },
  },
  {
    id: 'HTTP-R02',
    title: 'headers keep their order, and one name may come several times',
    params: (origin) => ({
      ...get('/plain')(origin),
      headers: [
        { name: 'X-B', value: '1' },
        { name: 'x-a', value: '2' },
        { name: 'X-B', value: '3' },
        { name: 'accept', value: 'text/html' },
      ],
    }),
    expected: {
      seen: (request) => {
        const own = lines(request).filter((line) => /^(x-|accept)/.test(line));
        expect(own).toEqual(['x-b: 1', 'x-a: 2', 'x-b: 3', 'accept: text/html']);
      },
      status: 200,
    },
    reference: {
      reason: 'The reference puts headers of one name together; their order among each other is the same.',
      expected: {
        status: 200,
        seen: (request) => {
          const own = lines(request).filter((line) => /^(x-|accept)/.test(line));
          expect(own).toEqual(['x-b: 1', 'x-b: 3', 'x-a: 2', 'accept: text/html']);
        },
      },
    },
  },
  {
    id: 'HTTP-R03',
    title: 'a body is sent with its length',
    params: (origin) => ({ method: 'POST', url: `${origin.url}/echo`, bodyBase64: base64('the body') }),
    expected: {
      status: 200,
      seen: ({ headers, body }) => {
        expect(headers.get('content-length')).toBe('8');
        expect(body.toString()).toBe('the body');
      },
    },
  },
  {
    id: 'HTTP-R04',
    title: 'GET may have a body',
    params: (origin) => ({ ...get('/echo')(origin), bodyBase64: base64('asked') }),
    expected: { status: 200, seen: ({ body }) => expect(body.toString()).toBe('asked') },
  },
  {
    id: 'HTTP-R05',
    title: 'a method is sent as it is written',
    params: (origin) => ({ method: 'pUrGe', url: `${origin.url}/plain` }),
    expected: { status: 200, seen: ({ method }) => expect(method).toBe('pUrGe') },
  },
  {
    id: 'HTTP-R06',
    title: 'host and agent may be given',
    params: (origin) => ({
      ...get('/plain')(origin),
      headers: [
        { name: 'host', value: 'elsewhere.test' },
        { name: 'user-agent', value: 'mine' },
      ],
    }),
    expected: {
      status: 200,
      seen: ({ headers }) => {
        expect(headers.get('host')).toBe('elsewhere.test');
        expect(headers.get('user-agent')).toBe('mine');
      },
    },
  },
  {
    id: 'HTTP-R07',
    title: 'credentials of the URL become a header, and the fragment stays here',
    params: (origin) => ({ method: 'GET', url: `http://us%20er:p%3Aw@127.0.0.1:${origin.port}/plain#part` }),
    expected: {
      status: 200,
      seen: ({ path, headers }) => {
        expect(path).toBe('/plain');
        expect(headers.get('authorization')).toBe(`Basic ${base64('us er:p:w')}`);
      },
    },
  },
  {
    id: 'HTTP-R08',
    title: 'a header value goes out as UTF-8',
    params: (origin) => ({ ...get('/plain')(origin), headers: [{ name: 'x-name', value: 'Zoë' }] }),
    expected: {
      status: 200,
      seen: ({ headers }) => expect(headers.get('x-name')).toBe(Buffer.from('Zoë').toString('latin1')),
    },
  },
  {
    id: 'HTTP-R09',
    title: 'a variable of the executor gives the rest of a header',
    params: (origin) => ({
      ...get('/plain')(origin),
      headers: [{ name: 'authorization', value: 'Bearer ', valueEnvVar: 'HOME' }],
    }),
    expected: {
      status: 200,
      seen: ({ headers }) => expect(headers.get('authorization')).toMatch(/^Bearer \/.+/),
    },
  },
  {
    id: 'HTTP-R10',
    title: 'what is about the connection is the executor to say',
    params: (origin) => ({
      method: 'POST',
      url: `${origin.url}/echo`,
      bodyBase64: base64('x'),
      headers: [
        { name: 'transfer-encoding', value: 'chunked' },
        { name: 'keep-alive', value: 'timeout=5' },
      ],
    }),
    expected: {
      status: 200,
      seen: ({ headers, body }) => {
        expect(headers.get('transfer-encoding')).toBeUndefined();
        expect(body.toString()).toBe('x');
      },
    },
    reference: {
      reason:
        'The reference lets a caller say how a body is framed, and so send a second request inside of it.',
      expected: {
        status: 200,
        seen: ({ headers }) => expect(headers.get('transfer-encoding')).toBe('chunked'),
      },
    },
  },
];

/** Every row of the table of HTTP requests. */
export const table: readonly Row[] = [
  ...statuses,
  ...answers,
  ...failures,
  ...requests,
  ...redirects,
  ...refusals,
];
