import { z } from 'zod';
import { Text, entryKind, pathHere } from '../file/entry-kind.ts';
import { EntryProblem } from '../file/file-error.ts';
import { BearerToken, Headers, reachedShape } from './reached-shape.ts';
import { staysPrivate, urlProblem, urlSource } from './url-source.ts';

const Url = z.string().superRefine((url, context) => {
  const problem = urlProblem(url);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** `url = "wss://…"` */
export const urlEntry = entryKind({
  kind: 'url',
  marks: ['url'],
  shape: {
    ...reachedShape,
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
