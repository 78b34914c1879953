import { type FastifyInstance, fastify } from 'fastify';
import type { RendezvousLimits } from './limits.ts';
import { Problem } from './problem.ts';

/** The HTTP server without its routes: bounds, headers, and one form of errors. */
export function createApp(limits: RendezvousLimits): FastifyInstance {
  const app = fastify({
    forceCloseConnections: true,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    // Names in paths have up to four bytes a character, each of three characters then.
    routerOptions: { maxParamLength: limits.environmentIdLength * 12 },
    http: {
      headersTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(limits.requestMs, 5000),
      maxHeaderSize: limits.headerBytes,
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    // With less a browser hides even from us which site a form is of.
    reply.header('referrer-policy', 'same-origin');
  });
  app.setNotFoundHandler(() => {
    throw new Problem(404, 'not_found', 'There is nothing here.');
  });
  app.setErrorHandler(async (error: Error & { readonly statusCode?: number }, _request, reply) => {
    const problem = error instanceof Problem ? error : foreignProblem(error);
    if (problem.retryAfter !== undefined) reply.header('retry-after', String(problem.retryAfter));
    if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
    await reply.code(problem.status).send(problem.body);
  });
  return app;
}

/** What the HTTP library refuses: too long, malformed. */
function foreignProblem(error: { readonly statusCode?: number }): Problem {
  const status = error.statusCode ?? 500;
  if (status === 413) return new Problem(413, 'body_too_large', 'The body is too long.');
  if (status >= 400 && status < 500)
    return new Problem(status, 'invalid_request', 'The request is malformed.');
  return new Problem(500, 'internal_error', 'The rendezvous has failed.');
}
