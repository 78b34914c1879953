import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { RpcError, errorCodes } from '../../../src/protocol/errors.ts';
import { limits } from '../../../src/protocol/limits.ts';
import { memoryTransportPair } from '../../../src/rpc/memory-transport.ts';
import { Peer, type PeerHandlers, type RequestContext } from '../../../src/rpc/peer.ts';
import type { CloseReason, Transport } from '../../../src/rpc/transport.ts';
import { TransportRecord } from '../../support/unit-transport.ts';
import { turn } from '../../support/unit-wait.ts';

interface Failure {
  readonly error: unknown;
  readonly errorId: string;
}

interface Opened {
  readonly peer: Peer;
  /** The other side, without a peer of its own. */
  readonly wire: Transport;
  readonly record: TransportRecord;
  readonly closes: CloseReason[];
  readonly failures: Failure[];
  /** What the peer has sent, as JSON. */
  readonly sent: () => unknown[];
}

type OnRequest = (method: string, params: unknown, context: RequestContext) => unknown;

function open(onRequest: OnRequest = () => null, more: Partial<PeerHandlers> = {}): Opened {
  const [near, wire] = memoryTransportPair();
  const closes: CloseReason[] = [];
  const failures: Failure[] = [];
  const record = new TransportRecord(wire);
  const peer = new Peer(near, {
    onRequest,
    onNotification: () => {},
    onClose: (reason) => void closes.push(reason),
    onInternalError: (error, errorId) => void failures.push({ error, errorId }),
    ...more,
  });
  const sent = (): unknown[] => record.messages.map((text): unknown => JSON.parse(text));
  return { peer, wire, record, closes, failures, sent };
}

const lost = { kind: 'lost', message: 'the wire was cut' } as const;

