import { ExecClient, type ConnectionEvent, type ConnectOptions } from '../../src/client/exec-client.ts';
import { type FrameFaults, type FrameProxy, startFrameProxy } from './chaos-frames.ts';
import { planFaults, startChaosProxy } from './chaos-proxy.ts';
import { checkEvents, watchCalls } from './chaos-run.ts';
import { work } from './chaos-work.ts';
import { within } from './faults-proc.ts';
import { Chance } from './faults-random.ts';
import type { TestRendezvous } from './rendezvous-process.ts';

/** Faults of the connections of one run at most; those of its frames come on top. */
const mostFaults = 8;
/** Bytes over which they are spread. */
const spread = { up: 500_000, down: 3_000_000 };
/** Of ten thousand frames of an orchestrator's leg. */
const ofFrames: FrameFaults = { drop: 40, repeat: 40, delay: 60, stall: 10, cut: 3 };
const callTimeoutMs = 30_000;
const runMs = 120_000;

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
  const faultsOf = ({ happened }: FrameProxy): number =>
    Object.values(happened).reduce((sum, count) => sum + count, 0);
  try {
    const client = await connect(
      { rendezvous: proxy.url.replace('ws:', 'http:'), environmentId, token: rendezvous.token },
      { ...options, onConnection: (event) => events.push(event) },
    );
    const calls = watchCalls(client, callTimeoutMs);
    await within(
      runMs,
      'the run',
      work(client, (part) => new Chance(seed, part + 1)),
    );
    await client.close();
    calls.check();
    checkEvents(events);
    const losses = events.filter(({ kind }) => kind === 'disconnected').length;
    return { seed, faults: proxy.happened.length, frameFaults: faultsOf(frames), losses };
  } catch (error) {
    const faults = proxy.happened.map(({ direction, after, fault }) => `${fault.kind} ${direction} ${after}`);
    const told = events.map((event) =>
      event.kind === 'disconnected'
        ? `${event.kind} (${event.reason.kind}: ${event.reason.message})`
        : event.kind,
    );
    const happened = `${faults.join(', ')} and ${JSON.stringify(frames.happened)}`;
    throw new Error(`seed ${seed}, after ${happened}; told ${told.join(', ')}`, { cause: error });
  }
}

/** The first connection is the application's to try again. */
async function connect(
  address: { rendezvous: string; environmentId: string; token: string },
  connectOptions: ConnectOptions,
): Promise<ExecClient> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ExecClient.connect(address, connectOptions);
    } catch (error) {
      if (attempt > 3 * mostFaults) throw error;
    }
  }
}
