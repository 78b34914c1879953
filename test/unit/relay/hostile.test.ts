import { describe, expect, test } from 'vitest';

import { limits } from '../../../src/protocol/limits.ts';
import type { RelayBody } from '../../../src/relay/frame.ts';
import { FramePeer, executorBehind, opening, segment } from '../../support/relay-peer.ts';

const request = '{"id":1,"method":"x"}';

describe('an executor whose peer breaks the rules of a stream', () => {
  const breaches: readonly [string, readonly RelayBody[], { ack?: number; ackBits?: number }, RegExp][] = [
    ['acknowledges what was never sent', [{ kind: 'ack' }], { ack: 1 }, /^protocolError: .*never sent/],
    ['acknowledges so by bits', [{ kind: 'ack' }], { ackBits: 1 }, /^protocolError: .*never sent/],
    [
      'resumes behind what was sent',
      [{ ...opening, nextSeq: 9 } as RelayBody],
      {},
      /^protocolError: .*never sent/,
    ],
    [
      'has dropped what never arrived',
      [{ ...opening, firstSeq: 9 } as RelayBody],
      {},
      /^lost: .*never arrived/,
    ],
    [
      'sends beyond the window of frames',
      [segment(limits.relayWindowFrames, 'x')],
      {},
      /^protocolError: .*window/,
    ],
    [
      'sends beyond the window of bytes',
      Array.from({ length: limits.relayWindowBytes / 65_536 + 1 }, (_, index) =>
        segment(index + 1, Buffer.alloc(65_536, 'x')),
      ),
      {},
      /^protocolError: .*window/,
    ],
    ['sends the last number', [segment(2 ** 32 - 1, 'x')], {}, /^protocolError: .*window/],
    ['sends a segment that is too long', [segment(0, Buffer.alloc(65_537, 'x'))], {}, /^tooBig: .*65536/],
    ['lies about the count of segments', [segment(0, 'x', 0, 5000)], {}, /^tooBig: .*4096 segments/],
    ['begins with a later segment', [segment(0, 'x', 1, 2)], {}, /^protocolError: .*fit together/],
    [
      'changes the count on the way',
      [segment(0, 'x', 0, 3), segment(1, 'x', 1, 2)],
      {},
      /^protocolError: .*fit together/,
    ],
    [
      'begins anew on the way',
      [segment(0, 'x', 0, 3), segment(1, 'x', 0, 1)],
      {},
      /^protocolError: .*fit together/,
    ],
    [
      'sends a message that is too long',
      [segment(0, Buffer.alloc(600, 'x'), 0, 2), segment(1, Buffer.alloc(600, 'x'), 1, 2)],
      {},
      /^tooBig: .*1000 bytes/,
    ],
  ];

  test.each(breaches)('resets the stream that %s, and no other', async (_name, bodies, more, reason) => {
    const peer = new FramePeer();
    const { streams, records } = executorBehind(peer, { messageBytes: 1000 });
    await peer.say('good', opening);
    await peer.say('bad', opening);
    for (const body of bodies) await peer.say('bad', body, more);
    expect(peer.resets('bad')[0]).toMatch(reason);
    expect(records.get('bad')?.closes).toHaveLength(1);
    await peer.say('good', segment(0, request));
    expect(records.get('good')?.messages).toEqual([request]);
    expect([peer.resets('good'), streams.size]).toEqual([[], 1]);
    // What still comes for it opens nothing.
    await peer.say('bad', segment(0, request));
    await peer.say('bad', opening);
    expect(streams.size).toBe(1);
    streams.close({ kind: 'normal', message: 'done' });
  });

  test('holds no more than a window for a reader that is paused, and goes on behind it', async () => {
    const peer = new FramePeer();
    const { streams, transports, records } = executorBehind(peer);
    await peer.say('s', opening);
    transports.get('s')?.pause();
    const messages = Array.from({ length: limits.relayWindowFrames }, (_, index) => `{"id":${index}}`);
    for (const [index, message] of messages.entries()) void peer.say('s', segment(index, message));
    expect(peer.of('ack', 's').at(-1)?.ack).toBe(0);
    expect(records.get('s')?.messages).toEqual([]);
    transports.get('s')?.resume();
    expect(records.get('s')?.messages).toEqual(messages);
    expect(peer.of('ack', 's').at(-1)?.ack).toBe(messages.length);
    void peer.say('s', segment(messages.length, '{"id":"more"}'));
    expect(records.get('s')?.messages.at(-1)).toBe('{"id":"more"}');
    streams.close({ kind: 'normal', message: 'done' });
  });

  test('refuses a stream beyond the limit, and one that it never had', async () => {
    const peer = new FramePeer();
    const { streams } = executorBehind(peer, { streams: 2 });
    for (const id of ['a', 'b', 'c']) await peer.say(id, opening);
    expect(peer.resets('c')[0]).toMatch(/2 streams/);
    await peer.say('d', { ...opening, nextSeq: 4 } as RelayBody);
    expect(peer.resets('d')[0]).toMatch(/^lost: .*does not have/);
    await peer.say('e', { kind: 'heartbeat' }, { ack: 3 });
    expect(peer.resets('e')[0]).toMatch(/^lost: .*does not have/);
    await peer.say('f', { kind: 'handshake', payload: Buffer.from('x') });
    expect(peer.resets('f')[0]).toMatch(/encrypted/);
    expect(streams.size).toBe(2);
    streams.close({ kind: 'normal', message: 'done' });
  });

  test('gives no answer to resets and acknowledgements of streams that are not there', async () => {
    const peer = new FramePeer();
    const { streams } = executorBehind(peer);
    await peer.say('a', { kind: 'reset', reason: 'x' });
    await peer.say('a', { kind: 'ack' });
    await peer.sayPlain('a', { kind: 'heartbeat' });
    peer.socket.receive(Buffer.from('ffff', 'hex'));
    expect([peer.heard, streams.size]).toEqual([[], 0]);
  });
});
