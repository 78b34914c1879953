import { z } from 'zod';
import { Text, entryKind, pathHere } from '../file/entry-kind.ts';
import { EntryProblem } from '../file/file-error.ts';
import { BearerToken, Headers, reachedShape } from './reached-shape.ts';
import { rendezvousSource } from './rendezvous-source.ts';
import { staysPrivate } from './url-source.ts';

const Rendezvous = z.string().superRefine((url, context) => {
  const message = problemOf(url);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

/** `rendezvous = "https://…"` */
export const rendezvousEntry = entryKind({
  kind: 'rendezvous',
  marks: ['rendezvous'],
  shape: {
    ...reachedShape,
    rendezvous: Rendezvous,
    environment_id: Text,
    token_file: Text.optional(),
    auth_bearer_token: BearerToken.optional(),
    headers: Headers.optional(),
  },
  source: (entry, context) => {
    const { rendezvous, environment_id: environmentId, token_file: file, headers } = entry;
    const { auth_bearer_token: token } = entry;
    if (file !== undefined && token !== undefined) {
      throw new EntryProblem('token_file', 'and auth_bearer_token are two tokens; keep one of them');
    }
    return rendezvousSource({
      rendezvous,
      environmentId,
      token: file === undefined ? token : { file: pathHere(file, context) },
      ...(headers !== undefined && { headers }),
    });
  },
});

function problemOf(url: string): string | undefined {
  if (!/^https?:\/\//.test(url)) return 'must begin with https:// or http://';
  const parsed = URL.parse(url);
  if (parsed === null || parsed.host === '') return 'is no URL';
  if (parsed.username !== '' || parsed.password !== '')
    return 'must hold no credentials; give the token apart';
  // What it answers with stands for the token.
  if (!staysPrivate(url))
    return 'would show the token to everybody on the way; use https://, or a loopback address';
  return undefined;
}
