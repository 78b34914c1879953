import { randomUUID } from 'node:crypto';
import { limits } from '../protocol/limits.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import { backoff, pause } from '../support/backoff.ts';
import { withDeadline } from '../support/deadline.ts';
import { toError } from '../support/to-error.ts';
import { decodeFrame } from './frame.ts';
import type { FrameSocket } from './frame-socket.ts';
import { RelayStream } from './relay-stream.ts';
import { Road } from './road.ts';
import type { RelayTiming } from './timing.ts';

export interface OpenRelayStreamOptions {
  /** Opens a socket to the rendezvous: with a ticket of its own, each time. */
  readonly dial: (signal: AbortSignal) => Promise<FrameSocket>;
  /** Milliseconds for carrying on over another socket. 0: a lost socket is the end. */
  readonly reconnectMs?: number;
  readonly messageBytes?: number;
  readonly timing?: RelayTiming;
}

/** Ends of a socket after which the stream may go on over another one. */
const carriesOn: ReadonlySet<CloseReason['kind']> = new Set(['lost', 'normal', 'goingAway', 'internalError']);

/** The orchestrator's side: one stream, which outlives its sockets as long as its peer can carry on. */
export async function openRelayStream(
  options: OpenRelayStreamOptions,
  signal: AbortSignal,
): Promise<Transport> {
  const socket = await options.dial(signal);
  return new OrchestratorStream(options, socket).stream;
}

class OrchestratorStream {
  readonly stream: RelayStream;
  readonly #options: OpenRelayStreamOptions;
  readonly #over = new AbortController();
  #socket: FrameSocket | undefined;

  constructor(options: OpenRelayStreamOptions, socket: FrameSocket) {
    this.#options = options;
    this.stream = new RelayStream({
      streamId: randomUUID(),
      role: 'orchestrator',
      peer: 'unknown',
      messageBytes: options.messageBytes ?? limits.messageBytes,
      timing: options.timing,
      onEnd: (reason) => this.#ended(reason),
    });
    this.#use(socket);
  }

  #use(socket: FrameSocket): void {
    const road = new Road(socket);
    this.#socket = socket;
    socket.attach({
      onFrame: (bytes) => {
        const frame = decodeFrame(bytes);
        if (typeof frame === 'object' && frame.streamId === this.stream.streamId)
          this.stream.receive(frame, bytes.length);
      },
      // No peer has a use for one.
      onText: () => {},
      onDrain: () => road.drained(),
      onClose: (reason) => this.#lost(socket, reason),
    });
    this.stream.join(road);
  }

  #lost(socket: FrameSocket, reason: CloseReason): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.stream.leave();
    const { reconnectMs = limits.relayResumeMs } = this.#options;
    if (this.stream.peer !== 'reliable' || reconnectMs <= 0 || !carriesOn.has(reason.kind))
      return this.stream.end(reason.kind === 'normal' ? { ...reason, kind: 'lost' } : reason);
    void this.#comeBack(reconnectMs, reason);
  }

  async #comeBack(reconnectMs: number, { message }: CloseReason): Promise<void> {
    const late = (): Error => new Error(`${message}; the rendezvous was not there for ${reconnectMs} ms`);
    try {
      const socket = await withDeadline(reconnectMs, late, this.#over.signal, (signal) =>
        this.#redial(signal),
      );
      // The stream may have ended meanwhile.
      if (this.#over.signal.aborted) socket.close({ kind: 'normal', message: 'the stream has ended' });
      else this.#use(socket);
    } catch (error) {
      this.stream.end({ kind: 'lost', message: toError(error).message });
    }
  }

  async #redial(signal: AbortSignal): Promise<FrameSocket> {
    for (const wait of backoff({ firstMs: limits.reconnectFirstMs, mostMs: limits.reconnectMostMs })) {
      await pause(wait, signal);
      try {
        return await this.#options.dial(signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        // The same credentials are refused again.
        if (error instanceof ConnectionError && error.reason === 'unauthorized') throw error;
      }
    }
    throw new Error('the waits never end');
  }

  #ended(reason: CloseReason): void {
    this.#over.abort(new Error('the stream has ended'));
    const kind = reason.kind === 'lost' ? 'lost' : 'normal';
    this.#socket?.close({ kind, message: 'the stream has ended' });
  }
}
