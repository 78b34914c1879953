import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { cliArena } from '../../support/cli-arena.ts';
import { cli, startCli, startServer } from '../../support/cli-program.ts';
import { Origin, until } from '../../support/http-origin.ts';

const arena = cliArena();
const { mark } = arena;
let origin: Origin;

beforeEach(async () => {
  origin = await Origin.start();
});

afterEach(async () => origin[Symbol.asyncDispose]());

async function curl(args: readonly string[], input: string | Uint8Array = '') {
  return cli(['curl', '--url', arena.server.url, ...args], { mark, input });
}

describe('curl', () => {
  test('writes the body of the answer', async () => {
    expect(await curl([`${origin.url}/plain`])).toEqual({ status: 0, stdout: 'content', stderr: '' });
    expect(origin.seen[0]?.method).toBe('GET');
  });

  test('works without an executor that runs', async () => {
    expect((await cli(['curl', `${origin.url}/plain`], { mark })).stdout).toBe('content');
  });

  test('writes status and header before the body with -i, and follows redirects with -L only', async () => {
    const url = `${origin.url}/redirect/302/%2Fplain`;
    const { stdout } = await curl(['-i', url]);
    expect(stdout).toMatch(/^HTTP\/1\.1 302\nlocation: \/plain\n[^]*\n\nmoved$/);
    expect((await curl(['-L', url])).stdout).toBe('content');
  });

  test('sends method, headers and data', async () => {
    await curl(['-X', 'PUT', '-H', 'X-One: 1', '-H', 'x-two:2', '-d', 'a=1', `${origin.url}/echo`]);
    const [seen] = origin.seen;
    expect(seen).toMatchObject({ method: 'PUT', body: Buffer.from('a=1') });
    expect([seen?.headers.get('x-one'), seen?.headers.get('x-two')]).toEqual(['1', '2']);
    expect(seen?.headers.get('content-type')).toBe('application/x-www-form-urlencoded');
  });

  test('sends a file or its input, and writes to a file', async () => {
    const bytes = randomBytes(300_000);
    await writeFile(arena.folder.at('in'), bytes);
    await curl(['-d', `@${arena.folder.at('in')}`, `${origin.url}/plain`]);
    expect(origin.seen[0]?.body.equals(bytes)).toBe(true);
    await curl(['-d', '@-', '-o', arena.folder.at('out'), `${origin.url}/plain`], bytes);
    expect(origin.seen[1]?.body.equals(bytes)).toBe(true);
    expect(await readFile(arena.folder.at('out'), 'utf8')).toBe('content');
    expect(await curl(['-d', `@${arena.folder.at('none')}`, origin.url])).toMatchObject({ status: 1 });
    expect(origin.seen.length).toBe(2);
  });

  test('reaches a unix socket', async () => {
    await using inside = await Origin.start({ path: arena.folder.at('http.sock') });
    const { stdout } = await curl(['--unix-socket', arena.folder.at('http.sock'), 'http://inside/plain']);
    expect(stdout).toBe('content');
    expect(inside.seen[0]?.headers.get('host')).toBe('inside');
  });

  test('ends with 22 for a bad status where it is asked to, with 1 where there is no answer', async () => {
    expect((await curl([`${origin.url}/status/404`])).status).toBe(0);
    expect(await curl(['-f', `${origin.url}/status/404`])).toMatchObject({ status: 22, stdout: '' });
    const refused = await curl(['http://127.0.0.1:1/']);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^Error: http\/request failed: .*\(os error 111\)\n$/);
    expect((await curl(['-m', '0.2', `${origin.url}/hang`])).stderr).toContain('timed out');
    expect((await curl([`${origin.url}/truncated`])).status).toBe(1);
    expect((await curl(['-H', 'no colon', origin.url])).stderr).toContain('name: value');
  });

  test('ends its request when it is ended', async () => {
    await using child = startCli(['curl', '--url', arena.server.url, `${origin.url}/hang`], { mark });
    await until('the origin has the request', () => origin.seen.length === 1);
    child.kill('SIGTERM');
    await child.outcome();
    await until('the origin has no connection any more', () => origin.connections === 0);
  });
});

describe('the egress policy of serve', () => {
  test('is what the flags and variables say', async () => {
    const flags = ['--http-deny', `127.0.0.1:${origin.port}`];
    await using denying = await startServer(flags, { mark });
    expect((await cli(['curl', '--url', denying.url, `${origin.url}/plain`], { mark })).stderr).toContain(
      'policy',
    );
    await using nowhere = await startServer([], { mark, env: { EXEC_SERVER_HTTP_ALLOW: '' } });
    expect((await cli(['curl', '--url', nowhere.url, `${origin.url}/plain`], { mark })).stderr).toContain(
      'policy',
    );
    await using there = await startServer(['--http-allow', 'loopback,*.test'], { mark });
    expect((await cli(['curl', '--url', there.url, `${origin.url}/plain`], { mark })).stdout).toBe('content');
    expect(origin.seen.length).toBe(1);
    expect(await cli(['serve', '--http-allow', 'a b'], { mark })).toMatchObject({ status: 1, stdout: '' });
  });
});
