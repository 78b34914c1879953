import { randomUUID } from 'node:crypto';

import { ExecClient } from '../../src/client/exec-client.ts';
import { dialRendezvous } from '../../src/client/rendezvous.ts';
import type { RendezvousAddress } from '../../src/client/rendezvous-ticket.ts';
import { noFaults, startFrameProxy } from './chaos-frames.ts';
import { type ClientTarget, ownCapabilities } from './conformance-client-targets.ts';
import {
  type ExecutorChild,
  type ExecutorOptions,
  type Target,
  finish,
  flags,
  spawnExecutor,
} from './conformance-targets.ts';
import { Chance } from './faults-random.ts';
import { TestRendezvous } from './rendezvous-process.ts';

const connectMs = 30_000;

/** How executor and rendezvous speak to each other; the client speaks the same. */
export type Framing = 'relay' | 'direct';

/** An executor that has dialled out, and how it is reached. */
export interface DialledExecutor {
  readonly child: ExecutorChild;
  readonly address: RendezvousAddress;
  /** Tells it to end, as an operator does. */
  shutDown(): void;
  ended(): Promise<void>;
}

export async function startDialledExecutor(
  rendezvous: TestRendezvous,
  mark: string,
  options: ExecutorOptions = {},
  framing: Framing = 'relay',
): Promise<DialledExecutor> {
  const environmentId = `env-${randomUUID()}`;
  const child = spawnExecutor(
    ['--remote', rendezvous.url, '--environment-id', environmentId].concat(
      ['--remote-token-file', rendezvous.executorTokenFile, '--remote-transport', framing],
      flags(options),
    ),
    mark,
  );
  const said = await child.firstLine();
  if (said !== `registered ${environmentId} as ${said.split(' ').at(-1)}`)
    throw new Error(`The executor has said: ${said}`);
  let told = false;
  const shutDown = (): void => {
    // A second time would end it at once.
    if (!told) child.process.kill('SIGTERM');
    told = true;
  };
  return {
    child,
    address: { rendezvous: rendezvous.url, environmentId, token: rendezvous.token },
    shutDown,
    ended: async () => {
      shutDown();
      await child.expectExit();
    },
  };
}

/** One rendezvous for all executors of a test file: it is there as long as one of them. */
class SharedRendezvous {
  #users = 0;
  #rendezvous: Promise<TestRendezvous> | undefined;

  async enter(): Promise<TestRendezvous> {
    this.#users += 1;
    this.#rendezvous ??= TestRendezvous.start();
    return this.#rendezvous;
  }

  async leave(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    const rendezvous = await this.#rendezvous;
    this.#rendezvous = undefined;
    await rendezvous?.[Symbol.asyncDispose]();
  }
}

/** A real rendezvous between a real executor and the client. */
export function rendezvousTarget(): Target {
  const mark = randomUUID();
  const shared = new SharedRendezvous();
  return {
    name: 'rendezvous',
    sharesSessions: true,
    mark,
    start: async (options = {}) => {
      const executor = await startDialledExecutor(await shared.enter(), mark, options);
      return {
        shutDown: () => executor.shutDown(),
        connect: async () => dialRendezvous(executor.address, 0, AbortSignal.timeout(connectMs)),
        [Symbol.asyncDispose]: async () => {
          await executor.ended();
          await shared.leave();
        },
      };
    },
  };
}

export function rendezvousClientTarget(mark: string, framing: Framing): ClientTarget {
  return {
    name: `our executor over a rendezvous, ${framing}`,
    capabilities: ownCapabilities,
    start: async () => {
      const rendezvous = await TestRendezvous.start();
      const executor = await startDialledExecutor(rendezvous, mark, {}, framing);
      return {
        connect: async (options) => {
          const proxy = await startFrameProxy(rendezvous.url, new Chance(1, 0), noFaults);
          const address = { ...executor.address, rendezvous: proxy.url };
          const client = await ExecClient.connect(address, { reconnectMs: 0, ...options });
          void client.closed.then(async () => proxy[Symbol.asyncDispose]());
          return { client, lose: async () => proxy.cut() };
        },
        [Symbol.asyncDispose]: async () => {
          await finish({ mark }, { [Symbol.asyncDispose]: async () => executor.ended() });
          await rendezvous[Symbol.asyncDispose]();
        },
      };
    },
  };
}
