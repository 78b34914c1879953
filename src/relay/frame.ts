import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { limits } from '../protocol/limits.ts';
import { type RelayMessageFrame, RelayMessageFrameSchema } from './relay_pb.ts';

/** One message of a relay socket. What its members mean is in relay.proto. */
export interface RelayFrame {
  readonly streamId: string;
  /** The sender is a reliable one: `ack` and `ackBits` count. */
  readonly reliable: boolean;
  readonly ack: number;
  readonly ackBits: number;
  readonly body: RelayBody;
}

export type RelayBody =
  | DataBody
  | { readonly kind: 'ack' }
  | {
      readonly kind: 'resume';
      readonly nextSeq: number;
      readonly firstSeq: number;
      readonly reliability: number;
    }
  | { readonly kind: 'reset'; readonly reason: string }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'handshake'; readonly payload: Uint8Array };

export interface DataBody {
  readonly kind: 'data';
  readonly seq: number;
  readonly segmentIndex: number;
  readonly segmentCount: number;
  readonly payload: Uint8Array;
}

const version = 1;

export function encodeFrame(frame: RelayFrame): Uint8Array {
  const { streamId, reliable, ack, ackBits, body } = frame;
  const message = create(RelayMessageFrameSchema, {
    version,
    streamId,
    reliable,
    ack,
    ackBits,
    body: wireBody(body),
  });
  return toBinary(RelayMessageFrameSchema, message);
}

/** Reads one frame. Answers a text that says what is wrong where it is none. Whose payload fits to whom is for the stream to say. */
export function decodeFrame(bytes: Uint8Array): RelayFrame | string {
  let message: RelayMessageFrame;
  try {
    message = fromBinary(RelayMessageFrameSchema, bytes, { readUnknownFields: false });
  } catch (error) {
    return `is no relay frame: ${(error as Error).message.slice(0, 200)}`;
  }
  const { streamId, reliable, ack, ackBits } = message;
  if (message.version !== version)
    return `is a relay frame of version ${message.version}; version ${version} is supported`;
  if (streamId === '') return 'is a relay frame that names no stream';
  if (streamId.length > limits.relayStreamIdLength)
    return `is a relay frame whose stream id has more than ${limits.relayStreamIdLength} characters`;
  const body = readBody(message.body);
  return typeof body === 'string' ? body : { streamId, reliable, ack, ackBits, body };
}

function wireBody(body: RelayBody): RelayMessageFrame['body'] {
  // The members that each of these names are all that the schema has.
  switch (body.kind) {
    case 'data': {
      const { kind, ...value } = body;
      return { case: kind, value } as RelayMessageFrame['body'];
    }
    case 'ack':
      return { case: 'ackFrame', value: {} } as RelayMessageFrame['body'];
    case 'heartbeat':
      return { case: 'heartbeat', value: {} } as RelayMessageFrame['body'];
    case 'resume': {
      const { kind, ...value } = body;
      return { case: kind, value } as RelayMessageFrame['body'];
    }
    case 'reset': {
      const { kind, reason } = body;
      return { case: kind, value: { reason } } as RelayMessageFrame['body'];
    }
    case 'handshake': {
      const { kind, payload } = body;
      return { case: kind, value: { payload } } as RelayMessageFrame['body'];
    }
  }
}

function readBody(body: RelayMessageFrame['body']): RelayBody | string {
  switch (body.case) {
    case undefined:
      return 'is a relay frame without a body';
    case 'data': {
      const { seq, segmentIndex, segmentCount, payload } = body.value;
      if (segmentCount === 0 || segmentIndex >= segmentCount || payload.length === 0)
        return 'is a data frame that is no segment of a message, or an empty one';
      return { kind: 'data', seq, segmentIndex, segmentCount, payload };
    }
    case 'ackFrame':
      return { kind: 'ack' };
    case 'heartbeat':
      return { kind: 'heartbeat' };
    case 'resume': {
      const { nextSeq, firstSeq, reliability } = body.value;
      return { kind: 'resume', nextSeq, firstSeq, reliability };
    }
    case 'reset':
      if (body.value.reason === '') return 'is a reset frame without a reason';
      return { kind: 'reset', reason: body.value.reason };
    case 'handshake':
      if (body.value.payload.length === 0) return 'is a handshake frame without a payload';
      return { kind: 'handshake', payload: body.value.payload };
  }
}
