import { limits } from '../protocol/limits.ts';
import { type FrameSocket, WebSocketFrames, longestFrame } from '../relay/frame-socket.ts';
import { openRelayStream } from '../relay/open-stream.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import type { Transport } from '../rpc/transport.ts';
import { WebSocketTransport } from '../rpc/websocket-transport.ts';
import { openWebSocket } from './dial.ts';
import { type RendezvousAddress, type Ticket, fetchTicket } from './rendezvous-ticket.ts';

/** Meets an executor at a rendezvous: with a ticket of its own for every socket. `reconnectMs`: 0 lets a lost socket be the end. */
export async function dialRendezvous(
  address: RendezvousAddress,
  reconnectMs: number,
  signal: AbortSignal,
): Promise<Transport> {
  let first: Ticket | undefined = await fetchTicket(address, signal);
  if (first.transport === 'direct_jsonrpc_v1') {
    const options = { maxPayload: limits.messageBytes, signal };
    return openWebSocket(
      first.url,
      options,
      (webSocket, socket) => new WebSocketTransport(webSocket, socket),
    );
  }
  const dial = async (dialSignal: AbortSignal): Promise<FrameSocket> => {
    const ticket = first ?? (await fetchTicket(address, dialSignal));
    first = undefined;
    if (ticket.transport !== 'relay_v1')
      throw new ConnectionError('refused', 'The executor speaks no relay frames any more.');
    const options = { maxPayload: longestFrame(limits.messageBytes), signal: dialSignal };
    return openWebSocket(ticket.url, options, (webSocket, socket) => new WebSocketFrames(webSocket, socket));
  };
  return openRelayStream({ dial, reconnectMs: Math.min(reconnectMs, limits.relayResumeMs) }, signal);
}
