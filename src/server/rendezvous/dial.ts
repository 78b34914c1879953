import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { limits } from '../../protocol/limits.ts';
import { requestUpgrade } from '../../rpc/request-upgrade.ts';
import type { ReasonedWebSocket } from '../../rpc/websocket-transport.ts';
import { withDeadline } from '../../support/deadline.ts';
import { placeOf } from './post.ts';
import { RegistrationError, connectError } from './registration-error.ts';
import type { Secure } from './secure.ts';

export interface DialOptions {
  readonly signal: AbortSignal;
  /** Bytes of one message. */
  readonly maxPayload: number;
  readonly secure?: Secure | undefined;
  readonly timeoutMs?: number | undefined;
}

/** Reasons that services in the field give for a refused upgrade, and any other one in the same letters. */
const reasonPattern = /^[a-z][a-z0-9_]{0,63}$/;

/**
 * Opens the socket that a registry has named. The URL is the only credential: no header goes with it. Every failure may pass: the next
 * registration brings another URL.
 */
export async function dialRendezvous<T>(
  url: URL,
  options: DialOptions,
  adopt: (webSocket: ReasonedWebSocket, socket: Socket) => T,
): Promise<T> {
  const { timeoutMs = limits.rendezvousConnectMs } = options;
  const late = (): Error =>
    new RegistrationError(`${placeOf(url)} has not opened a socket within ${timeoutMs} ms`, {
      transient: true,
    });
  return withDeadline(timeoutMs, late, options.signal, async (signal) => {
    const { maxPayload, secure } = options;
    const refusal = (response: IncomingMessage): Error => refused(url, response);
    const failure = (cause: Error): Error => connectError(placeOf(url), cause);
    return requestUpgrade(url, { maxPayload, ...secure, signal, refusal, failure }, adopt);
  });
}

function refused(url: URL, response: IncomingMessage): RegistrationError {
  const header = response.headers['x-codex-rendezvous-rejection-reason'];
  const reason = typeof header === 'string' && reasonPattern.test(header) ? ` (${header})` : '';
  return new RegistrationError(`${placeOf(url)} refuses the socket with ${response.statusCode}${reason}`, {
    transient: true,
  });
}
