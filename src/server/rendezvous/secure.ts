import { Agent } from 'node:https';
import type { SecureContext } from 'node:tls';
import { trustedAuthorities } from '../../http/certificates.ts';
import { RegistrationError } from './registration-error.ts';

/** How https and wss connections are made. */
export interface Secure {
  /** Whom they trust. */
  readonly secureContext: SecureContext;
  /** Goes by way of the proxy that variables name, which sees nothing but the host. */
  readonly agent: Agent;
}

/** As the variables say it: SSL_CERT_FILE and CODEX_CA_CERTIFICATE, HTTPS_PROXY and NO_PROXY. */
export async function secureFrom(env: Readonly<Record<string, string>>): Promise<Secure> {
  try {
    const secureContext = await trustedAuthorities(env);
    // A connection that is kept would be dead by the next registration.
    return { secureContext, agent: new Agent({ proxyEnv: env, keepAlive: false }) };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    // The text of the other one has the URL of the proxy in it, perhaps with a password.
    const text =
      code === 'ERR_PROXY_INVALID_CONFIG'
        ? 'HTTPS_PROXY is no http:// or https:// URL'
        : message.replace(/^http\/request failed: /, '');
    throw new RegistrationError(`no https connection can be made: ${text}`, { cause });
  }
}
