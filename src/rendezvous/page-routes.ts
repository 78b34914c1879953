import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Directory } from './directory.ts';
import type { Door } from './door.ts';
import { viewsFor } from './environment-view.ts';
import type { RendezvousLimits } from './limits.ts';
import { Logins } from './logins.ts';
import { contentSecurityPolicy, listPage, loginPage, script, style } from './page.ts';
import { type Principal, hasRole } from './principal.ts';
import { Problem } from './problem.ts';

interface PageParts {
  readonly door: Door;
  readonly directory: Directory;
  readonly limits: RendezvousLimits;
  /** Browsers reach it by TLS, so that the cookie never travels without. */
  readonly isSecure: boolean;
}

const cookieName = 'exec_server_login';

/** The page of environments. Who shows it has a token, in the header or by a login. */
export function addPage(app: FastifyInstance, parts: PageParts): void {
  const { door, directory, limits } = parts;
  const logins = new Logins(limits.logins, limits.loginMs);
  const watchers = new Set<Watcher>();
  const get = (
    url: string,
    handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
  ): void => void app.route({ method: 'GET', url, handler });

  get('/', async (request, reply) => {
    const principal = await visitor(request);
    const byLogin = request.headers.authorization === undefined && loginId(request) !== '';
    return html(
      reply,
      principal === undefined
        ? loginPage(undefined)
        : listPage(viewsFor(directory, principal), `${principal.tenant}: ${principal.subject}`, byLogin),
    );
  });
  get('/page.css', async (_request, reply) => reply.type('text/css; charset=utf-8').send(style));
  get('/page.js', async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(script));

  app.route({
    method: 'POST',
    url: '/login',
    handler: async (request, reply) => {
      refuseForeign(request);
      const token =
        new URLSearchParams(Buffer.isBuffer(request.body) ? request.body.toString() : '')
          .get('token')
          ?.trim() ?? '';
      const principal = await door.admitToken(`Bearer ${token}`, request.ip).catch((error: unknown) => {
        if (error instanceof Problem && error.status === 401) return undefined;
        throw error;
      });
      if (principal === undefined || !hasRole(principal, 'orchestrator')) {
        return html(reply.code(403), loginPage('This token is not one of an orchestrator.'));
      }
      return redirect(reply, logins.add(principal), limits.loginMs);
    },
  });
  app.route({
    method: 'POST',
    url: '/logout',
    handler: async (request, reply) => {
      refuseForeign(request);
      logins.remove(loginId(request));
      return redirect(reply, '', 0);
    },
  });

  get('/events', async (request, reply) => {
    const principal = await visitor(request);
    if (principal === undefined) throw new Problem(401, 'unauthorized', 'Log in on the page first.');
    if (watchers.size >= limits.watchers)
      throw new Problem(503, 'limit_reached', 'Too many pages are open.', 5);
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const watcher = new Watcher(reply.raw, () => eventOf(directory, principal, isVisitor(principal)));
    watchers.add(watcher);
    reply.raw.once('close', () => watchers.delete(watcher));
    watcher.look();
  });
  const timer = setInterval(() => {
    for (const watcher of watchers) watcher.look();
  }, limits.watchMs);
  timer.unref();
  app.addHook('preClose', async () => {
    clearInterval(timer);
    for (const watcher of watchers) watcher.end();
  });

  /** Who looks at the page; undefined if somebody has to log in first. */
  async function visitor(request: FastifyRequest): Promise<Principal | undefined> {
    const id = loginId(request);
    const hasToken = request.headers.authorization !== undefined || (id === '' && door.isOpen);
    const principal = hasToken ? await door.admit(request) : logins.find(id);
    if (principal === undefined || !isVisitor(principal)) return undefined;
    return principal;
  }

  /** A token may have been taken back since. */
  function isVisitor({ tenant, subject, expiresAt, scopes }: Principal): boolean {
    const isGood = door.isKnown(tenant, subject) && (expiresAt ?? Infinity) > Date.now();
    return isGood && scopes.some(({ role }) => role === 'orchestrator');
  }

  function redirect(reply: FastifyReply, id: string, milliseconds: number): FastifyReply {
    const cookie = `${cookieName}=${id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${milliseconds / 1000}`;
    return reply
      .code(303)
      .header('set-cookie', parts.isSecure ? `${cookie}; Secure` : cookie)
      .header('location', './')
      .send();
  }
}

/** A browser that has the page open. */
class Watcher {
  readonly #response: ServerResponse;
  readonly #event: () => string | undefined;
  #last = '';

  constructor(response: ServerResponse, event: () => string | undefined) {
    this.#response = response;
    this.#event = event;
  }

  /** Tells what has changed, unless the last change is still on its way. */
  look(): void {
    if (this.#response.writableLength > 0) return;
    const event = this.#event();
    if (event === undefined) return this.end();
    if (event === this.#last) return;
    this.#last = event;
    this.#response.write(event);
  }

  end(): void {
    this.#response.end();
  }
}

/** Undefined for somebody who may not see it any more. */
function eventOf(directory: Directory, principal: Principal, isVisitor: boolean): string | undefined {
  if (!isVisitor) return undefined;
  // Otherwise the time alone would be a change.
  const views = viewsFor(directory, principal);
  for (const view of views) if (view.online) Object.assign(view, { last_seen: '' });
  return `data: ${JSON.stringify(views)}\n\n`;
}

function html(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', contentSecurityPolicy)
    .header('x-frame-options', 'DENY')
    .send(text);
}

/** A form of another site has no business here. A browser names the site in each POST. */
function refuseForeign(request: FastifyRequest): void {
  const { origin, host } = request.headers;
  const isOwn = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
  if (!isOwn || request.headers['sec-fetch-site'] === 'cross-site')
    throw new Problem(403, 'foreign_origin', 'This form is sent by the page of the rendezvous only.');
}

function loginId(request: FastifyRequest): string {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1) ?? '';
}
