import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { limits } from '../../protocol/limits.ts';
import { ReasonedWebSocket } from '../../rpc/websocket-transport.ts';
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
 * Opens the socket that a registry has named. The URL is the only credential: no header goes with it. `adopt` takes the socket in the turn
 * in which it opens, so that no message is missed. Every failure may pass: the next registration brings another URL.
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
    signal.throwIfAborted();
    const { maxPayload, secure } = options;
    const webSocket = new ReasonedWebSocket(url, {
      perMessageDeflate: false,
      maxPayload,
      ...secure,
    });
    return new Promise<T>((resolve, reject) => {
      let socket: Socket | undefined;
      const abandon = (): void => {
        webSocket.terminate();
        reject(signal.reason as Error);
      };
      const settle = (): void => signal.removeEventListener('abort', abandon);
      signal.addEventListener('abort', abandon, { once: true });
      webSocket.once('upgrade', (response) => void (socket = response.socket));
      webSocket.once('open', () => {
        settle();
        if (socket !== undefined) resolve(adopt(webSocket, socket));
      });
      webSocket.once('unexpected-response', (request, response) => {
        settle();
        request.destroy();
        reject(refused(url, response));
      });
      // Its later errors are those of its transport.
      webSocket.on('error', (error) => {
        settle();
        if (!signal.aborted) reject(connectError(placeOf(url), error));
      });
    });
  });
}

function refused(url: URL, response: IncomingMessage): RegistrationError {
  const header = response.headers['x-codex-rendezvous-rejection-reason'];
  const reason = typeof header === 'string' && reasonPattern.test(header) ? ` (${header})` : '';
  return new RegistrationError(`${placeOf(url)} refuses the socket with ${response.statusCode}${reason}`, {
    transient: true,
  });
}
