import { type Server, type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { watchLiveness } from '../../../src/client/liveness.ts';
import { LineTransport } from '../../../src/rpc/line-transport.ts';
import { expectSoon } from '../../support/unit-wait.ts';

const intervalMs = 30;

let server: Server;
let near: LineTransport;
let far: Socket;

beforeEach(async () => {
  server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  [far] = (await once(server, 'connection')) as [Socket];
  far.on('error', () => {});
  near = new LineTransport(socket, socket);
  near.attach({ onMessage: () => {}, onGarbage: () => {}, onDrain: () => {}, onClose: () => {} });
});

afterEach(() => {
  near.close({ kind: 'lost', message: 'the test is done' });
  far.destroy();
  server.close();
});

describe('watchLiveness', () => {
  test('asks at each interval, and tells of two silent ones', async () => {
    let asked = 0;
    const silent = Promise.withResolvers<void>();
    const begin = performance.now();
    using _watch = watchLiveness(near, intervalMs, () => (asked += 1), silent.resolve);
    await expectSoon('the silence', silent.promise);
    expect(asked).toBe(1);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(2 * intervalMs - 5);
  });

  test('takes any byte for a sign, also one of a message that has not ended', async () => {
    let asked = 0;
    let silent = 0;
    const often = Promise.withResolvers<void>();
    const ask = (): void => {
      far.write('.');
      if (++asked === 6) often.resolve();
    };
    using _watch = watchLiveness(near, intervalMs, ask, () => (silent += 1));
    await expectSoon('the sixth question', often.promise);
    expect(silent).toBe(0);
  });

  test('asks no more when it is disposed', async () => {
    let asked = 0;
    const watch = watchLiveness(
      near,
      1,
      () => (asked += 1),
      () => {},
    );
    watch[Symbol.dispose]();
    await new Promise<void>((resolve) => void setTimeout(resolve, 5));
    expect(asked).toBe(0);
  });
});
