import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { memoryUsage } from 'node:process';

import { ownVariables } from '../../src/config.ts';
import { connectLocal } from '../../src/environments/local.ts';
import { ExecServer } from '../../src/server/exec-server.ts';
import { DialLoop } from '../../src/server/rendezvous/dial-loop.ts';
import { secureFrom } from '../../src/server/rendezvous/secure.ts';
import type { RendezvousSettings } from '../../src/server/rendezvous/settings.ts';
import { relayTiming } from '../../src/relay/timing.ts';
import { listenWebSocket } from '../../src/server/listen-websocket.ts';
import { tuneCollector } from '../../src/support/collector.ts';
import type { Gauges } from './chaos-executor.ts';

/*
 * A program: the executor with gauges. It listens, tells its URL over the channel to its parent, and answers each message there with what
 * it holds.
 */
const [detachedSessionMs, closedRetentionMs] = process.argv.slice(2, 4).map(Number);
const [registry, environmentId = '', tokenFile = ''] = process.argv.slice(4);
// As the command `serve` does.
tuneCollector();
const lag = monitorEventLoopDelay({ resolution: 1 });
lag.enable();

// What the first process of a program opens for good, it holds from here on.
{
  await using local = await connectLocal({ env: ownVariables() });
  await (
    await local.client.start({ argv: ['/bin/true'], cwd: '/' })
  ).closed;
}

// Room for what a program writes faster than its reader takes it: the limits have tests of their own.
const journalBytes = 4 * 1024 ** 3;
const server = new ExecServer({
  env: ownVariables(),
  detachedSessionMs,
  closedRetentionMs,
  journalDiskBytes: journalBytes,
  journalDiskTotalBytes: journalBytes,
  ...(registry !== undefined && { limits: { pingIntervalMs: 500 } }),
});
const place = registry === undefined ? await listen() : await dialOut(registry);

interface Place {
  readonly url: string;
  close(): Promise<unknown>;
}

async function listen(): Promise<Place> {
  return listenWebSocket(server, '127.0.0.1', 0);
}

/** Its waits are short, and it soon notices a dead socket: faults come quickly here. */
async function dialOut(url: string): Promise<Place> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = new AbortController();
  const settings: RendezvousSettings = {
    registry: url,
    endpoint: 'environment',
    id: environmentId,
    name: 'chaos',
    framings: ['relay_v1'],
    credential: { file: tokenFile },
    accountId: undefined,
    allowHttp: false,
  };
  const loop = new DialLoop(server, settings, {
    secure: () => secureFrom({}),
    onOnline: () => resolve(),
    waits: { firstMs: 50, mostMs: 500 },
    heldMs: 1,
    relayTiming: { ...relayTiming, heartbeatMs: 2_000 },
  });
  const running = loop.run(stop.signal);
  await Promise.race([promise, running]);
  return {
    url,
    close: async () => {
      stop.abort(new Error('the test is over'));
      return running;
    },
  };
}

function count(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** How many of each kind; the number of a pipe or socket says nothing. */
function descriptors(): Record<string, number> {
  const folder = '/proc/self/fd';
  const targets = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      // The one that has read the folder.
      return undefined;
    }
  });
  return count(
    targets.filter((target) => target !== undefined).map((target) => target.replace(/\[\d+\]/, '')),
  );
}

function residentBytes(): number {
  // With the garbage collected, where the parent lets it: what is left is held.
  globalThis.gc?.();
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]);
  return pages * 4096;
}

process.on('message', () => {
  const gauges: Gauges = {
    ...server.load,
    residentBytes: residentBytes(),
    heapBytes: memoryUsage().heapUsed,
    descriptors: descriptors(),
    resources: count(process.getActiveResourcesInfo()),
    lagP99Ms: lag.percentile(99) / 1e6,
    lagMostMs: lag.max / 1e6,
  };
  lag.reset();
  process.send?.(gauges);
});
process.on('disconnect', () => {
  void Promise.all([server.close(), place.close()]).then(() => process.exit(0));
});
// It looks at its host with a program of its own, which is not to be counted.
await server.ready;
process.send?.(place.url);