describe('Peer: requests of the other side', () => {
  it('answers with the id as it was written, and with null for nothing', async () => {
    const { wire, record } = open((_method, params) => params);
    wire.send('{"id":9007199254740993,"method":"m","params":[1]}');
    wire.send('{"id":"\\u00e9","method":"m","params":{"a":"b"}}');
    wire.send('{"id":0,"method":"m"}');
    await turn();
    expect(record.messages).toEqual([
      '{"id":9007199254740993,"result":[1]}',
      '{"id":"é","result":{"a":"b"}}',
      '{"id":0,"result":null}',
    ]);
  });

  it('are started in arrival order, run at the same time, and are answered as they end', async () => {
    const started: string[] = [];
    const running = new Map<string, PromiseWithResolvers<string>>();
    const { wire, sent } = open((method) => {
      started.push(method);
      const run = Promise.withResolvers<string>();
      running.set(method, run);
      return run.promise;
    });
    for (const [id, method] of ['a', 'b', 'c'].entries()) wire.send(JSON.stringify({ id, method }));
    await turn();
    expect(started).toEqual(['a', 'b', 'c']);
    for (const method of ['c', 'a', 'b']) {
      running.get(method)?.resolve(method);
      await turn();
    }
    expect(sent()).toEqual([
      { id: 2, result: 'c' },
      { id: 0, result: 'a' },
      { id: 1, result: 'b' },
    ]);
  });

  it('may share an id: both are answered', async () => {
    const { wire, sent } = open((method) => method);
    wire.send('{"id":1,"method":"a"}');
    wire.send('{"id":1,"method":"b"}');
    await turn();
    expect(sent()).toEqual([
      { id: 1, result: 'a' },
      { id: 1, result: 'b' },
    ]);
  });

  it('have what afterReply registered run behind the answer, in order', async () => {
    const { peer, wire, sent } = open((_method, _params, context) => {
      context.afterReply(() => peer.notify('first', {}));
      context.afterReply(() => peer.notify('second', {}));
      return 'answer';
    });
    wire.send('{"id":1,"method":"m"}');
    await turn();
    expect(sent()).toEqual([
      { id: 1, result: 'answer' },
      { method: 'first', params: {} },
      { method: 'second', params: {} },
    ]);
  });

  it('run nothing after a reply that was an error', async () => {
    let ran = false;
    const { wire, sent } = open((_method, _params, context) => {
      context.afterReply(() => void (ran = true));
      throw new RpcError('notFound', 'There is no such thing.');
    });
    wire.send('{"id":1,"method":"m"}');
    await turn();
    expect(sent()).toEqual([{ error: { code: -32004, message: 'There is no such thing.' }, id: 1 }]);
    expect(ran).toBe(false);
  });

  it('are answered once, also when an afterReply action throws', async () => {
    const { wire, sent, failures } = open((_method, _params, context) => {
      context.afterReply(() => {
        throw new Error('broken action');
      });
      return 'answer';
    });
    wire.send('{"id":1,"method":"m"}');
    await turn();
    expect(sent()).toEqual([{ id: 1, result: 'answer' }]);
    expect(failures).toHaveLength(1);
  });

  it.each([
    [
      'that is thrown',
      () => {
        throw new Error('secret /etc/token');
      },
    ],
    ['that a promise is rejected with', () => Promise.reject(new TypeError('secret /etc/token'))],
    ['that is no Error', () => Promise.reject('secret /etc/token')],
    ['of a result that is no JSON', () => ({ secret: 1n })],
  ] as [string, OnRequest][])('get an error id instead of the text of an error %s', async (_, onRequest) => {
    const { wire, record, failures } = open(onRequest);
    wire.send('{"id":1,"method":"m"}');
    wire.send('{"id":2,"method":"m"}');
    await turn();
    expect(failures.map((failure) => failure.errorId)).toEqual(['e1', 'e2']);
    for (const [index, text] of record.messages.entries()) {
      expect(text).not.toMatch(/secret|token|BigInt/);
      expect(JSON.parse(text)).toEqual({
        error: {
          code: errorCodes.internalError,
          message: expect.stringContaining(`e${index + 1}`) as string,
        },
        id: index + 1,
      });
    }
    expect(record.messages).toHaveLength(2);
  });

  it('get the code, text and data of an RpcError, and not its cause', async () => {
    const { wire, record } = open(() => {
      throw new RpcError('overloaded', 'Later.', { data: { kind: 'k' }, cause: new Error('secret') });
    });
    wire.send('{"id":1,"method":"m"}');
    await turn();
    expect(record.messages).toEqual([
      '{"error":{"code":-32011,"message":"Later.","data":{"kind":"k"}},"id":1}',
    ]);
  });

  it('are refused beyond the limit in flight, and accepted again when one is done', async () => {
    const first = Promise.withResolvers<string>();
    let started = 0;
    const { wire, sent } = open(() => (started++ === 0 ? first.promise : new Promise(() => {})));
    for (let id = 0; id <= limits.requestsInFlight; id++) wire.send(`{"id":${id},"method":"m"}`);
    await turn();
    expect(started).toBe(limits.requestsInFlight);
    expect(sent()).toEqual([
      {
        error: {
          code: errorCodes.overloaded,
          message: expect.stringContaining('8192') as string,
          data: { limit: 'requestsInFlight', value: 8192, option: '--limit requestsInFlight=N' },
        },
        id: limits.requestsInFlight,
      },
    ]);
    first.resolve('room');
    await turn();
    wire.send('{"id":"again","method":"m"}');
    await turn();
    expect(started).toBe(limits.requestsInFlight + 1);
    expect(sent()).toHaveLength(2);
  });

  it('see their signal abort when the connection is gone, and their answer goes nowhere', async () => {
    let context: RequestContext | undefined;
    const answer = Promise.withResolvers<string>();
    const { wire, closes, record } = open((_method, _params, given) => {
      context = given;
      return answer.promise;
    });
    wire.send('{"id":1,"method":"m"}');
    await turn();
    expect(context?.signal.aborted).toBe(false);
    wire.close(lost);
    await turn();
    expect(context?.signal.aborted).toBe(true);
    expect(context?.signal.reason).toMatchObject({ name: 'ConnectionError', reason: 'closed' });
    answer.resolve('too late');
    await turn();
    expect(record.messages).toEqual([]);
    expect(closes).toEqual([lost]);
  });

  it('get an error with id -1 when they are none, and the connection goes on', async () => {
    const { wire, sent, closes } = open(() => 'fine');
    for (const text of ['{bad', '[]', '{"id":null,"method":"m"}', '{"id":1,"method":"m"}']) wire.send(text);
    await turn();
    expect(sent()).toEqual([
      ...Array.from({ length: 3 }, () => ({
        error: {
          code: errorCodes.invalidRequest,
          message: expect.stringMatching(/^The message .+\.$/s) as string,
        },
        id: -1,
      })),
      { id: 1, result: 'fine' },
    ]);
    expect(closes).toEqual([]);
  });
});

