import type { ConnectionEvent, ConnectOptions } from '../../src/client/exec-client.ts';
import { type FrameFaults, type FrameProxy, startFrameProxy } from './chaos-frames.ts';
import { planFaults, startChaosProxy } from './chaos-proxy.ts';
import { connectPatiently, faultsOf, workThrough } from './chaos-run.ts';
import { Chance } from './faults-random.ts';
import type { TestRendezvous } from './rendezvous-process.ts';

/** Faults of the connections of one run at most; those of its frames come on top. */
const mostFaults = 8;
/** Bytes over which they are spread. */
const spread = { up: 500_000, down: 3_000_000 };
/** Of ten thousand frames of an orchestrator's leg. */
const ofFrames: FrameFaults = { drop: 40, repeat: 40, delay: 60, stall: 10, cut: 3 };
const callTimeoutMs = 30_000;

export const reconnectMs = 20_000;

/** Patient enough for streams to carry on, and quick to notice a connection that is dead. */
const options: ConnectOptions = {
  connectTimeoutMs: 3_000,
  callTimeoutMs,
  reconnectMs,
  pingIntervalMs: 1_000,
};

export interface LegsOutcome {
  readonly seed: number;
  /** Of connections, and of frames. */
  readonly faults: number;
  readonly frameFaults: number;
  /** Times that the client was told of a loss: streams could not carry on. */
  readonly losses: number;
}

/** One workload by way of a rendezvous, with the faults and sizes that the seed decides on the client's leg. */
export async function legsRun(
  rendezvous: TestRendezvous,
  environmentId: string,
  seed: number,
): Promise<LegsOutcome> {
  const chance = new Chance(seed, 100);
  const plan = planFaults(chance, chance.below(mostFaults + 1), spread);
  await using frames = await startFrameProxy(rendezvous.url, new Chance(seed, 101), ofFrames);
  await using proxy = await startChaosProxy(frames.url, { plan });
  const events: ConnectionEvent[] = [];
  const countOf = ({ happened }: FrameProxy): number =>
    Object.values(happened).reduce((sum, count) => sum + count, 0);
  try {
    const client = await connectPatiently(
      { rendezvous: proxy.url.replace('ws:', 'http:'), environmentId, token: rendezvous.token },
      { ...options, onConnection: (event) => events.push(event) },
      3 * mostFaults,
    );
    await workThrough(client, seed, events, callTimeoutMs);
    const losses = events.filter(({ kind }) => kind === 'disconnected').length;
    return { seed, faults: proxy.happened.length, frameFaults: countOf(frames), losses };
  } catch (error) {
    const told = events.map((event) =>
      event.kind === 'disconnected'
        ? `${event.kind} (${event.reason.kind}: ${event.reason.message})`
        : event.kind,
    );
    const happened = `${faultsOf(proxy)} and ${JSON.stringify(frames.happened)}`;
    throw new Error(`seed ${seed}, after ${happened}; told ${told.join(', ')}`, { cause: error });
  }
}
