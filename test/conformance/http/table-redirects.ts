import { expect } from 'vitest';

import { base64 } from '../../support/conformance-wire.ts';
import type { Origin } from '../../support/http-origin.ts';
import type { Row } from './row.ts';

const redirect = (origin: Origin, status: number, target: string): string =>
  `${origin.url}/redirect/${status}/${encodeURIComponent(target)}`;

const secretHeaders = [
  { name: 'authorization', value: 'Bearer secret' },
  { name: 'cookie', value: 'id=secret' },
  { name: 'x-kept', value: 'kept' },
];

const becomesGet: readonly Row[] = [301, 302, 303].map((status) => ({
  id: `HTTP-D${status}`,
  title: `a ${status} to a POST is followed by a GET without a body`,
  params: (origin) => ({
    method: 'POST',
    url: redirect(origin, status, '/echo'),
    headers: [{ name: 'content-type', value: 'text/plain' }],
    bodyBase64: base64('once'),
  }),
  expected: {
    status: 200,
    requests: 2,
    seen: ({ method, body, headers }) => {
      expect(method).toBe('GET');
      expect(body.length).toBe(0);
      expect(headers.get('content-type')).toBeUndefined();
    },
  },
}));

const staysPost: readonly Row[] = [307, 308].map((status) => ({
  id: `HTTP-D${status}`,
  title: `a ${status} is followed with method and body`,
  params: (origin) => ({
    method: 'POST',
    url: redirect(origin, status, '/echo'),
    bodyBase64: base64('twice'),
  }),
  expected: {
    status: 200,
    requests: 2,
    seen: ({ method, body }) => {
      expect(method).toBe('POST');
      expect(body.toString()).toBe('twice');
    },
  },
}));

export const redirects: readonly Row[] = [
  ...becomesGet,
  ...staysPost,
  {
    id: 'HTTP-D01',
    title: 'a redirect of HEAD stays HEAD',
    params: (origin) => ({ method: 'HEAD', url: redirect(origin, 302, '/plain') }),
    expected: { status: 200 },
  },
  {
    id: 'HTTP-D02',
    title: 'a redirect that is not to be followed is the answer',
    params: (origin) => ({
      method: 'GET',
      url: redirect(origin, 302, '/plain'),
      redirectPolicy: 'stop',
    }),
    expected: { status: 302, headers: [['location', '/plain']], body: 'moved', requests: 1 },
  },
  {
    id: 'HTTP-D03',
    title: 'a loop ends with a failure after ten redirects',
    params: (origin) => ({ method: 'GET', url: `${origin.url}/loop` }),
    expected: { code: -32603, requests: 11 },
  },
  {
    id: 'HTTP-D04',
    title: 'a redirect to another scheme is a failure',
    params: (origin) => ({ method: 'GET', url: `${origin.url}/to-ftp` }),
    expected: { code: -32603, requests: 1 },
  },
  {
    id: 'HTTP-D05',
    title: 'a redirect to a file is a failure',
    params: (origin) => ({ method: 'GET', url: `${origin.url}/to-file` }),
    expected: { code: -32603, requests: 1 },
  },
  {
    id: 'HTTP-D06',
    title: 'a redirect without a location is the answer',
    params: (origin) => ({ method: 'GET', url: `${origin.url}/to-nowhere` }),
    expected: { status: 302, body: 'no location', requests: 1 },
  },
  {
    id: 'HTTP-D07',
    title: 'a redirect to what is no URL is the answer',
    params: (origin) => ({ method: 'GET', url: `${origin.url}/to-invalid` }),
    expected: { status: 302, body: 'bad location', requests: 1 },
  },
  {
    id: 'HTTP-D08',
    title: 'secrets go along to the same origin',
    params: (origin) => ({ method: 'GET', url: redirect(origin, 302, '/echo'), headers: secretHeaders }),
    expected: {
      status: 200,
      requests: 2,
      seen: ({ headers }) => {
        expect(headers.get('authorization')).toBe('Bearer secret');
        expect(headers.get('cookie')).toBe('id=secret');
      },
    },
  },
  {
    id: 'HTTP-D09',
    title: 'secrets stay behind where a redirect leads to another origin',
    params: (origin, other) => ({
      method: 'GET',
      url: redirect(other, 302, `http://127.0.0.1:${origin.port}/echo`),
      headers: [...secretHeaders, { name: 'x-secret', value: '', valueEnvVar: 'HOME' }],
    }),
    expected: {
      status: 200,
      requests: 1,
      seen: ({ headers }) => {
        expect(headers.get('authorization')).toBeUndefined();
        expect(headers.get('cookie')).toBeUndefined();
        expect(headers.get('x-secret')).toBeUndefined();
        expect(headers.get('x-kept')).toBe('kept');
      },
    },
    reference: {
      reason: 'The reference hands the content of a variable to whichever host a redirect names.',
      expected: { status: 200, seen: ({ headers }) => expect(headers.get('x-secret')).toMatch(/^\//) },
    },
  },
  {
    id: 'HTTP-D10',
    title: 'a redirect can lead to another host',
    params: (origin, other) => ({
      method: 'GET',
      url: redirect(other, 307, `http://localhost:${origin.port}/plain`),
    }),
    expected: { status: 200, body: 'content', requests: 1 },
  },
  {
    id: 'HTTP-D11',
    title: 'a redirect tells the next server nothing of where it came from',
    params: (origin, other) => ({ method: 'GET', url: redirect(other, 302, `${origin.url}/echo`) }),
    expected: { status: 200, seen: ({ headers }) => expect(headers.get('referer')).toBeUndefined() },
    reference: {
      reason: 'The reference names the page before; where a caller wants that, it can give the header.',
      expected: { status: 200, seen: ({ headers }) => expect(headers.get('referer')).toMatch(/^http:/) },
    },
  },
];
