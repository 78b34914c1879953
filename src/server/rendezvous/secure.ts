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
  const proxy = env['https_proxy'] || env['HTTPS_PROXY'];
  // Node would do without one that it does not understand, and its own error has the URL in it, perhaps with a password.
  if (proxy && !(/^https?:/i.test(proxy) && URL.canParse(proxy)))
    throw new RegistrationError(
      'HTTPS_PROXY is no http:// or https:// URL, such as http://proxy.example.org:3128',
    );
  try {
    const secureContext = await trustedAuthorities(env);
    // A connection that is kept would be dead by the next registration.
    return { secureContext, agent: new Agent({ proxyEnv: env, keepAlive: false }) };
  } catch (cause) {
    const text = (cause as Error).message.replace(/^http\/request failed: /, '');
    throw new RegistrationError(`no https connection can be made: ${text}`, { cause });
  }
}
