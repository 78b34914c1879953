import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, test } from 'vitest';

import type { WireParams } from '../../../src/protocol/methods.ts';
import { eventually } from '../../support/conformance-leftovers.ts';
import { type Target, type TestExecutor, finish } from '../../support/conformance-targets.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { openSession } from '../../support/files-session.ts';
import { WatchView, kernelWatches } from '../../support/watch-view.ts';
import { changeCases } from './cases-changes.ts';
import { lifeCases } from './cases-life.ts';

/** A rule of fs/watch. */
export interface WatchCase {
  readonly id: string;
  readonly title: string;
  run(context: WatchContext): Promise<void>;
}

type Options = Partial<WireParams<'fs/watch'>>;

let ids = 0;

/** What a case works with: a folder of its own with an empty `root`, and a session. Everything is closed behind it. */
export class WatchContext implements AsyncDisposable {
  readonly folder: string;
  readonly root: string;
  readonly client: WireClient;
  readonly #open: () => Promise<WireClient>;
  readonly #clients: WireClient[] = [];

  constructor(folder: string, client: WireClient, open: () => Promise<WireClient>) {
    this.folder = folder;
    this.root = path.join(folder, 'root');
    this.client = client;
    this.#open = open;
  }

  /** A path in the root. */
  at(...names: string[]): string {
    return path.join(this.root, ...names);
  }

  async write(name: string, content = ''): Promise<void> {
    await mkdir(path.dirname(this.at(name)), { recursive: true });
    await writeFile(this.at(name), content);
  }

  async folders(...names: string[]): Promise<void> {
    for (const name of names) await mkdir(this.at(name), { recursive: true });
  }

  /** Watches the root, or what is named. */
  async watch(options: Options = {}, client = this.client): Promise<WatchView> {
    const watchId = options.watchId ?? `watch ${++ids}`;
    const root = options.path ?? this.root;
    await client.call('fs/watch', { ...options, path: root, watchId });
    return new WatchView(client, watchId, root);
  }

  async unwatch(view: WatchView): Promise<void> {
    await view.client.call('fs/unwatch', { watchId: view.id });
  }

  async fence(view: WatchView): Promise<void> {
    await view.fence(async (name) => writeFile(this.at(name), ''));
  }

  /** A connection of its own. Over stdio also an executor of its own. */
  async open(): Promise<WireClient> {
    const client = await this.#open();
    this.#clients.push(client);
    return client;
  }

  /** Resolves when the executor has so many watches in the kernel; undefined: not even a descriptor. */
  async hasWatches(pid: string, count: number | undefined): Promise<void> {
    let seen: number | undefined;
    await eventually(`${count} watches of the kernel`, async () => {
      seen = await kernelWatches(pid);
      return seen === count ? true : undefined;
    }).catch((cause: unknown) => {
      throw new Error(`There are ${seen} watches of the kernel instead of ${count}.`, { cause });
    });
  }

  async pid(client = this.client): Promise<string> {
    return path.basename((await client.call('fs/canonicalize', { path: '/proc/self' })).path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Runs the cases over one kind of connection. */
export function watchSuite(target: Target): void {
  describe.skipIf(process.platform !== 'linux')(`fs/watch over ${target.name}`, () => {
    let executor: TestExecutor | undefined;
    beforeAll(async () => {
      executor = await target.start();
    });
    afterAll(async () => {
      await finish(target, executor);
    });
    for (const one of [...changeCases, ...lifeCases]) {
      test(`${one.id}: ${one.title}`, async () => {
        if (executor === undefined) throw new Error('The executor was not started.');
        const running = executor;
        const open = async (): Promise<WireClient> => openSession(await running.connect(), target.mark);
        await using client = await open();
        const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-watch-')));
        await using context = new WatchContext(folder, client, open);
        await mkdir(context.root);
        await one.run(context);
      });
    }
  });
}
