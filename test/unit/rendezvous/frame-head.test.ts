import { describe, expect, test } from 'vitest';

import { type RelayBody, decodeFrame, encodeFrame } from '../../../src/relay/frame.ts';
import { readFrameHead, resetText, wholePayload } from '../../../src/rendezvous/frame-head.ts';
import { dataFrame, resetFrame, resumeFrame } from '../../../src/rendezvous/frames.ts';
import { Random, seeds } from '../../support/unit-random.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe('a frame of a peer in the field', () => {
  const uuid = '11111111-2222-4333-8444-555555555555';
  test.each([
    [
      'resume',
      '0801122431313131313131312d323232322d343333332d383434342d3535353535353535353535353a00',
      { streamId: uuid, kind: 'resume' },
    ],
    ['data', '08011201732a06180122027b7d', { streamId: 's', kind: 'data' }],
    ['data 1', '08011201732a080801180122027b7d', { streamId: 's', kind: 'data' }],
    ['reset', '080112017342050a03627965', { streamId: 's', kind: 'reset' }],
    ['handshake', '080112017352040a026162', { streamId: 's', kind: 'handshake' }],
    ['heartbeat', '08011201734a00', { streamId: 's', kind: 'heartbeat' }],
    ['ack', '0801120173180320053200', { streamId: 's', kind: 'ack' }],
  ])('is read: %s', (_title, bytes, head) => {
    expect(readFrameHead(hex(bytes))).toMatchObject({ ...head, isReliable: false });
  });

  test('has its payload and its reason', () => {
    const data = readFrameHead(hex('08011201732a080801180122027b7d'));
    expect(data && wholePayload(data)?.toString()).toBe('{}');
    const reset = readFrameHead(hex('080112017342050a03627965'));
    expect(reset && resetText(reset)).toBe('bye');
  });

  test('is what the service sends itself', () => {
    expect(resumeFrame(uuid).toString('hex')).toBe(
      '0801122431313131313131312d323232322d343333332d383434342d3535353535353535353535353a00',
    );
    expect(dataFrame('s', 1, Buffer.from('{}')).toString('hex')).toBe('08011201732a080801180122027b7d');
    const head = readFrameHead(resetFrame('s', { kind: 'executorGone', message: 'bye' }));
    expect(head && resetText(head)).toBe('executorGone: bye');
  });
});

describe('no frame', () => {
  test.each([
    ['nothing', ''],
    ['no version', '1201734a00'],
    ['another version', '08021201734a00'],
    ['a version of many bytes that ends in 1', '0881808080101201734a00'],
    ['no stream id', '08014a00'],
    ['an empty stream id', '080112004a00'],
    ['a stream id that is no UTF-8', '08011202c3284a00'],
    ['a stream id of more bytes than there are', '0801127f734a00'],
    ['no body', '0801120173'],
    ['two bodies', '08011201734a003200'],
    ['the same body twice', '08011201733a003a00'],
    ['two stream ids', '08011201731201744a00'],
    ['two versions', '080108011201734a00'],
    ['a stream id as a number', '080110014a00'],
    ['a body as a number', '08011201734801'],
    ['a group', '08011201730b0c4a00'],
    ['the field 0', '080112017302004a00'],
    ['a number that never ends', '08ffffffffffffffffffff01'],
    ['a tag alone', '08011201734a'],
  ])('is read: %s', (_title, bytes) => {
    expect(readFrameHead(hex(bytes))).toBeUndefined();
  });

  test('with a stream id that is too long', () => {
    const frame = (length: number): Buffer => resumeFrame('x'.repeat(length));
    expect(readFrameHead(frame(128))?.streamId).toHaveLength(128);
    expect(readFrameHead(frame(129))).toBeUndefined();
  });
});

describe.each(seeds)('with seed %i', (seed) => {
  const random = new Random(seed);
  const text = (): string => random.bytes(1 + random.below(30)).toString('base64url');
  const body = (): RelayBody =>
    random.pick<RelayBody>([
      { kind: 'ack' },
      { kind: 'heartbeat' },
      { kind: 'resume', nextSeq: random.below(9), firstSeq: random.below(9), reliability: random.below(2) },
      { kind: 'reset', reason: text() },
      { kind: 'handshake', payload: random.bytes(1 + random.below(20)) },
      {
        kind: 'data',
        seq: random.below(2 ** 31),
        segmentIndex: 0,
        segmentCount: 1 + random.below(2),
        payload: random.bytes(1 + random.below(300)),
      },
    ]);

  test('what the codec writes is routed as the codec reads it', () => {
    for (let n = 0; n < 500; n += 1) {
      const reliable = random.below(2) === 1;
      const frame = {
        streamId: text(),
        reliable,
        ack: random.below(9),
        ackBits: random.below(9),
        body: body(),
      };
      const head = readFrameHead(Buffer.from(encodeFrame(frame)));
      expect(head).toMatchObject({ streamId: frame.streamId, kind: frame.body.kind, isReliable: reliable });
      if (head === undefined || frame.body.kind !== 'data') continue;
      const isWhole = frame.body.segmentCount === 1;
      expect(wholePayload(head)?.equals(frame.body.payload)).toBe(isWhole ? true : undefined);
    }
  });

  test('what is routed has for its receiver the same stream id and body', () => {
    let routed = 0;
    for (let n = 0; n < 5000; n += 1) {
      const bytes = Buffer.from(
        encodeFrame({ streamId: text(), reliable: false, ack: 0, ackBits: 0, body: body() }),
      );
      for (let change = random.below(4); change > 0; change -= 1)
        bytes[random.below(bytes.length)] = random.below(256);
      const head = readFrameHead(bytes);
      const frame = decodeFrame(bytes);
      if (head === undefined || typeof frame === 'string') continue;
      routed += 1;
      expect([head.streamId, head.kind]).toStrictEqual([frame.streamId, frame.body.kind]);
    }
    expect(routed).toBeGreaterThan(500);
  });
});