describe('Peer: notifications', () => {
  it('are passed on with their params', async () => {
    const got: unknown[] = [];
    const { wire } = open(undefined, { onNotification: (...all) => void got.push(all) });
    wire.send('{"method":"a","params":{"x":1}}');
    wire.send('{"method":"b"}');
    await turn();
    expect(got).toEqual([
      ['a', { x: 1 }],
      ['b', undefined],
    ]);
  });

  it('are sent without an id, with params or with bytes behind other members', async () => {
    const { peer, record } = open();
    peer.notify('a', { x: 1 });
    peer.notifyChunk('b', '"id":"é"', Buffer.from([0xfb, 0xff, 0xbf, 0]));
    peer.notifyChunk('c', '"id":1', Buffer.alloc(0));
    await turn();
    expect(record.messages).toEqual([
      '{"method":"a","params":{"x":1}}',
      '{"method":"b","params":{"id":"é","chunk":"+/+/AA=="}}',
      '{"method":"c","params":{"id":1,"chunk":""}}',
    ]);
  });
});

describe('Peer: calls', () => {
  it('have ids from 1 on and resolve by id, in whatever order the answers come', async () => {
    const { peer, wire, record } = open();
    const calls = [peer.call('a', { x: 1 }), peer.call('b', undefined), peer.call('c', null)];
    await turn();
    expect(record.messages).toEqual([
      '{"id":1,"method":"a","params":{"x":1}}',
      '{"id":2,"method":"b"}',
      '{"id":3,"method":"c","params":null}',
    ]);
    for (const id of [3, 1, 2]) wire.send(`{"id":${id},"result":"for ${id}"}`);
    expect(await Promise.all(calls)).toEqual(['for 1', 'for 2', 'for 3']);
  });

  it('reject with the error of the other side', async () => {
    const { peer, wire } = open();
    const call = peer.call('m', {});
    wire.send('{"error":{"code":-32010,"message":"taken","data":[1]},"id":1}');
    await expect(call).rejects.toMatchObject({ name: 'RpcError', code: -32010, message: 'taken', data: [1] });
  });

  it.each(['null', '1', '"text"', '{}', '{"code":"x","message":"m"}', '{"code":1}'])(
    'reject also where that error is %s',
    async (error) => {
      const { peer, wire, closes } = open();
      const call = peer.call('m', {});
      wire.send(`{"error":${error},"id":1}`);
      await expect(call).rejects.toMatchObject({ name: 'RpcError', code: errorCodes.internalError });
      expect(closes).toEqual([]);
    },
  );

  it('reject with the reason of their signal, and their late answer is dropped', async () => {
    const { peer, wire, closes } = open();
    const abort = new AbortController();
    const call = peer.call('m', {}, { signal: abort.signal });
    const other = peer.call('m', {}, { signal: abort.signal });
    wire.send('{"id":2,"result":"in time"}');
    expect(await other).toBe('in time');
    abort.abort(new Error('not any more'));
    await expect(call).rejects.toThrow('not any more');
    wire.send('{"id":1,"result":"late"}');
    await turn();
    expect(closes).toEqual([]);
    expect(await Promise.race([peer.call('next', {}), turn().then(() => 'pending')])).toBe('pending');
  });

  it('are not sent when their signal has aborted before', async () => {
    const { peer, record } = open();
    await expect(peer.call('m', {}, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow(
      'before',
    );
    await turn();
    expect(record.messages).toEqual([]);
  });

  it.each([
    ['an id that was never given out', '{"id":2,"result":1}'],
    ['an error for an id that was never given out', '{"error":{"code":1,"message":"m"},"id":7}'],
    ['the id 0', '{"id":0,"result":1}'],
    ['a negative id', '{"error":{"code":-32600,"message":"m"},"id":-1}'],
    ['a text as id', '{"id":"1","result":1}'],
    ['an id beyond 2^53', '{"id":9007199254740993,"result":1}'],
  ])('end with the connection when an answer has %s', async (_, answer) => {
    const { peer, wire, closes, record } = open();
    const call = peer.call('m', {});
    wire.send(answer);
    await expect(call).rejects.toMatchObject({ name: 'ConnectionError', reason: 'closed' });
    await turn();
    expect(closes).toEqual([expect.objectContaining({ kind: 'protocolError' })]);
    expect(record.closes).toEqual(closes);
  });

  it('ignore a second answer', async () => {
    const { peer, wire, closes } = open();
    const call = peer.call('m', {});
    wire.send('{"id":1,"result":"first"}');
    wire.send('{"id":1,"result":"second"}');
    expect(await call).toBe('first');
    await turn();
    expect(closes).toEqual([]);
  });

  it('are rejected when params are no JSON, and leave nothing behind', async () => {
    const { peer, record } = open();
    const { signal } = new AbortController();
    await expect(peer.call('m', { x: 1n }, { signal })).rejects.toThrow(TypeError);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await turn();
    expect(record.messages).toEqual([]);
  });
});

describe('Peer: the end', () => {
  it('rejects every pending call exactly once, and tells its own handler once', async () => {
    const { peer, wire, closes } = open();
    const rejections: unknown[] = [];
    const calls = Array.from({ length: 100 }, () =>
      peer.call('m', {}).catch((error: unknown) => void rejections.push(error)),
    );
    peer.close({ kind: 'goingAway', message: 'bye' });
    wire.close(lost);
    await Promise.all(calls);
    await turn();
    expect(rejections).toHaveLength(100);
    for (const error of rejections) {
      expect(error).toMatchObject({
        name: 'ConnectionError',
        reason: 'closed',
        message: expect.stringContaining('bye') as string,
      });
    }
    expect(closes).toEqual([{ kind: 'goingAway', message: 'bye' }]);
    expect(peer.closed).toEqual(closes[0]);
  });

  it('rejects calls that come after it, and sends nothing more', async () => {
    const { peer, wire, record } = open();
    wire.close(lost);
    await turn();
    await expect(peer.call('m', {})).rejects.toMatchObject({ name: 'ConnectionError', reason: 'closed' });
    peer.notify('m', {});
    await turn();
    expect(record.messages).toEqual([]);
  });

  it('does not leave a listener on a signal that outlives the calls', async () => {
    const { peer, wire } = open();
    const { signal } = new AbortController();
    const calls = [peer.call('a', {}, { signal }), peer.call('b', {}, { signal })];
    expect(getEventListeners(signal, 'abort')).toHaveLength(2);
    wire.send('{"id":1,"result":1}');
    wire.send('{"error":{"code":1,"message":"m"},"id":2}');
    await Promise.allSettled(calls);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('Peer: a connection that does not read', () => {
  it('is no longer read from above the stall limit, and again when it has caught up', async () => {
    let served = 0;
    let drains = 0;
    const big = 'x'.repeat(1024 * 1024);
    const { wire, record, peer } = open(
      () => {
        served += 1;
        return big;
      },
      { onDrain: () => void (drains += 1) },
    );
    wire.pause();
    const requests = 40;
    for (let id = 0; id < requests; id++) {
      wire.send(`{"id":${id},"method":"m"}`);
      await turn();
    }
    const stalledAt = limits.outboxStallBytes / big.length;
    expect(served).toBeGreaterThanOrEqual(stalledAt);
    expect(served).toBeLessThanOrEqual(stalledAt + 1);
    expect(peer.unsentBytes).toBeGreaterThan(limits.outboxStallBytes);
    wire.resume();
    await record.until('every answer', () => record.messages.length === requests);
    expect(served).toBe(requests);
    expect(drains).toBeGreaterThan(0);
  });
});
