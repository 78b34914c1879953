import type { Agent, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { ReasonedWebSocket } from './websocket-transport.ts';

export interface UpgradeOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly secureContext?: SecureContext;
  readonly agent?: Agent;
  /** Bytes of one message. */
  readonly maxPayload: number;
  readonly signal: AbortSignal;
  /** The error of an answer that is no upgrade. It must not fail itself. */
  readonly refusal: (response: IncomingMessage) => Error | Promise<Error>;
  /** The error of a socket that does not open for another reason. */
  readonly failure: (cause: Error) => Error;
}

/** Opens a WebSocket. `adopt` takes it in the turn in which it opens, so that no message is missed. */
export async function requestUpgrade<T>(
  url: string | URL,
  { signal, refusal, failure, ...options }: UpgradeOptions,
  adopt: (webSocket: ReasonedWebSocket, socket: Socket) => T,
): Promise<T> {
  signal.throwIfAborted();
  // An executor of May 2026 drops a client that offers compression.
  const webSocket = new ReasonedWebSocket(url, { ...options, perMessageDeflate: false });
  return new Promise((resolve, reject) => {
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
      void Promise.resolve(refusal(response)).then((error) => {
        settle();
        request.destroy();
        reject(error);
      });
    });
    // Its later errors are those of its transport.
    webSocket.on('error', (cause) => {
      settle();
      if (!signal.aborted) reject(failure(cause));
    });
  });
}
