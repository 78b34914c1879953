import type { Address } from '../../src/client/address.ts';
import { type ConnectionEvent, type ConnectOptions, ExecClient } from '../../src/client/exec-client.ts';
import { type ChaosProxy, planFaults, startChaosProxy } from './chaos-proxy.ts';
import { work } from './chaos-work.ts';
import { Chance } from './faults-random.ts';
import { within } from './faults-proc.ts';

/** Faults of one run at most. */
const mostFaults = 20;
/** Bytes over which they are spread: what a run sends anyway. */
const spread = { up: 500_000, down: 3_000_000 };
const callTimeoutMs = 20_000;
/** What a settled call may be late on a loaded machine. */
const slackMs = 5_000;
const runMs = 120_000;

export const reconnectMs = 15_000;

export interface ChaosOutcome {
  readonly seed: number;
  readonly faults: number;
  readonly connections: number;
  readonly calls: number;
}

/** One workload through one proxy, whose faults and sizes the seed decides. Throws with the seed when anything is not as it should be. */
export async function chaosRun(executorUrl: string, seed: number): Promise<ChaosOutcome> {
  const chance = new Chance(seed, 0);
  const plan = planFaults(chance, chance.below(mostFaults + 1), spread);
  await using proxy = await startChaosProxy(executorUrl, { plan });
  const events: ConnectionEvent[] = [];
  const options: ConnectOptions = {
    connectTimeoutMs: 2_000,
    callTimeoutMs,
    reconnectMs,
    pingIntervalMs: 150,
    onConnection: (event) => events.push(event),
  };
  try {
    const client = await connectPatiently({ url: proxy.url }, options, mostFaults);
    const calls = await workThrough(client, seed, events, callTimeoutMs);
    return { seed, faults: proxy.happened.length, connections: proxy.connections, calls };
  } catch (error) {
    const told = events.map((event) => event.kind);
    throw new Error(`seed ${seed}, after ${faultsOf(proxy)}; told ${told.join(', ')}`, { cause: error });
  }
}

/** The first connection is the application's to try again. */
export async function connectPatiently(
  address: Address,
  options: ConnectOptions,
  repeats: number,
): Promise<ExecClient> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ExecClient.connect(address, options);
    } catch (error) {
      if (attempt > repeats) throw error;
    }
  }
}

/** The workload of the seed, and then the close. No call may be late, no event out of order. Answers how many calls there were. */
export async function workThrough(
  client: ExecClient,
  seed: number,
  events: readonly ConnectionEvent[],
  timeoutMs: number,
): Promise<number> {
  const calls = watchCalls(client, timeoutMs);
  await within(
    runMs,
    'the run',
    work(client, (part) => new Chance(seed, part + 1)),
  );
  await client.close();
  calls.check();
  checkEvents(events);
  return calls.count();
}

/** For whoever looks at a run that has failed. */
export function faultsOf({ happened }: ChaosProxy): string {
  return happened.map(({ direction, after, fault }) => `${fault.kind} ${direction} ${after}`).join(', ');
}

/** Sees every call that the client makes for itself and for others: none is to be there after its deadline. */
function watchCalls(client: ExecClient, timeoutMs: number): { check(): void; count(): number } {
  const call = client.call.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const pending = new Map<number, string>();
  const late: string[] = [];
  let count = 0;
  const watched = async (...args: unknown[]): Promise<unknown> => {
    const [method, params, given] = args as [
      string,
      { waitMs?: number } | undefined,
      { timeoutMs?: number } | undefined,
    ];
    const number = count++;
    const begin = performance.now();
    pending.set(number, method);
    try {
      return await call(...args);
    } finally {
      pending.delete(number);
      const allowed = (given?.timeoutMs ?? timeoutMs) + (params?.waitMs ?? 0) + slackMs;
      const took = performance.now() - begin;
      if (took > allowed) late.push(`${method} took ${took.toFixed()} ms`);
    }
  };
  client.call = watched as typeof client.call;
  return {
    count: () => count,
    check: () => {
      if (pending.size > 0) throw new Error(`These calls never ended: ${[...pending.values()].join(', ')}`);
      if (late.length > 0) throw new Error(`These calls were late: ${late.join(', ')}`);
    },
  };
}

/** Each loss was told once, and each was followed by the way back. */
function checkEvents(events: readonly ConnectionEvent[]): void {
  for (const [index, event] of events.entries()) {
    const wanted = index % 2 === 0 ? 'disconnected' : 'reconnected';
    if (event.kind !== wanted) throw new Error(`Event ${index} is ${event.kind}.`);
  }
}

/** Several runs at a time, until all are done or one has failed. */
export async function chaosRuns(
  executorUrl: string,
  seeds: readonly number[],
  atATime: number,
): Promise<ChaosOutcome[]> {
  const left = [...seeds];
  const outcomes: ChaosOutcome[] = [];
  const lane = async (): Promise<void> => {
    for (let seed = left.shift(); seed !== undefined; seed = left.shift())
      outcomes.push(await chaosRun(executorUrl, seed));
  };
  await Promise.all(Array.from({ length: atATime }, lane));
  return outcomes;
}
