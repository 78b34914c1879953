import { validateHeaderName, validateHeaderValue } from 'node:http';
import { z } from 'zod';
import { isToken } from '../../disk/secret-file.ts';
import { Texts } from '../file/entry-kind.ts';

/** Longest that a timer takes. */
const mostSeconds = 2_147_483;

export const Seconds = z
  .number()
  .positive('must be more than 0')
  .max(mostSeconds, `must not be more than ${mostSeconds}`);

/** Of entries that are reached by a URL. */
export const reachedShape = { connect_timeout_sec: Seconds.optional() };

export const BearerToken = z
  .string()
  .refine((text) => isToken(text), 'is no token, which is one line of printable ASCII without blanks');

export const Headers = Texts.superRefine((headers, context) => {
  for (const [name, value] of Object.entries(headers)) {
    if (isHeader(name, value)) continue;
    context.addIssue({ code: 'custom', path: [name], message: 'is no header of HTTP' });
  }
});

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}
