import { latencies, milliseconds, type Sample } from '../stats.ts';
import { keepInFlight, WireClient } from '../wire-client.ts';
import type { Row, Subject } from './row.ts';

const SEQUENTIAL_CALLS = 300;
const PIPELINED_CALLS = 2_000;
/** The reference stops answering when a few hundred requests wait. */
const PIPELINE_DEPTH = 100;
const CONNECTIONS = 20;

export const roundTrip: Row = {
  name: 'rpc',
  title: `RPC round trip (environment/status, ${SEQUENTIAL_CALLS} in turn)`,
  servedByNull: true,
  run: async ({ url }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const times: number[] = [];
    for (let call = 0; call < SEQUENTIAL_CALLS; call += 1) {
      const before = performance.now();
      await client.call('environment/status');
      times.push(performance.now() - before);
    }
    return latencies(times);
  },
};

export const pipelined: Row = {
  name: 'pipelined',
  title: `RPC pipelined (${PIPELINED_CALLS} calls, ${PIPELINE_DEPTH} in flight)`,
  servedByNull: true,
  run: async ({ url }: Subject): Promise<readonly Sample[]> => {
    using client = await WireClient.open(url);
    const before = performance.now();
    await keepInFlight(PIPELINED_CALLS, PIPELINE_DEPTH, () => client.call('environment/status'));
    return [milliseconds('all', performance.now() - before)];
  },
};

export const connect: Row = {
  name: 'connect',
  title: `Connect + initialize + initialized (${CONNECTIONS} in turn)`,
  servedByNull: true,
  run: async ({ url }: Subject): Promise<readonly Sample[]> => {
    const times: number[] = [];
    for (let connection = 0; connection < CONNECTIONS; connection += 1) {
      const before = performance.now();
      using _client = await WireClient.open(url);
      times.push(performance.now() - before);
    }
    return latencies(times);
  },
};
