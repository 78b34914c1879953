import { describe, expect, test } from 'vitest';

import { resetReason, resetText } from '../../../src/relay/close-text.ts';
import { type RelayBody, type RelayFrame, decodeFrame, encodeFrame } from '../../../src/relay/frame.ts';
import { Random, seeds } from '../../support/unit-random.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (value: string): Uint8Array => Buffer.from(value);

/** A frame as codex executors write it. */
function plain(body: RelayBody, streamId = 's', ack = 0, ackBits = 0): RelayFrame {
  return { streamId, reliable: false, ack, ackBits, body };
}

const data = (seq: number, payload: string): RelayBody => ({
  kind: 'data',
  seq,
  segmentIndex: 0,
  segmentCount: 1,
  payload: text(payload),
});
const resume: RelayBody = { kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: 0 };

const vectors: readonly [string, RelayFrame, string][] = [
  [
    'a resume',
    plain(resume, '11111111-2222-4333-8444-555555555555'),
    '0801122431313131313131312d323232322d343333332d383434342d3535353535353535353535353a00',
  ],
  ['data', plain(data(0, '{}')), '08011201732a06180122027b7d'],
  ['data with a number', plain(data(1, '{}')), '08011201732a080801180122027b7d'],
  ['a reset', plain({ kind: 'reset', reason: 'bye' }), '080112017342050a03627965'],
  ['a handshake', plain({ kind: 'handshake', payload: text('ab') }), '080112017352040a026162'],
  ['a heartbeat', plain({ kind: 'heartbeat' }), '08011201734a00'],
  ['an acknowledgement', plain({ kind: 'ack' }, 's', 3, 5), '0801120173180320053200'],
];

describe('relay frames', () => {
  test.each(vectors)('write %s as executors in the field do', (_name, frame, bytes) => {
    expect(hex(encodeFrame(frame))).toBe(bytes);
  });

  test.each(vectors)('read %s', (_name, frame, bytes) => {
    const read = decodeFrame(Buffer.from(bytes, 'hex')) as RelayFrame;
    const payload = 'payload' in frame.body ? { payload: expect.anything() } : {};
    expect(read).toEqual({ ...frame, body: { ...frame.body, ...payload } });
    expect(hex(encodeFrame(read))).toBe(bytes);
  });

  test('carry what is ours, which others skip', () => {
    const frame = { ...plain({ ...resume, nextSeq: 7, firstSeq: 4, reliability: 1 }), reliable: true };
    expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
  });

  test.each([
    ['bytes that are no message', 'ff', /is no relay frame/],
    ['an empty message', '', /version 0/],
    ['another version, before everything else', '0802', /version 2/],
    ['no stream, before the body', '0801', /names no stream/],
    ['a stream id that is too long', `0801128101${'61'.repeat(129)}4a00`, /128 characters/],
    ['no body', '0801120173', /without a body/],
    ['data without a segment', '08011201732a0422027b7d', /no segment/],
    ['data whose segment is beyond the count', '08011201732a081001180122027b7d', /no segment/],
    ['data without a payload', '08011201732a021801', /no segment/],
    ['a reset without a reason', '08011201734200', /without a reason/],
    ['a handshake without a payload', '08011201735200', /without a payload/],
  ])('are refused with %s', (_name, bytes, problem) => {
    expect(decodeFrame(Buffer.from(bytes, 'hex'))).toMatch(problem);
  });

  test.each(seeds)('are read or refused whatever comes (seed %i)', (seed) => {
    const random = new Random(seed);
    for (let round = 0; round < 2000; round++) {
      const [, , bytes] = random.pick(vectors);
      const frame = Buffer.from(bytes, 'hex');
      for (let changes = random.below(4); changes >= 0; changes--)
        frame[random.below(frame.length)] = random.below(256);
      const cut = frame.subarray(0, random.below(frame.length + 1));
      const read = decodeFrame(cut);
      if (typeof read === 'object') expect(read.streamId.length).toBeGreaterThan(0);
    }
  });
});

describe('the reason of a reset', () => {
  test('names the kind of the close', () => {
    const reason = { kind: 'executorGone', message: 'it has gone' } as const;
    expect(resetText(reason)).toBe('executorGone: it has gone');
    expect(resetReason(resetText(reason))).toEqual(reason);
    expect(resetReason('lost: no luck')).toEqual({ kind: 'lost', message: 'no luck' });
  });

  test('is taken as a loss where it has no such kind', () => {
    expect(resetReason('bye')).toEqual({ kind: 'lost', message: 'bye' });
    expect(resetReason('toString: x')).toEqual({ kind: 'lost', message: 'toString: x' });
  });

  test('is cut to its limit', () => {
    expect(resetReason('x'.repeat(1000)).message).toHaveLength(256);
    expect(resetText({ kind: 'normal', message: 'x'.repeat(1000) })).toHaveLength(256);
  });
});
