import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { rendezvousLimits } from './limits.ts';
import { Problem } from './problem.ts';
import { Name } from './token-file.ts';

/** Members of other makes are no concern of ours. */
export const RegisterBody = z.looseObject({
  idempotency_id: z.string().min(1).max(rendezvousLimits.idempotencyIdLength).optional(),
  environment_id: Name.optional(),
  name: z.string().max(rendezvousLimits.nameLength).optional(),
  transport: z.string().optional(),
  security_profile: z.string().optional(),
});

export const ConnectBody = z.looseObject({
  ttl_seconds: z.int().min(1).optional(),
  reusable: z.boolean().optional(),
  harness_public_key: z.unknown().optional(),
});

/** The JSON of a request; undefined where it has no body. Throws a Problem where it is not what it should be. */
export function readBody<T>(schema: z.ZodType<T>, request: FastifyRequest): T | undefined {
  const bytes = request.body;
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Problem(400, 'invalid_body', 'The body is not JSON.');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Problem(400, 'invalid_body', `${issue?.path.join('.') || 'The body'}: ${issue?.message}`);
}

/** One value of a header that goes into lists and pages. */
export function headerText(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  const text = typeof value === 'string' ? value.trim() : '';
  return Name.safeParse(text).success ? text : undefined;
}

/** `id` of the path. */
export function environmentId(request: FastifyRequest): string {
  const id = Name.safeParse((request.params as { readonly id?: unknown }).id);
  if (id.success) return id.data;
  throw new Problem(
    400,
    'invalid_environment_id',
    'The environment id has no characters, too many, or control characters.',
  );
}
