import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { type Server, createServer } from 'node:https';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type LocalExecutor, connectLocal } from '../../../src/environments/local.ts';
import { HttpRequests } from '../../../src/http/http-requests.ts';
import { requests } from '../../../src/protocol/methods.ts';
import { Origin } from '../../support/http-origin.ts';
import { portOf } from '../../support/reference.ts';

const folder = path.resolve(import.meta.dirname, '..', '..', 'fixtures', 'tls');
const authority = path.join(folder, 'authority.pem');
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer(
    {
      key: readFileSync(path.join(folder, 'localhost.key.pem')),
      cert: readFileSync(path.join(folder, 'localhost.pem')),
    },
    (request, response) => {
      const target = new URL(request.url ?? '/', 'https://x').searchParams.get('to');
      if (target !== null) response.writeHead(302, { location: target });
      response.end('over TLS');
    },
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = portOf(server);
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

/** What is answered, or the text of the failure. */
async function ask(
  url: string,
  env: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<string> {
  await using executor: LocalExecutor = await connectLocal({ env });
  try {
    return await (await executor.client.fetch(url, { headers })).text();
  } catch (error) {
    return `failed: ${((error as Error).cause as Error).message}`;
  }
}

describe('https', () => {
  it.each(['SSL_CERT_FILE', 'CODEX_CA_CERTIFICATE'])('trusts the authorities of %s', async (name) => {
    expect(await ask(`https://127.0.0.1:${port}/`, { [name]: authority })).toBe('over TLS');
    expect(await ask(`https://localhost:${port}/`, { [name]: authority })).toBe('over TLS');
  });

  it('trusts nobody else', async () => {
    expect(await ask(`https://127.0.0.1:${port}/`, {})).toMatch(/^failed: .*127\.0\.0\.1/);
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    expect(await ask(`https://127.0.0.1:${port}/`, env)).toMatch(/^failed: /);
  });

  it('checks the name', async () => {
    const made = new HttpRequests({ env: { SSL_CERT_FILE: authority }, resolve: async () => ['127.0.0.1'] });
    const params = { requestId: 'r', method: 'GET', url: `https://other.test:${port}/` };
    const request = made.prepare(requests['http/request'].params.parse(params));
    await expect(request.start(new AbortController().signal)).rejects.toThrow(/altnames/);
  });

  it('says which file is wrong', async () => {
    const url = `https://127.0.0.1:${port}/`;
    expect(await ask(url, { SSL_CERT_FILE: '/no/such/file' })).toMatch(/SSL_CERT_FILE/);
    expect(await ask(url, { SSL_CERT_FILE: import.meta.filename })).toMatch(/^failed: /);
  });

  it('leaves secrets behind where a redirect leads to http', async () => {
    await using origin = await Origin.start();
    const target = encodeURIComponent(`${origin.url}/plain`);
    const headers = { authorization: 'Bearer secret', 'x-kept': 'kept' };
    expect(await ask(`https://127.0.0.1:${port}/?to=${target}`, { SSL_CERT_FILE: authority }, headers)).toBe(
      'content',
    );
    expect(origin.seen[0]?.headers.get('authorization')).toBeUndefined();
    expect(origin.seen[0]?.headers.get('x-kept')).toBe('kept');
  });
});
