import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';

import { openRelayStream } from '../../../src/relay/open-stream.ts';
import { RelayStreams } from '../../../src/relay/relay-streams.ts';
import type { RelayTiming } from '../../../src/relay/timing.ts';
import type { CloseReason, Transport } from '../../../src/rpc/transport.ts';
import { MemoryRoad, type RoadFaults, noFaults } from '../../support/relay-road.ts';
import { Random } from '../../support/unit-random.ts';
import { expectSoon } from '../../support/unit-wait.ts';

/** Short enough for hundreds of runs, and long enough for a busy machine. */
const quick: RelayTiming = {
  ackDelayMs: 3,
  resend: { firstMs: 40, leastMs: 20, mostMs: 200 },
  heartbeatMs: 500,
  silentHeartbeats: 20,
  closeMs: 2000,
};

const rough: RoadFaults = { drop: 40, repeat: 40, delay: 80, cut: 8, until: 1500 };

/** One end with what it has received, and what it still has to send. */
interface End {
  readonly transport: Transport;
  readonly hash: ReturnType<typeof createHash>;
  received: number;
  readonly closed: Promise<CloseReason>;
  readonly all: Promise<void>;
}

function receive(transport: Transport, count: number, chance: Random): End {
  const closed = Promise.withResolvers<CloseReason>();
  const all = Promise.withResolvers<void>();
  const hash = createHash('sha256');
  const end: End = { transport, hash, received: 0, closed: closed.promise, all: all.promise };
  transport.attach({
    onMessage: (text) => {
      end.received += 1;
      hash.update(text);
      if (end.received === count) all.resolve();
      // A reader that is busy now and then.
      if (chance.below(20) > 0) return;
      transport.pause();
      setTimeout(() => transport.resume(), chance.below(4));
    },
    onGarbage: (problem) => all.reject(new Error(problem)),
    onDrain: () => {},
    onClose: (reason) => closed.resolve(reason),
  });
  return end;
}

function messages(chance: Random, count: number): string[] {
  return Array.from({ length: count }, (_, number) => {
    const size = chance.below(25) === 0 ? chance.below(400_000) : chance.below(300);
    return `${number}:${'ä'.repeat(chance.below(3))}${'x'.repeat(size)}`;
  });
}

async function run(seed: number, faults: RoadFaults): Promise<MemoryRoad> {
  const chance = new Random(seed);
  const road = new MemoryRoad(chance, faults);
  const counts = { up: 20 + chance.below(80), down: 20 + chance.below(80) };
  const opened = Promise.withResolvers<End>();
  const streams = new RelayStreams({
    timing: quick,
    onStream: (transport) => opened.resolve(receive(transport, counts.up, chance)),
  });
  const over = new AbortController();
  const served = (async () => {
    while (!over.signal.aborted) await streams.serve(road.dialExecutor());
  })();
  const transport = await openRelayStream(
    { dial: async () => road.dialOrchestrator(), timing: quick },
    new AbortController().signal,
  );
  const near = receive(transport, counts.down, chance);
  const sendAll = async (end: End, texts: readonly string[]): Promise<string> => {
    const hash = createHash('sha256');
    for (const text of texts) {
      hash.update(text);
      end.transport.send(text);
      if (chance.below(6) === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    return hash.digest('hex');
  };
  const up = await sendAll(near, messages(chance, counts.up));
  const far = await opened.promise;
  const down = await sendAll(far, messages(chance, counts.down));
  const early = Promise.race([near.closed, far.closed]).then((reason) => {
    throw new Error(`A stream of seed ${seed} has ended (${reason.kind}): ${reason.message}`);
  });
  await expectSoon(`all messages of seed ${seed}`, Promise.race([early, Promise.all([near.all, far.all])]));
  expect([far.hash.digest('hex'), near.hash.digest('hex')]).toEqual([up, down]);
  near.transport.close({ kind: 'normal', message: 'the client is done' });
  await near.closed;
  over.abort();
  streams.close({ kind: 'goingAway', message: 'the test is over' });
  await far.closed;
  await served;
  expect([near.received, far.received]).toEqual([counts.down, counts.up]);
  expect([streams.size, road.legs]).toEqual([0, 0]);
  return road;
}

describe('relay streams', () => {
  test('carry everything over a road without faults', async () => {
    await run(1, noFaults);
  });

  test(
    'carry everything once and in order over 200 roads with every fault',
    { timeout: 120_000 },
    async () => {
      const total = { drop: 0, repeat: 0, delay: 0, cut: 0 };
      const seeds = Array.from({ length: 200 }, (_, index) => index + 1);
      const lane = async (): Promise<void> => {
        for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
          const { happened } = await run(seed, rough);
          for (const kind of Object.keys(total) as (keyof typeof total)[]) total[kind] += happened[kind];
        }
      };
      await Promise.all(Array.from({ length: 20 }, lane));
      for (const count of Object.values(total)) expect(count).toBeGreaterThan(100);
    },
  );
});
