import { createSecretKey } from 'node:crypto';
import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import { readSecretFile } from '../disk/secret-file.ts';
import { limits } from '../protocol/limits.ts';
import { type Principal, readScope } from './principal.ts';
import { rendezvousLimits } from './limits.ts';
import { Name } from './token-file.ts';

export interface WebTokenSettings {
  /** The key of HS256, or a set of public keys (RFC 7517). */
  readonly key: { readonly secretFile: string } | { readonly keySetFile: string };
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly maxClockSkewSeconds: number;
}

export type WebTokenCheck = (token: string) => Promise<Principal | undefined>;

const publicKeyAlgorithms = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'RS256', 'PS256'];

/** Reads the key. Answers what checks signed tokens (RFC 7519): `sub`, `exp`, `tenant`, and `scope` such as `executor:ci-*`. */
export async function webTokenCheck(settings: WebTokenSettings): Promise<WebTokenCheck> {
  const { jwtVerify } = await import('jose');
  const { key, algorithms } = await readKey(settings.key);
  const options = {
    algorithms,
    clockTolerance: settings.maxClockSkewSeconds,
    requiredClaims: ['exp', 'sub'],
    ...(settings.issuer === undefined ? {} : { issuer: settings.issuer }),
    ...(settings.audience === undefined ? {} : { audience: settings.audience }),
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, key, options);
      return principalOf(payload);
    } catch {
      // The reasons quote claims, and nobody is told them.
      return undefined;
    }
  };
}

async function readKey(
  settings: WebTokenSettings['key'],
): Promise<{ key: JWTVerifyGetKey; algorithms: string[] }> {
  if ('secretFile' in settings) {
    const { secret } = await readSecretFile(settings.secretFile);
    if (secret.length < limits.sharedSecretBytes) {
      const text = `The secret in ${settings.secretFile} has ${secret.length} bytes`;
      throw new Error(`${text}; to sign tokens it takes ${limits.sharedSecretBytes} or more.`);
    }
    const key = createSecretKey(secret);
    return { key: async () => key, algorithms: ['HS256'] };
  }
  const { createLocalJWKSet } = await import('jose');
  const { secret } = await readSecretFile(settings.keySetFile);
  try {
    const set = JSON.parse(secret.toString('utf8')) as Parameters<typeof createLocalJWKSet>[0];
    return { key: createLocalJWKSet(set), algorithms: publicKeyAlgorithms };
  } catch (cause) {
    throw new Error(`${settings.keySetFile} is no JSON Web Key Set (RFC 7517).`, { cause });
  }
}

function principalOf(payload: JWTPayload): Principal | undefined {
  const { sub, exp, iss } = payload;
  const tenant = Name.safeParse(payload['tenant'] ?? 'default');
  const subject = Name.safeParse(sub);
  const scope = payload['scope'];
  if (!tenant.success || !subject.success || !Number.isSafeInteger(exp) || typeof scope !== 'string')
    return undefined;
  const texts = scope.split(' ').filter((text) => text !== '');
  if (texts.length > rendezvousLimits.scopes) return undefined;
  // What is none of ours may be for another service.
  const scopes = texts.flatMap((text) => readScope(text) ?? []);
  return {
    tenant: tenant.data,
    // A file of tokens may name the same subjects; those are others.
    subject: `jwt:${JSON.stringify([iss ?? null, subject.data])}`,
    scopes,
    expiresAt: (exp ?? 0) * 1000,
  };
}
