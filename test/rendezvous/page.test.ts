import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BrowserContext, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ask, executor, orchestrator } from '../support/rendezvous-peers.ts';
import { type Service, startService, tokens } from '../support/rendezvous-tenants.ts';

const program = '/usr/bin/chromium';
const isThere = existsSync(program);
const isCi = process.env['CI'] === 'true';

/** Names that a hostile executor may give itself. */
const hostileName =
  '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>\'"&';

if (!isThere) {
  process.stderr.write(`\nThe page is not tested: ${program} is missing; apt-get install chromium\n`);
}

test.runIf(isCi)('a browser is there to test the page with: apt-get install chromium', () => {
  expect(isThere).toBe(true);
});

describe.runIf(isThere)('the page in a browser', () => {
  let service: Service;
  let profile: string;
  let context: BrowserContext;

  beforeAll(async () => {
    service = await startService();
    profile = await mkdtemp(path.join(tmpdir(), 'exec-page-'));
    context = await chromium.launchPersistentContext(profile, {
      executablePath: program,
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    });
  });

  afterAll(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
    await service[Symbol.asyncDispose]();
  });

  async function logIn(token: string): Promise<{ page: Page; errors: string[] }> {
    context.setDefaultTimeout(20_000);
    await context.clearCookies();
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('console', (message) => void (message.type() === 'error' && errors.push(message.text())));
    page.on('pageerror', (error) => void errors.push(error.message));
    await page.goto(service.url);
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    return { page, errors };
  }

  test('asks for a token, and shows what comes and goes without being loaded again', async () => {
    const { page, errors } = await logIn(tokens.orchestrator);
    await page.getByText('0 registered, 0 online').waitFor();
    await page.evaluate('window.marker = true');
    const box = await executor(service.url, 'live-env', tokens.executor);
    const row = page.locator('tr', { hasText: 'live-env' });
    await row.locator('td:last-child', { hasText: 'online' }).waitFor();
    using harness = await orchestrator(service.url, 'live-env', tokens.orchestrator);
    harness.openStream('s');
    await row.locator('td:nth-child(7)', { hasText: '1' }).waitFor();
    box.webSocket.terminate();
    await row.locator('td:last-child', { hasText: 'offline' }).waitFor();
    await page.getByText('1 registered, 0 online').waitFor();
    expect(await page.evaluate('window.marker')).toBe(true);
    expect(errors).toStrictEqual([]);
    await page.close();
  });

  test('keeps the token out of the browser, and forgets the login', async () => {
    const { page } = await logIn(tokens.orchestrator);
    await page.getByText('registered').waitFor();
    const cookies = await context.cookies(service.url);
    expect(cookies).toMatchObject([{ name: 'exec_server_login', httpOnly: true, sameSite: 'Strict' }]);
    expect(JSON.stringify(cookies)).not.toContain(tokens.orchestrator);
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(page.url()).toBe(`${service.url}/`);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
    const cookie = `exec_server_login=${cookies[0]?.value}`;
    const again = await ask(service.url, '/', { method: 'GET', headers: { cookie } });
    expect(again.text).toContain('Log in');
    await page.close();
  });

  test.each([
    ['guess', 'This token is not one of an orchestrator.'],
    [tokens.executor, 'This token is not one of an orchestrator.'],
  ])('does not let %s in', async (token, text) => {
    const { page } = await logIn(token);
    expect(await page.getByRole('alert').textContent()).toBe(text);
    expect(await context.cookies(service.url)).toStrictEqual([]);
    await page.close();
  });

  test('shows names as texts, whoever has chosen them', async () => {
    const named = { environment_id: hostileName, name: hostileName, idempotency_id: 'x' };
    const { status } = await ask(service.url, '/api/cloud/executor', { token: tokens.executor, body: named });
    expect(status).toBe(200);
    const { page, errors } = await logIn(tokens.orchestrator);
    const cells = page.locator('tr', { hasText: 'onerror' }).locator('td');
    // By the server, and again by the script.
    expect(await cells.first().textContent()).toBe(hostileName);
    using other = await executor(service.url, 'another-env', tokens.executor);
    await page.getByText('another-env').waitFor();
    expect((await cells.allTextContents()).slice(0, 2)).toStrictEqual([hostileName, hostileName]);
    expect(await page.title()).toBe('Environments');
    expect(await page.locator('img, script:not([src])').count()).toBe(0);
    expect([errors, other.waiting]).toStrictEqual([[], 0]);
    await page.close();
  });

  test('shows a tenant its own environments', async () => {
    using theirs = await executor(service.url, 'globex-env', tokens.foreignExecutor);
    const { page } = await logIn(tokens.foreignOrchestrator);
    await page.getByText('1 registered, 1 online').waitFor();
    expect(await page.locator('tbody td:first-child').allTextContents()).toStrictEqual(['globex-env']);
    expect(theirs.waiting).toBe(0);
    await page.close();
  });
});

describe('the page over HTTP', () => {
  test('is served with a policy that lets nothing else in', async () => {
    await using service = await startService();
    const { headers, text } = await ask(service.url, '/', { method: 'GET', token: tokens.orchestrator });
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(text).toContain('0 registered');
    expect(text).not.toMatch(/<script>|style=|onclick/);
  });

  test('takes no form of another site', async () => {
    await using service = await startService();
    const login = (headers: Record<string, string>): Promise<{ status: number }> =>
      ask(service.url, '/login', {
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: `token=${tokens.orchestrator}`,
      });
    expect((await login({ origin: 'https://example.com' })).status).toBe(403);
    expect((await login({ origin: 'null' })).status).toBe(403);
    expect((await login({ 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await login({ origin: service.url })).status).toBe(303);
  });

  test('without authentication is there for loopback names only', async () => {
    await using open = await startService({ args: ['--unauthenticated'], tokens: false });
    const { port } = new URL(open.url);
    const page = async (host: string): Promise<number> => {
      const { status } = await raw(open.url, host);
      return status;
    };
    expect(await page(`127.0.0.1:${port}`)).toBe(200);
    expect(await page(`localhost:${port}`)).toBe(200);
    expect(await page('rebound.example.com')).toBe(403);
  });
});

/** `fetch` would set the header itself. */
async function raw(url: string, host: string): Promise<{ status: number }> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers: { host } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0 }));
    });
    sent.on('error', reject);
    sent.end();
  });
}
