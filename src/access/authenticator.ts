import { type KeyObject, createHash, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { readSecretFile, readTokenFile } from '../disk/secret-file.ts';
import { limits } from '../protocol/limits.ts';
import type { AccessSettings } from './settings.ts';

/**
 * Who a connection acts for. Sessions belong to it: another principal cannot resume them. Holders of one capability token are one principal,
 * and so are the tokens of one issuer and subject.
 */
export type Principal = string;

/** Nobody was asked: stdio, memory, and a listener without authentication. */
export const anonymous: Principal = 'anonymous';

/** `refusal`: what the client is told, in words that clients of the protocol know. */
export type Admission = { readonly principal: Principal } | { readonly refusal: Refusal };

export type Refusal =
  | 'missing websocket bearer token'
  | 'invalid authorization header'
  | 'invalid websocket bearer token'
  | 'invalid websocket jwt'
  | 'expired websocket jwt'
  | 'websocket jwt is not valid yet'
  | 'websocket jwt issuer mismatch'
  | 'websocket jwt audience mismatch';

/** Checks the credentials of one request. */
export interface Authenticator {
  /** The file of the secret can be read by other users, which is worth a warning. */
  readonly secretIsShared: boolean;
  /** `authorization`: the value of that header. */
  admit(authorization: string | undefined): Promise<Admission>;
}

/** Reads the secrets. Throws what is wrong with their files. */
export async function createAuthenticator(settings: AccessSettings): Promise<Authenticator> {
  const checker =
    settings.mode === 'capability-token' ? await capabilityToken(settings) : await signedToken(settings);
  return {
    secretIsShared: checker.secretIsShared,
    admit: async (authorization) => {
      if (authorization === undefined) return { refusal: 'missing websocket bearer token' };
      const token = bearerToken(authorization);
      return token === undefined ? { refusal: 'invalid authorization header' } : checker.check(token);
    },
  };
}

interface Check {
  readonly secretIsShared: boolean;
  check(token: string): Admission | Promise<Admission>;
}

async function capabilityToken(
  settings: Extract<AccessSettings, { mode: 'capability-token' }>,
): Promise<Check> {
  const file = 'tokenFile' in settings ? await readTokenFile(settings.tokenFile) : undefined;
  const expected =
    'tokenSha256' in settings ? Buffer.from(settings.tokenSha256, 'hex') : digest(file?.secret ?? '');
  return {
    secretIsShared: file?.shared ?? false,
    // Digests have one length, so that the comparison tells nothing of the token's.
    check: (token) =>
      timingSafeEqual(digest(token), expected)
        ? { principal: 'capability' }
        : { refusal: 'invalid websocket bearer token' },
  };
}

async function signedToken(
  settings: Extract<AccessSettings, { mode: 'signed-bearer-token' }>,
): Promise<Check> {
  const { secret, shared } = await readSecretFile(settings.sharedSecretFile);
  if (secret.length < limits.sharedSecretBytes) {
    const text = `The secret in ${settings.sharedSecretFile} has ${secret.length} bytes`;
    throw new Error(`${text}; to sign tokens it takes ${limits.sharedSecretBytes} or more.`);
  }
  const key = createSecretKey(secret);
  return {
    secretIsShared: shared,
    check: async (token) => {
      const claims = await verifiedClaims(token, key, settings.maxClockSkewSeconds);
      return typeof claims === 'string' ? { refusal: claims } : admitClaims(claims, settings);
    },
  };
}

/** Signature, algorithm and time. */
async function verifiedClaims(
  token: string,
  key: KeyObject,
  skewSeconds: number,
): Promise<JWTPayload | Refusal> {
  // Only executors that take signed tokens pay for it.
  const { errors, jwtVerify } = await import('jose');
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      clockTolerance: skewSeconds,
      requiredClaims: ['exp'],
    });
    return Number.isSafeInteger(payload.exp) ? payload : 'invalid websocket jwt';
  } catch (error) {
    if (error instanceof errors.JWTExpired) {
      // The library has compared it already, whole or not.
      return Number.isSafeInteger(error.payload.exp) ? 'expired websocket jwt' : 'invalid websocket jwt';
    }
    const early = error instanceof errors.JWTClaimValidationFailed && error.claim === 'nbf';
    return early && error.reason === 'check_failed'
      ? 'websocket jwt is not valid yet'
      : 'invalid websocket jwt';
  }
}

function admitClaims(
  { iss, sub, aud }: JWTPayload,
  { issuer, audience }: { readonly issuer: string | undefined; readonly audience: string | undefined },
): Admission {
  if (issuer !== undefined && iss !== issuer) return { refusal: 'websocket jwt issuer mismatch' };
  if (audience !== undefined && ![aud].flat().includes(audience))
    return { refusal: 'websocket jwt audience mismatch' };
  return { principal: `token:${JSON.stringify([iss ?? null, sub ?? null])}` };
}

/** The word before it in any case, blanks around it. */
function bearerToken(authorization: string): string | undefined {
  const [, token] = /^bearer ([\x20-\x7e\t]*)$/i.exec(authorization) ?? [];
  return token?.trim() || undefined;
}

function digest(token: string | Uint8Array): Buffer {
  return createHash('sha256').update(token).digest();
}
