import { z } from 'zod';
import { HttpFields } from './http-field.ts';
import { limits } from './limits.ts';
import { Bytes, Count, Path } from './primitives.ts';
import { Empty, type NotificationRow, type RequestRow } from './row.ts';
import { CreditBytes, StreamId } from './transfer.ts';
import { Sandbox } from './sandbox.ts';

const RequestId = z
  .string()
  .max(limits.httpRequestIdLength)
  .meta({ description: 'Chosen by the client. Of requests with streamResponse, one at a time may have it.' });

const RequestField = z.object({
  name: z.string(),
  value: z.string(),
  valueEnvVar: z.string().nullish().meta({
    description:
      'A variable of the executor; what it holds is sent behind `value`. It is an error if it is not set.',
  }),
});

const Timing = z.object({
  dnsMs: z.number(),
  connectMs: z.number(),
  tlsMs: z.number().optional(),
  firstByteMs: z
    .number()
    .meta({ description: 'From the start of the request until the answer began, redirects included.' }),
});

const RequestParams = z.object({
  requestId: RequestId,
  method: z.string().meta({ description: 'A token; sent as it is written.' }),
  url: z.string().meta({ description: 'Absolute, http or https.' }),
  headers: z
    .array(RequestField)
    .default([])
    .meta({ description: 'In this order. One name may come several times.' }),
  bodyBase64: Bytes.nullish(),
  timeoutMs: Count.nullish().meta({
    description: 'For the whole request with its body. No deadline if absent.',
  }),
  streamResponse: z.boolean().default(false).meta({
    description: 'The body comes as http/request/bodyDelta, behind the answer.',
  }),
  redirectPolicy: z.enum(['follow', 'stop']).default('follow').meta({
    description: '"stop": the answer is that of the redirect.',
  }),
  sandbox: Sandbox.meta({ description: 'Refused unless it leaves the network open.' }),
  responseStreamId: StreamId.nullish().meta({
    description:
      'Extension: the body comes as this stream, with credit, digest and trailers, in place of streamResponse.',
  }),
  creditBytes: CreditBytes,
  bodyStreamId: StreamId.nullish().meta({
    description:
      'Extension: opens this stream to the executor, at once; stream/write and stream/finish give the body in place of bodyBase64.',
  }),
  upgrade: z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z/]{1,64}$/, 'must be the name of a protocol')
    .nullish()
    .meta({
      description:
        'Extension: asks for another protocol on the connection, such as websocket. With status 101 both streams, which it needs, carry its bytes.',
    }),
  unixSocket: Path.nullish().meta({
    description: 'Extension: the socket to connect to. The URL gives path and Host.',
  }),
});

const RequestResult = z.object({
  status: z.int().min(0).max(65_535),
  headers: HttpFields,
  bodyBase64: Bytes.meta({
    description: 'As it was sent, nothing unpacked. Empty where the body is streamed.',
  }),
  url: z
    .string()
    .optional()
    .meta({ description: 'Extension: where the answer comes from, after redirects.' }),
  timing: Timing.optional().meta({
    description: 'Extension: of the last request, where there were redirects.',
  }),
  trailers: HttpFields.optional().meta({ description: 'Extension: where the body has come in one piece.' }),
});

const BodyDelta = z.object({
  requestId: z.string(),
  seq: z.int().positive().meta({ description: 'From 1, without a gap.' }),
  deltaBase64: Bytes,
  done: z.boolean().meta({ description: 'The last one. This executor sends no bytes with it.' }),
  error: z.string().nullish().meta({ description: 'The body has failed: what came is not whole.' }),
  bodyBytes: Count.optional().meta({
    description: 'Extension: with the last one, how many bytes were sent.',
  }),
  trailers: HttpFields.optional().meta({ description: 'Extension: with the last one.' }),
});

/** The rows of HTTP from inside the environment. */
export const httpRequests = {
  'http/request': {
    params: RequestParams,
    result: RequestResult,
    gate: 'session',
    replay: 'never',
    summary:
      'Makes an HTTP/1.1 request from the environment. Every status is a result. The body is answered in one piece or streamed.',
  },
  'http/cancel': {
    params: z.object({ requestId: RequestId }),
    result: Empty,
    gate: 'session',
    replay: 'bound',
    extension: true,
    summary: 'Gives up the requests of this connection with this id, answered or not. None is no error.',
  },
} as const satisfies Record<string, RequestRow>;

export const httpNotifications = {
  'http/request/bodyDelta': {
    params: BodyDelta,
    summary: 'The next bytes of the body of a request with streamResponse. They come behind its answer.',
  },
} as const satisfies Record<string, NotificationRow>;
