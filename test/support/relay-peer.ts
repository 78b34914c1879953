import { type RelayBody, type RelayFrame, decodeFrame, encodeFrame } from '../../src/relay/frame.ts';
import { RelayStreams, type RelayStreamsOptions } from '../../src/relay/relay-streams.ts';
import type { Transport } from '../../src/rpc/transport.ts';
import { MemoryFrameSocket } from './relay-road.ts';
import { TransportRecord } from './unit-transport.ts';
import { turn } from './unit-wait.ts';

/** What the other side of a socket says and hears, frame by frame. */
export class FramePeer {
  readonly heard: RelayFrame[] = [];
  readonly socket: MemoryFrameSocket;

  constructor() {
    this.socket = new MemoryFrameSocket((bytes) => this.heard.push(decodeFrame(bytes) as RelayFrame));
  }

  async say(streamId: string, body: RelayBody, more: Partial<RelayFrame> = {}): Promise<void> {
    this.socket.receive(encodeFrame({ streamId, reliable: true, ack: 0, ackBits: 0, ...more, body }));
    await turn();
  }

  async sayPlain(streamId: string, body: RelayBody): Promise<void> {
    await this.say(streamId, body, { reliable: false });
  }

  of(kind: RelayBody['kind'], streamId?: string): RelayFrame[] {
    return this.heard.filter(
      (frame) => frame.body.kind === kind && (streamId === undefined || frame.streamId === streamId),
    );
  }

  resets(streamId?: string): string[] {
    return this.of('reset', streamId).map(({ body }) => (body.kind === 'reset' ? body.reason : ''));
  }

  payloads(streamId?: string): string[] {
    return this.of('data', streamId).map(({ body }) =>
      body.kind === 'data' ? Buffer.from(body.payload).toString() : '',
    );
  }
}

export const opening: RelayBody = { kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: 1 };

export function segment(seq: number, payload: string | Uint8Array, index = 0, count = 1): RelayBody {
  return { kind: 'data', seq, segmentIndex: index, segmentCount: count, payload: Buffer.from(payload) };
}

/** The executor's side behind a peer: its streams, and what each of them has told. */
export function executorBehind(
  peer: FramePeer,
  options: Partial<RelayStreamsOptions> = {},
): {
  readonly streams: RelayStreams;
  readonly transports: Map<string, Transport>;
  readonly records: Map<string, TransportRecord>;
} {
  const transports = new Map<string, Transport>();
  const records = new Map<string, TransportRecord>();
  const streams = new RelayStreams({
    ...options,
    onStream: (transport, streamId) => {
      transports.set(streamId, transport);
      records.set(streamId, new TransportRecord(transport));
    },
  });
  void streams.serve(peer.socket);
  return { streams, transports, records };
}
