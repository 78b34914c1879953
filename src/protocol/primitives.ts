import { z } from 'zod';
import { limits } from './limits.ts';
import { type EnvironmentPath, parsePath } from './path.ts';

/** In `params` of an issue: the parameter is one that clients know to be refused with -32600 instead of -32602. */
export const invalidRequestIssue = { error: 'invalidRequest' } as const;

/** What `Buffer` takes for digits beside the standard ones: those of another alphabet, and units of which the lower half is a digit. */
const foreignDigit = /[-_\u0100-\uffff]/;

/**
 * Decodes RFC 4648 base64, standard alphabet with padding and nothing else; undefined where the text is anything else. `Buffer` skips what
 * it does not know, and fewer bytes come out. Only the last digits are encoded again, whose spare bits must be 0: texts are long.
 */
function decodeBase64(text: string): Buffer<ArrayBuffer> | undefined {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== (text.length / 4) * 3 - padding || foreignDigit.test(text)) return undefined;
  if (padding > 0 && !text.endsWith(bytes.toString('base64', bytes.length - 3 + padding))) return undefined;
  return bytes;
}

/** Bytes: base64 text on the wire, a `Uint8Array` in memory. */
export const Bytes = z
  .codec(z.string(), z.instanceof(Uint8Array<ArrayBuffer>), {
    decode: (text, context) => {
      const bytes = decodeBase64(text);
      if (bytes !== undefined) return bytes;
      context.issues.push({
        code: 'custom',
        input: undefined,
        message: 'must be base64 with the standard alphabet and padding',
      });
      return z.NEVER;
    },
    encode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'),
  })
  .meta({ description: 'Bytes as RFC 4648 base64, standard alphabet, with padding.' });

/** The same where clients know a refusal as -32600: file contents. */
export const FileBytes = z
  .string()
  .transform((text, context): Uint8Array => {
    const bytes = decodeBase64(text);
    if (bytes !== undefined) return bytes;
    const message = 'must be base64 with the standard alphabet and padding; nothing was opened';
    context.issues.push({ code: 'custom', input: undefined, message, params: invalidRequestIssue });
    return z.NEVER;
  })
  .meta({ description: 'Bytes as RFC 4648 base64, standard alphabet, with padding.' });

function pathSchema(refusal: typeof invalidRequestIssue | undefined): z.ZodType<EnvironmentPath, string> {
  return z
    .string()
    .transform((text, context): EnvironmentPath => {
      const path = parsePath(text);
      if (!('problem' in path)) return path;
      const params = path.elsewhere ? refusal : undefined;
      context.issues.push({
        code: 'custom',
        input: undefined,
        message: path.problem,
        ...(params && { params }),
      });
      return z.NEVER;
    })
    .meta({ description: 'An absolute path, or a file: URI without host, query and fragment.' });
}

/** A path of the environment: an absolute path or a `file:` URI. */
export const Path = pathSchema(undefined);

/** The same for `fs/*`, where clients know a path that cannot be on this executor as -32600. */
export const FilePath = pathSchema(invalidRequestIssue);

export const ProcessId = z
  .string()
  .max(limits.processIdLength)
  .meta({ description: 'Chosen by the client, unique in its session. Not an operating system pid.' });

export const Count = z.int().nonnegative();

export const Milliseconds = z.int().nonnegative().max(2_147_483_647);

/** A map of environment variables. Names come from the wire: `__proto__` is one like any other, so the result has no prototype. */
export const Variables = z
  .custom<Readonly<Record<string, string>>>(
    isVariables,
    'must be an object of strings whose names are not empty and contain no "="',
  )
  .transform((variables): Readonly<Record<string, string>> => Object.assign(Object.create(null), variables))
  .meta({ type: 'object', additionalProperties: { type: 'string' } });

function isVariables(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([name, text]) => typeof text === 'string' && name !== '' && !name.includes('='),
  );
}
