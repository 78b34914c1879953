import { readTokenFile } from '../../disk/secret-file.ts';

/** Where the token of an executor is. */
export type Credential = { readonly file: string } | { readonly variable: string; readonly token: string };

/** Reads the token: a file anew each time, so that it can be replaced while the executor runs. */
export async function readCredential(credential: Credential): Promise<string> {
  if ('token' in credential) return credential.token;
  return (await readTokenFile(credential.file)).secret.toString('latin1');
}

/** What its owner has to look at when the token is refused. */
export function describeCredential(credential: Credential): string {
  return 'file' in credential ? `the token in ${credential.file}` : `the token in ${credential.variable}`;
}
