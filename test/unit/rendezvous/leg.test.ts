import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

import { Lane } from '../../../src/rendezvous/lane.ts';
import { Leg } from '../../../src/rendezvous/leg.ts';
import { rendezvousLimits } from '../../../src/rendezvous/limits.ts';
import type { CloseReason } from '../../../src/rpc/transport.ts';
import { expectSoon } from '../../support/unit-wait.ts';

const KiB = 1024;

/** A leg and the client at its other end, over a socket of this machine. */
class Pair implements AsyncDisposable {
  readonly #server: WebSocketServer;
  readonly client: WebSocket;
  readonly leg: Leg;
  readonly received: string[] = [];
  readonly closed = Promise.withResolvers<CloseReason>();

  private constructor(server: WebSocketServer, client: WebSocket, leg: Leg) {
    this.#server = server;
    this.client = client;
    this.leg = leg;
    client.on('message', (data: Buffer) => this.received.push(data.toString('latin1', 0, 1)));
    leg.attach({ onBinary: () => {}, onText: () => {}, onClose: this.closed.resolve });
  }

  static async open(): Promise<Pair> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
    await once(server, 'listening');
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const [webSocket, request] = (await once(server, 'connection')) as [WebSocket, IncomingMessage];
    await once(client, 'open');
    return new Pair(server, client, new Leg(webSocket, request.socket, rendezvousLimits));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.terminate();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const budget = () => ({ bytes: 0, most: 1e9 });
const message = (letter: string): Buffer => Buffer.alloc(32 * KiB, letter);

/** Until so many messages wait here: the system takes the others. */
function fill(lane: Lane, letter: string, waiting: number): number {
  let pushed = 0;
  while (lane.bytes < waiting * 32 * KiB) {
    expect(lane.push(message(letter), true)).toBe(true);
    pushed += 1;
  }
  return pushed;
}

describe('the lanes of a leg', () => {
  test('take turns, each in its order, whatever was there first', async () => {
    await using pair = await Pair.open();
    const shared = budget();
    const [bulk, small] = [new Lane(1e9, shared), new Lane(1e9, shared)];
    for (const lane of [bulk, small]) lane.moveTo(pair.leg);
    pair.client.pause();
    const before = fill(bulk, 'b', 100) - 100;
    for (let n = 0; n < 10; n += 1) expect(small.push(message('s'), true)).toBe(true);
    pair.client.resume();
    const all = before + 100 + 10;
    while (pair.received.length < all) await expectSoon('a message', once(pair.client, 'message'));
    // Two messages a turn; the first turn is under way.
    const end = pair.received.lastIndexOf('s');
    expect(end).toBeLessThan(before + 30);
    expect(shared.bytes).toBe(0);
  });

  test('leave nothing that counts when the socket ends', async () => {
    await using pair = await Pair.open();
    const shared = budget();
    const lane = new Lane(1e9, shared);
    lane.moveTo(pair.leg);
    pair.client.pause();
    fill(lane, 'x', 10);
    expect(shared.bytes).toBeGreaterThan(0);
    pair.client.terminate();
    expect(await expectSoon('the end', pair.closed.promise)).toMatchObject({ kind: 'lost' });
    expect([shared.bytes, lane.bytes]).toStrictEqual([0, 0]);
  });

  test('go on over another leg with what waits, in order', async () => {
    await using first = await Pair.open();
    await using second = await Pair.open();
    const shared = budget();
    const lane = new Lane(1e9, shared);
    lane.moveTo(first.leg);
    first.client.pause();
    fill(lane, 'x', 4);
    lane.push(message('y'), true);
    lane.moveTo(undefined);
    lane.push(message('z'), true);
    expect(second.received).toStrictEqual([]);
    lane.moveTo(second.leg);
    while (second.received.length < 6) await expectSoon('a message', once(second.client, 'message'));
    expect(second.received.join('')).toBe('xxxxyz');
    expect(shared.bytes).toBe(0);
  });

  test('have their bound, that of their tenant, and one message beyond', async () => {
    const shared = { bytes: 0, most: 100 * KiB };
    const [one, other, third] = [new Lane(70 * KiB, shared), new Lane(70 * KiB, shared), new Lane(1, shared)];
    expect([
      one.push(message('a'), true),
      one.push(message('a'), true),
      one.push(message('a'), true),
    ]).toStrictEqual([true, true, false]);
    expect(other.push(Buffer.alloc(500 * KiB), true)).toBe(true);
    expect(third.push(message('c'), true)).toBe(false);
    one.replaceAll(Buffer.from('end'), true);
    other.clear();
    expect(third.push(message('c'), true)).toBe(true);
    expect(one.shift()).toStrictEqual({ data: Buffer.from('end'), binary: true });
    third.clear();
    expect(shared.bytes).toBe(0);
  });
});

describe('a leg', () => {
  test('sends what waits before it finishes', async () => {
    await using pair = await Pair.open();
    const lane = new Lane(1e9, budget());
    lane.moveTo(pair.leg);
    pair.client.pause();
    const pushed = fill(lane, 'x', 10);
    pair.leg.finish({ kind: 'executorGone', message: 'gone' }, 15_000);
    pair.client.resume();
    const [code, reason] = (await expectSoon('the end', once(pair.client, 'close'))) as [number, Buffer];
    expect([code, reason.toString(), pair.received.length]).toStrictEqual([4010, 'gone', pushed]);
  });
});
