import type { z } from 'zod';
import { invalidParams, invalidRequest } from '../protocol/errors.ts';
import { invalidRequestIssue } from '../protocol/primitives.ts';

/** Issues named in one error text; a hostile message can have thousands. */
const namedIssues = 3;

/** Checks what a peer sent and gives its in-memory form. The error names each wrong member, and no value. */
export function decodeParams<S extends z.ZodType>(schema: S, params: unknown): z.output<S> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  const text = describe('params', parsed.error);
  throw parsed.error.issues.some(isInvalidRequest) ? invalidRequest(text) : invalidParams(text);
}

function isInvalidRequest(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'custom' && issue.params?.['error'] === invalidRequestIssue.error;
}

export function describe(root: string, error: z.ZodError): string {
  const named = error.issues.slice(0, namedIssues).map((issue) => {
    const path = [root, ...issue.path.map(String)].join('.');
    return `${path.slice(0, 200)}: ${issue.message}`;
  });
  const more = error.issues.length - named.length;
  return named.join('; ') + (more > 0 ? ` (and ${more} more)` : '');
}
