import { readFile } from 'node:fs/promises';
import { type SecureContext, createSecureContext, getCACertificates } from 'node:tls';
import { httpFailure } from './failure.ts';

/** Variables that name a file with further certificates, as users of the codex executor set them. */
const fileVariables = ['SSL_CERT_FILE', 'CODEX_CA_CERTIFICATE'] as const;

/** Whom https trusts: the authorities of Node and of the system, and those of the variables. */
export async function trustedAuthorities(env: Readonly<Record<string, string>>): Promise<SecureContext> {
  const files = fileVariables.filter((name) => env[name] !== undefined && env[name] !== '');
  const further = await Promise.all(
    files.map(async (name) => {
      try {
        return await readFile(env[name] ?? '', 'utf8');
      } catch (error) {
        throw httpFailure(`the file that ${name} names cannot be read`, error);
      }
    }),
  );
  const all = new Set([...getCACertificates('default'), ...getCACertificates('system'), ...further]);
  try {
    return createSecureContext({ ca: [...all] });
  } catch (error) {
    throw httpFailure(`the certificates of ${fileVariables.join(' and ')} cannot be used`, error);
  }
}
