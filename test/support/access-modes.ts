import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Row,
  capabilityRows,
  capabilityToken,
  claimRows,
  headerRows,
  inSeconds,
  sharedSecret,
  signed,
  signedRows,
} from './access-tokens.ts';

export interface Secrets extends AsyncDisposable {
  readonly tokenFile: string;
  readonly secretFile: string;
}

/** The files that the flags name, with blanks around what counts. */
export async function createSecrets(): Promise<Secrets> {
  const folder = await mkdtemp(path.join(tmpdir(), 'access-'));
  const [tokenFile, secretFile] = [path.join(folder, 'token'), path.join(folder, 'secret')];
  await writeFile(tokenFile, ` ${capabilityToken}\n`, { mode: 0o600 });
  await writeFile(secretFile, `\n${sharedSecret}\r\n`, { mode: 0o600 });
  return {
    tokenFile,
    secretFile,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

export interface Mode {
  readonly name: string;
  readonly flags: (secrets: Secrets) => string[];
  /** Headers that it admits. */
  readonly right: () => readonly string[];
  readonly rows: readonly Row[];
}

const signedToken = (): string => signed({ exp: inSeconds(600) });
const claimedToken = (): string => signed({ exp: inSeconds(600), iss: 'issuer', aud: 'audience' });
const header = (token: string): string[] => [`Authorization: Bearer ${token}`];

export const modes: readonly Mode[] = [
  {
    name: 'a token in a file',
    flags: ({ tokenFile }) => ['--ws-auth', 'capability-token', '--ws-token-file', tokenFile],
    right: () => header(capabilityToken),
    rows: [...headerRows(() => capabilityToken), ...capabilityRows],
  },
  {
    name: 'the digest of a token',
    flags: () => {
      const digest = createHash('sha256').update(capabilityToken).digest('hex').toUpperCase();
      return ['--ws-auth', 'capability-token', '--ws-token-sha256', digest];
    },
    right: () => header(capabilityToken),
    rows: [...headerRows(() => capabilityToken), ...capabilityRows],
  },
  {
    name: 'signed tokens',
    flags: ({ secretFile }) => [
      '--ws-auth',
      'signed-bearer-token',
      '--ws-shared-secret-file',
      secretFile,
      // A blank one is none.
      '--ws-issuer',
      ' ',
    ],
    right: () => header(signedToken()),
    rows: [...headerRows(signedToken), ...signedRows],
  },
  {
    name: 'signed tokens with issuer, audience and no skew',
    flags: ({ secretFile }) => [
      '--ws-auth',
      'signed-bearer-token',
      '--ws-shared-secret-file',
      secretFile,
      '--ws-issuer',
      'issuer',
      '--ws-audience',
      'audience',
      '--ws-max-clock-skew-seconds',
      '0',
    ],
    right: () => header(claimedToken()),
    rows: [...headerRows(claimedToken), ...claimRows],
  },
];
