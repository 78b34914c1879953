import { z } from 'zod';

import type { Call } from '../../src/client/call.ts';
import { dialWebSocket } from '../../src/client/dial.ts';
import { RemoteWatch } from '../../src/client/remote-watch.ts';
import { Changed } from '../../src/protocol/watch.ts';
import { requests } from '../../src/protocol/methods.ts';
import { Peer } from '../../src/rpc/peer.ts';
import { TreeModel } from './faults-tree-model.ts';
import { until, within } from './faults-proc.ts';

const CONNECT_MS = 30_000;
const CALL_MS = 60_000;

/** A client that keeps a model of a directory tree by what a watch tells, and lists the tree where it is told to. */
export class Watcher implements AsyncDisposable {
  readonly model: TreeModel;
  /** The reasons of the resyncs that came. */
  readonly resyncs: (string | undefined)[] = [];
  readonly #peer: Peer;
  readonly #watch: RemoteWatch;
  readonly #following: Promise<void>;

  private constructor(peer: Peer, watch: RemoteWatch, root: string, call: Call) {
    this.#peer = peer;
    this.#watch = watch;
    this.model = new TreeModel(root);
    this.#following = this.#follow(call);
    this.#following.catch(() => {});
  }

  static async open(url: string, root: string): Promise<Watcher> {
    const transport = await dialWebSocket(url, {}, AbortSignal.timeout(CONNECT_MS));
    let watch: RemoteWatch | undefined;
    const peer: Peer = new Peer(transport, {
      onRequest: () => null,
      onNotification: (method, params) => {
        if (method === 'fs/changed') watch?.receive(z.parse(Changed, params));
      },
      onClose: (reason) => watch?.fail(new Error(reason.message)),
      onInternalError: () => {},
    });
    const call = (async (method: keyof typeof requests, params: unknown) =>
      requests[method].result.parse(
        await within(CALL_MS, method, peer.call(method, params)),
      )) as unknown as Call;
    await call('initialize', { clientName: 'watcher' });
    peer.notify('initialized', {});
    watch = new RemoteWatch('w', call);
    await watch.open({ path: root });
    return new Watcher(peer, watch, root, call);
  }

  /** Resolves when the model is the disk, which nobody changes any more. */
  async agrees(milliseconds: number): Promise<void> {
    const agreed = until(
      milliseconds,
      () => this.model.differences().length === 0,
      () => `the model differs: ${this.model.differences().slice(0, 20).join(' ')}`,
    );
    await Promise.race([agreed, this.#following]);
    await agreed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch.close();
    this.#peer.close({ kind: 'normal', message: 'the test is done' });
    await within(CALL_MS, 'the end of the watch', this.#following);
  }

  /** What comes while the tree is listed waits, and is applied to the list. */
  async #follow(call: Call): Promise<void> {
    await this.#list(call);
    for await (const { changes, resync, reason } of this.#watch) {
      for (const change of changes) this.model.apply(change);
      if (!resync) continue;
      this.resyncs.push(reason);
      await this.#list(call);
    }
  }

  async #list(call: Call): Promise<void> {
    const options = {
      maxDepth: 64,
      maxDirectories: 10_000,
      maxEntries: 50_000,
      followDirectorySymlinks: false,
    };
    const { entries, truncated } = await call('fs/walk', { path: this.model.root, options });
    if (truncated) throw new Error('The tree is too large for fs/walk.');
    this.model.reset(entries);
  }
}
