import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import type { Load } from '../../src/server/exec-server.ts';
import { within } from './faults-proc.ts';

const program = fileURLToPath(new URL('chaos-executor-main.ts', import.meta.url));
const answerMs = 30_000;

/** What an executor holds. */
export interface Gauges extends Load {
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** By what they lead to. */
  readonly descriptors: Readonly<Record<string, number>>;
  /** What keeps its event loop alive, timers included, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** Of the event loop since the last time. */
  readonly lagP99Ms: number;
  readonly lagMostMs: number;
}

export interface GaugedExecutor extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  gauges(): Promise<Gauges>;
}

export interface GaugedOptions {
  readonly detachedSessionMs: number;
  readonly closedRetentionMs: number;
  /** Where it dials out to; it listens if absent. */
  readonly rendezvous?: {
    readonly url: string;
    readonly environmentId: string;
    readonly tokenFile: string;
  };
}

/** A real executor in a process of its own that tells what it holds. */
export async function startGaugedExecutor(options: GaugedOptions): Promise<GaugedExecutor> {
  const { rendezvous } = options;
  const args = [
    ...[options.detachedSessionMs, options.closedRetentionMs].map(String),
    ...(rendezvous === undefined ? [] : [rendezvous.url, rendezvous.environmentId, rendezvous.tokenFile]),
  ];
  const child: ChildProcess = fork(program, args, {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  const next = async (): Promise<unknown> => {
    const ended = exited.then(() => {
      throw new Error(`The executor has ended with ${child.exitCode ?? child.signalCode}.`);
    });
    ended.catch(() => {});
    const [message] = (await within(
      answerMs,
      'word of the executor',
      Promise.race([once(child, 'message'), ended]),
    )) as unknown[];
    return message;
  };
  const url = String(await next());
  return {
    url,
    pid: child.pid ?? 0,
    gauges: async () => {
      child.send('gauges');
      return (await next()) as Gauges;
    },
    [Symbol.asyncDispose]: async () => {
      child.disconnect();
      await within(answerMs, 'the end of the executor', exited);
      if (child.exitCode !== 0)
        throw new Error(`The executor ended with ${child.exitCode ?? child.signalCode}.`);
    },
  };
}

/** Waits until the executor holds nothing for anybody; and, where `before` is given, no handle and no timer that it did not hold then. */
export async function untilIdle(
  executor: GaugedExecutor,
  milliseconds: number,
  before?: Gauges,
): Promise<Gauges> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const gauges = await executor.gauges();
    const { connections, sessions, processes, resources, descriptors } = gauges;
    const isSame =
      before === undefined ||
      (isDeepStrictEqual(descriptors, before.descriptors) && isDeepStrictEqual(resources, before.resources));
    if (connections + sessions + processes === 0 && isSame) return gauges;
    if (performance.now() > end) {
      throw new Error(
        `The executor holds ${JSON.stringify(gauges)}, before it held ${JSON.stringify(before)}.`,
      );
    }
    await new Promise((resolve) => void setTimeout(resolve, 200));
  }
}
