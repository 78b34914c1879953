import { limits } from '../protocol/limits.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import { resetText } from './close-text.ts';
import { type RelayFrame, decodeFrame, encodeFrame } from './frame.ts';
import type { FrameSocket } from './frame-socket.ts';
import { plainMessage } from './plain-messages.ts';
import { RelayStream } from './relay-stream.ts';
import { Road } from './road.ts';
import type { RelayTiming } from './timing.ts';

export interface RelayStreamsOptions {
  /** An orchestrator has opened a stream. */
  readonly onStream: (transport: Transport, streamId: string) => void;
  /** Something came that is no frame, or fits to no stream, and was dropped. For the log; a peer can cause any number of these. */
  readonly onDropped?: (problem: string) => void;
  readonly messageBytes?: number;
  /** Streams at a time. */
  readonly streams?: number;
  /** Milliseconds that streams are kept without a socket. */
  readonly graceMs?: number;
  readonly timing?: RelayTiming | undefined;
}

const superseded: CloseReason = { kind: 'goingAway', message: 'another socket has taken its place' };

/** The executor's side: the streams of all orchestrators, over one socket after the other. */
export class RelayStreams {
  readonly #options: RelayStreamsOptions;
  readonly #streams = new Map<string, RelayStream>();
  /** Ids of ended streams, the oldest first. */
  readonly #ended = new Set<string>();
  #road: Road | undefined;
  #grace: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Why the last stream's end is that of the socket. */
  #closing: CloseReason | undefined;

  constructor(options: RelayStreamsOptions) {
    this.#options = options;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Serves a socket until it has ended. It takes the place of the one before. */
  async serve(socket: FrameSocket): Promise<CloseReason> {
    return new Promise((resolve) => {
      const road = new Road(socket);
      const last = this.#road;
      if (last !== undefined) this.#leave(last);
      socket.attach({
        onFrame: (bytes) => this.#take(road, bytes),
        onText: () => this.#options.onDropped?.('is a text message'),
        onDrain: () => road.drained(),
        onClose: (reason) => {
          this.#leave(road);
          resolve(reason);
        },
      });
      last?.socket.close(superseded);
      if (this.#isClosed) return socket.close({ kind: 'goingAway', message: 'the executor is closing' });
      this.#road = road;
      clearTimeout(this.#grace);
      for (const stream of this.#streams.values()) stream.join(road);
    });
  }

  /** Ends all streams, and the socket behind them. */
  close(reason: CloseReason): void {
    this.#isClosed = true;
    for (const stream of this.#streams.values()) stream.close(reason);
    this.#closeWhenEmpty(reason);
  }

  #closeWhenEmpty(reason: CloseReason | undefined): void {
    this.#closing = reason;
    if (reason === undefined || this.#streams.size > 0) return;
    clearTimeout(this.#grace);
    this.#road?.socket.close(reason);
  }

  #leave(road: Road): void {
    if (this.#road !== road) return;
    this.#road = undefined;
    for (const stream of this.#streams.values()) {
      stream.leave();
      // Such a peer takes the end of the socket for the end of its streams.
      if (stream.peer === 'plain')
        stream.end({ kind: 'lost', message: 'the socket to the rendezvous has ended' });
    }
    if (this.#streams.size === 0) return;
    const { graceMs = limits.relayGraceMs } = this.#options;
    const message = `there was no socket to the rendezvous for ${graceMs} ms`;
    this.#grace = setTimeout(() => {
      for (const stream of this.#streams.values()) stream.end({ kind: 'lost', message });
    }, graceMs);
  }

  #take(road: Road, bytes: Uint8Array): void {
    if (this.#road !== road) return;
    const frame = decodeFrame(bytes);
    if (typeof frame === 'string') return this.#options.onDropped?.(frame);
    const stream = this.#streams.get(frame.streamId) ?? this.#admit(road, frame);
    stream?.receive(frame, bytes.length);
  }

  /** A frame of a stream that is not there: it opens it, is refused, or is dropped. */
  #admit(road: Road, { streamId, reliable, ack, body }: RelayFrame): RelayStream | undefined {
    const refuse = (reason: CloseReason): undefined => this.#refuse(road, streamId, reason);
    const gone: CloseReason = { kind: 'lost', message: 'the executor does not have this stream' };
    switch (body.kind) {
      case 'resume':
        // The first data frame of a plain peer opens its stream.
        if (!reliable && body.reliability === 0) return undefined;
        if (this.#ended.has(streamId) || body.nextSeq > 0 || body.firstSeq > 0) return refuse(gone);
        return this.#open(road, streamId, 'reliable');
      case 'data':
        // Without an acknowledgement it may have come before the resume that opens its stream.
        if (reliable) return this.#ended.has(streamId) || ack > 0 ? refuse(gone) : undefined;
        if (plainMessage(body) !== undefined) return this.#open(road, streamId, 'plain');
        this.#options.onDropped?.('is a data frame without a message');
        return undefined;
      case 'ack':
      case 'heartbeat':
        return reliable && (this.#ended.has(streamId) || ack > 0) ? refuse(gone) : undefined;
      case 'handshake':
        return refuse({ kind: 'protocolError', message: 'encrypted relay streams are not supported' });
      case 'reset':
        return undefined;
    }
  }

  #open(road: Road, streamId: string, peer: 'reliable' | 'plain'): RelayStream | undefined {
    const { streams: most = limits.relayStreams, messageBytes = limits.messageBytes } = this.#options;
    if (this.#isClosed)
      return this.#refuse(road, streamId, { kind: 'goingAway', message: 'the executor is closing' });
    if (this.#streams.size >= most)
      return this.#refuse(road, streamId, {
        kind: 'internalError',
        message: `the executor has ${most} streams open; close one of them`,
      });
    const stream = new RelayStream({
      streamId,
      role: 'executor',
      peer,
      messageBytes,
      timing: this.#options.timing,
      onEnd: () => this.#forget(streamId, peer),
    });
    this.#streams.set(streamId, stream);
    stream.join(road);
    this.#options.onStream(stream, streamId);
    return stream;
  }

  #forget(streamId: string, peer: 'reliable' | 'plain'): void {
    this.#streams.delete(streamId);
    // Plain peers may use an id again.
    if (peer === 'reliable') this.#ended.add(streamId);
    const [oldest] = this.#ended;
    if (oldest !== undefined && this.#ended.size > limits.relayEndedStreams) this.#ended.delete(oldest);
    if (this.#streams.size === 0 && this.#road === undefined) clearTimeout(this.#grace);
    this.#closeWhenEmpty(this.#closing);
  }

  #refuse(road: Road, streamId: string, reason: CloseReason): undefined {
    const body = { kind: 'reset', reason: resetText(reason) } as const;
    road.send(encodeFrame({ streamId, reliable: true, ack: 0, ackBits: 0, body }));
    return undefined;
  }
}
