import { ConnectionError } from '../rpc/connection-error.ts';
import type { Transport } from '../rpc/transport.ts';
import { type ExecutorCommand, dialCommand, dialWebSocket } from './dial.ts';
import { dialRendezvous } from './rendezvous.ts';
import type { RendezvousAddress } from './rendezvous-ticket.ts';
import { type Token, bearerHeader } from './token.ts';

/**
 * Where the executor is: at a URL, at a rendezvous, or behind whatever `dial` opens, which can be opened again; started by a command, or behind a transport
 * that is there already, which end with the connection.
 */
export type Address =
  | { readonly dial: (signal: AbortSignal) => Promise<Transport> }
  | {
      readonly url: string;
      readonly token?: Token | undefined;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | RendezvousAddress
  | { readonly command: ExecutorCommand }
  | { readonly transport: Transport };

/** A command's executor ends with its connection, and a transport is there once. */
export function canReturn(address: Address): boolean {
  return 'url' in address || 'dial' in address || 'rendezvous' in address;
}

/** A command that ends at once says more than the end of its output. */
export function explain(error: unknown, address: Address): unknown {
  if (!('command' in address) || !(error instanceof ConnectionError) || error.reason !== 'closed')
    return error;
  const message = 'The command ended, or closed its output, before it answered as an executor does.';
  return new ConnectionError('refused', message, { cause: error });
}

/** Opens a connection. `reconnectMs`: how long what can come back by itself may try to. */
export async function dialAddress(
  address: Address,
  reconnectMs: number,
  signal: AbortSignal,
): Promise<Transport> {
  if ('dial' in address) return address.dial(signal);
  if ('transport' in address) return address.transport;
  if ('command' in address) return dialCommand(address.command);
  if ('rendezvous' in address) return dialRendezvous(address, reconnectMs, signal);
  const headers = { ...address.headers, ...(await bearerHeader(address.token)) };
  return dialWebSocket(address.url, headers, signal);
}
