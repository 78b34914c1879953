import { validateHeaderName, validateHeaderValue } from 'node:http';
import { z } from 'zod';
import { isToken } from '../../disk/secret-file.ts';
import { Text, Texts, entryKind, pathHere } from '../file/entry-kind.ts';
import { EntryProblem } from '../file/file-error.ts';
import { staysPrivate, urlProblem, urlSource } from './url-source.ts';

const Url = z.string().superRefine((url, context) => {
  const problem = urlProblem(url);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

const BearerToken = z
  .string()
  .refine((text) => isToken(text), 'is no token, which is one line of printable ASCII without blanks');

const Headers = Texts.superRefine((headers, context) => {
  for (const [name, value] of Object.entries(headers)) {
    if (isHeader(name, value)) continue;
    context.addIssue({ code: 'custom', path: [name], message: 'is no header of HTTP' });
  }
});

/** `url = "wss://…"` */
export const urlEntry = entryKind({
  kind: 'url',
  marks: ['url'],
  shape: {
    url: Url,
    auth_bearer_token: BearerToken.optional(),
    token_file: Text.optional(),
    headers: Headers.optional(),
  },
  source: (entry, context) => {
    const { url, auth_bearer_token: token, token_file: file, headers } = entry;
    if (file !== undefined && token !== undefined) {
      throw new EntryProblem('token_file', 'and auth_bearer_token are two tokens; keep one of them');
    }
    const shown = ['token_file', 'auth_bearer_token', 'headers'].find((key) => key in entry);
    if (shown !== undefined && !staysPrivate(url)) {
      throw new EntryProblem(
        shown,
        'would go over the network in the clear; use wss://, or a loopback address',
      );
    }
    return urlSource({ url, headers, token: file === undefined ? token : { file: pathHere(file, context) } });
  },
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
