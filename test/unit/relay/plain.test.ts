import { describe, expect, test } from 'vitest';

import { openRelayStream } from '../../../src/relay/open-stream.ts';
import type { RelayBody } from '../../../src/relay/frame.ts';
import { FramePeer, executorBehind, opening, segment } from '../../support/relay-peer.ts';
import { TransportRecord } from '../../support/unit-transport.ts';
import { turn } from '../../support/unit-wait.ts';

const hello = '{"id":1,"method":"initialize"}';
const answer = '{"id":1,"result":{}}';
const plainOpening: RelayBody = { kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: 0 };
const done = { kind: 'normal', message: 'done' } as const;

describe('an executor whose orchestrator knows no acknowledgements', () => {
  test('opens a stream with its first message, and answers in frames of one segment', async () => {
    const peer = new FramePeer();
    const { streams, transports, records } = executorBehind(peer);
    await peer.sayPlain('s', plainOpening);
    await peer.sayPlain('s', segment(0, 'no JSON'));
    await peer.sayPlain('s', segment(0, hello, 0, 2));
    expect(streams.size).toBe(0);
    await peer.sayPlain('s', segment(0, hello));
    expect(records.get('s')?.messages).toEqual([hello]);
    const long = JSON.stringify({ id: 1, result: 'x'.repeat(300_000) });
    transports.get('s')?.send(long);
    transports.get('s')?.send(answer);
    await turn();
    expect(peer.payloads('s')).toEqual([long, answer]);
    expect(
      peer.of('data').map(({ reliable, ack, body }) => [reliable, ack, 'seq' in body && body.seq]),
    ).toEqual([
      [false, 0, 0],
      [false, 0, 1],
    ]);
    expect(transports.get('s')?.ping).toBeUndefined();
    streams.close(done);
  });

  test('takes what comes as it comes, and drops what is no message', async () => {
    const peer = new FramePeer();
    const { streams, records } = executorBehind(peer);
    for (const seq of [0, 5, 5, 2]) await peer.sayPlain('s', segment(seq, hello));
    await peer.sayPlain('s', segment(3, '[]'));
    await peer.sayPlain('s', { kind: 'heartbeat' });
    expect(records.get('s')?.messages).toEqual([hello, hello, hello, hello]);
    expect(peer.heard).toEqual([]);
    streams.close(done);
  });

  test('ends its streams with the socket, and takes an id again after a reset', async () => {
    const peer = new FramePeer();
    const { streams, records } = executorBehind(peer);
    await peer.sayPlain('s', segment(0, hello));
    await peer.sayPlain('s', { kind: 'reset', reason: 'bye' });
    expect(records.get('s')?.closes).toEqual([{ kind: 'lost', message: 'bye' }]);
    await peer.sayPlain('s', segment(0, hello));
    expect(streams.size).toBe(1);
    peer.socket.close({ kind: 'lost', message: 'cut' });
    await turn();
    expect([streams.size, records.get('s')?.closes[0]?.kind]).toEqual([0, 'lost']);
  });

  test('serves orchestrators of both kinds on one socket', async () => {
    const peer = new FramePeer();
    const { streams, transports, records } = executorBehind(peer);
    await peer.say('new', opening);
    await peer.say('new', segment(0, hello));
    await peer.sayPlain('old', segment(0, hello));
    for (const transport of transports.values()) transport.send(answer);
    await turn();
    expect([...records.values()].map(({ messages }) => messages)).toEqual([[hello], [hello]]);
    expect(peer.of('data').map(({ streamId, reliable }) => [streamId, reliable])).toEqual([
      ['new', true],
      ['old', false],
    ]);
    streams.close(done);
  });

  test('closes a stream of a reader that leaves too much unread', async () => {
    const peer = new FramePeer();
    const { streams, transports } = executorBehind(peer);
    await peer.sayPlain('s', segment(0, hello));
    transports.get('s')?.pause();
    const long = JSON.stringify({ id: 1, method: 'x'.repeat(4_000_000) });
    for (let count = 0; count < 5; count++) await peer.sayPlain('s', segment(count, long));
    expect(peer.resets('s')[0]).toMatch(/^tooBig: .*wait/);
    expect(streams.size).toBe(0);
  });
});

describe('an orchestrator whose executor knows no acknowledgements', () => {
  const open = async (
    peer: FramePeer,
  ): Promise<{ record: TransportRecord; send: (text: string) => void; id: string }> => {
    const transport = await openRelayStream({ dial: async () => peer.socket }, new AbortController().signal);
    const record = new TransportRecord(transport);
    const id = peer.heard[0]?.streamId ?? '';
    return { record, send: (text) => transport.send(text), id };
  };

  test('says resume first, then its message, and nothing twice', async () => {
    const peer = new FramePeer();
    const { record, send, id } = await open(peer);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    send(hello);
    const long = JSON.stringify({ id: 2, method: 'x'.repeat(200_000) });
    // Nobody knows yet whether it may come in segments.
    send(long);
    send(hello);
    await turn();
    expect(peer.heard.map(({ body }) => body.kind)).toEqual(['resume', 'data']);
    await peer.sayPlain(id, segment(0, answer));
    expect(record.messages).toEqual([answer]);
    expect(peer.payloads()).toEqual([hello, long, hello]);
    expect(peer.of('data').map(({ body }) => 'seq' in body && body.seq)).toEqual([0, 1, 2]);
    expect(
      peer
        .of('data')
        .slice(1)
        .every(({ reliable }) => !reliable),
    ).toBe(true);
    peer.socket.close({ kind: 'lost', message: 'cut' });
    // Another session resumes: this stream cannot.
    expect(await record.closed()).toEqual({ kind: 'lost', message: 'cut' });
  });

  test('leaves frames of other streams alone, and ends with the reset of its own', async () => {
    const peer = new FramePeer();
    const { record, id } = await open(peer);
    await peer.sayPlain('another', segment(0, answer));
    await peer.sayPlain('another', { kind: 'reset', reason: 'bye' });
    await peer.sayPlain(id, segment(0, answer));
    await peer.sayPlain(id, { kind: 'reset', reason: 'executorGone: it is gone' });
    expect(record.messages).toEqual([answer]);
    expect(await record.closed()).toEqual({ kind: 'executorGone', message: 'it is gone' });
    expect(peer.socket.closed).toBeDefined();
  });

  test('asks the rendezvous for a sign of life, and stops reading where its reader does', async () => {
    const peer = new FramePeer();
    const transport = await openRelayStream({ dial: async () => peer.socket }, new AbortController().signal);
    const record = new TransportRecord(transport);
    await peer.sayPlain(peer.heard[0]?.streamId ?? '', segment(0, answer));
    expect(record.messages).toEqual([answer]);
    transport.ping?.();
    expect([peer.socket.pings, peer.of('heartbeat')]).toEqual([1, []]);
    transport.pause();
    expect(peer.socket.isPaused).toBe(true);
    transport.resume();
    expect(peer.socket.isPaused).toBe(false);
    expect(transport.receivedBytes).toBe(peer.socket.receivedBytes);
    transport.close(done);
  });
});
