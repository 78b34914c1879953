import { z } from 'zod';
import { isToken } from '../../disk/secret-file.ts';
import { Text, Texts, entryKind, pathHere } from '../file/entry-kind.ts';
import { urlProblem, urlSource } from './url-source.ts';

const Url = z.string().superRefine((url, context) => {
  const problem = urlProblem(url);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** What a token is shown to everybody on the way without TLS. */
const BearerToken = z
  .string()
  .refine((text) => isToken(text), 'is no token: one line of printable ASCII without blanks');

/** `url = "wss://…"` */
export const urlEntry = entryKind({
  kind: 'url',
  marks: ['url'],
  shape: {
    url: Url,
    auth_bearer_token: BearerToken.optional(),
    token_file: Text.optional(),
    headers: Texts.optional(),
  },
  source: (entry, context) => {
    const { url, auth_bearer_token: token, token_file: file, headers } = entry;
    return urlSource({
      url,
      headers,
      token: file === undefined ? token : { file: pathHere(file, context) },
    });
  },
});
