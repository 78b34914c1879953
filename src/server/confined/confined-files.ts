import { RpcError, invalidRequest } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { SandboxContext } from '../../protocol/sandbox.ts';
import type { Peer, RequestContext } from '../../rpc/peer.ts';
import { StalePlanError } from '../../sandbox/launch.ts';
import type { Plan } from '../../sandbox/plan.ts';
import type { Sandboxes } from '../../sandbox/sandboxes.ts';
import type { ConnectionFiles } from '../connection-files.ts';
import type { FileMethod } from '../handlers.ts';
import type { Streams } from '../streams.ts';
import { type Confinement, confinementOf } from './confinement.ts';
import { FileWorker } from './file-worker.ts';
import type { FileWorkers, WorkerSlot } from './file-workers.ts';
import { asMounted, explain, refuseDenied, refuseLifted, refuseUnseenRemoval } from './judgement.ts';
import { type ConfinedMethod, type RequestPath, isConfinedMethod, requestPaths } from './request-paths.ts';
import { Relay } from './relay.ts';
import { type Route, Routes, enders } from './routes.ts';

/** What all connections of an executor share. */
export interface ConfinedShared {
  readonly sandboxes: Sandboxes;
  readonly workers: FileWorkers;
  /** The executor's own TMPDIR. */
  readonly tmpdir: string | undefined;
  readonly ripgrep: () => Promise<string | undefined>;
}

type Call = (params: object) => unknown;

/**
 * The file operations of one connection: each is done by the executor itself, or by a worker in the sandbox that the request asks for.
 * Nothing that a request with an enforceable profile asks for is ever done here.
 */
export class ConfinedFiles {
  readonly #shared: ConfinedShared;
  readonly #files: ConnectionFiles;
  readonly #routes: Routes;
  readonly #relay: Relay;
  readonly #slots = new Map<FileWorker, WorkerSlot>();
  /** The worker that waits for a missing path. */
  #missing: { readonly slot: WorkerSlot; readonly id: number } | undefined;
  #disposed = false;

  constructor(shared: ConfinedShared, peer: Peer, files: ConnectionFiles, streams: Streams) {
    this.#shared = shared;
    this.#files = files;
    this.#routes = new Routes(files, streams);
    this.#relay = new Relay(peer, this.#routes, {
      onFree: (route) => this.#free(route),
      takeMissing: (id) => this.#takeMissing(id),
    });
  }

  /** Does what a request asks for. `direct`: does it without a sandbox; takes its id, if any, before it returns. */
  run(method: FileMethod, params: object, request: RequestContext, direct: Call): unknown {
    const route = this.#routes.follow(method, params);
    if (route !== undefined) return this.#follow(route, method, params, request, direct);
    if (!isConfinedMethod(method)) return direct(params);
    const { sandbox, ...rest } = params as { readonly sandbox?: SandboxContext | null };
    this.#routes.check(method, params);
    if (sandbox == null || sandbox.permissions.type !== 'managed') {
      if (method === 'fs/watchMissing') this.#dropMissing((params as { watchId: number }).watchId);
      return direct(rest);
    }
    return this.#confine(method, rest, sandbox, request, direct);
  }

  /** The connection takes more. */
  resume(): void {
    this.#relay.readOn();
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#shared.workers.endOwned(this);
  }

  async #confine(
    method: ConfinedMethod,
    params: object,
    sandbox: SandboxContext,
    request: RequestContext,
    direct: Call,
  ): Promise<unknown> {
    const route = this.#routes.reserve(method, params);
    const paths = requestPaths(method, params);
    try {
      for (let attempt = 1; ; attempt++) {
        const confinement = await confinementOf(sandbox, params, this.#shared);
        if (confinement === undefined) {
          if (route !== undefined) this.#routes.drop(route);
          return await direct(params);
        }
        try {
          return await this.#runIn(confinement, method, params, paths, route, request);
        } catch (error) {
          if (!(error instanceof StalePlanError)) throw error;
          if (attempt >= limits.sandboxAttempts)
            throw invalidRequest('The files that the sandbox is about change all the time; try again.');
        }
      }
    } catch (error) {
      if (route !== undefined) this.#close(route);
      throw error;
    }
  }

  async #runIn(
    { granted, plan, digest, lifted }: Confinement,
    method: ConfinedMethod,
    params: object,
    paths: readonly RequestPath[],
    route: Route | undefined,
    request: RequestContext,
  ): Promise<unknown> {
    const { workers } = this.#shared;
    const isLandlock = plan.enforcement.enforcer === 'landlock';
    await refuseUnseenRemoval(granted, paths);
    await (isLandlock ? refuseDenied(granted, paths) : refuseLifted(granted, paths, lifted));
    if (this.#disposed) throw invalidRequest('The connection has ended.');
    const slot = workers.take(this, digest, () => this.#start(plan));
    try {
      const worker = await this.#workerOf(slot);
      if (method === 'fs/watchMissing')
        return await this.#watchMissing(slot, worker, params as { watchId: number }, request);
      // Whatever else is about the same thing goes to the worker behind this.
      const answer = this.#relay.call(worker, method, params, request);
      route?.settle(slot);
      if (route?.kind === 'search') route.worker = worker;
      const result = await answer;
      if (route !== undefined && route.kind !== 'search') this.#opened(route, worker, slot);
      return result;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      throw await explain(isLandlock ? await asMounted(error, granted, paths) : error, granted, paths);
    } finally {
      if (route?.kind === 'search') this.#routes.drop(route);
      workers.giveBack(slot);
    }
  }

  async #workerOf(slot: WorkerSlot): Promise<FileWorker> {
    try {
      const worker = await slot.worker;
      this.#slots.set(worker, slot);
      if (worker.isOver) this.#ended(worker);
      return worker;
    } catch (error) {
      this.#shared.workers.forget(slot);
      throw error;
    }
  }

  async #start(plan: Plan): Promise<FileWorker> {
    return FileWorker.start(this.#shared.sandboxes, {
      plan,
      ripgrep: await this.#shared.ripgrep(),
      onNotification: (worker, method, params) => this.#relay.notify(worker, method, params),
      onDrain: (worker) => this.#relay.drained(worker),
      onEnd: (worker) => this.#ended(worker),
    });
  }

  #opened(route: Route, worker: FileWorker, slot: WorkerSlot): void {
    if (this.#routes.get(route.kind, route.id) !== route) return;
    this.#shared.workers.use(slot);
    route.worker = worker;
    if (worker.isOver) this.#relay.lost(route);
  }

  async #follow(
    route: Route,
    method: FileMethod,
    params: object,
    request: RequestContext,
    direct: Call,
  ): Promise<unknown> {
    const slot = await route.asked;
    if (slot === undefined) return direct(params);
    // The worker keeps the order, so the next one may have the id at once.
    if (method === 'fs/close') this.#close(route);
    this.#shared.workers.use(slot);
    try {
      return await this.#relay.call(await slot.worker, method, params, request);
    } finally {
      if (enders.has(method)) this.#close(route);
      this.#shared.workers.giveBack(slot);
    }
  }

  /** The id is free, wherever it was. */
  #close(route: Route): void {
    if (this.#routes.drop(route)) this.#free(route);
  }

  #free(route: Route): void {
    // Its request is all that uses the worker.
    if (route.kind === 'search') return;
    const slot = route.worker && this.#slots.get(route.worker);
    if (slot !== undefined) this.#shared.workers.giveBack(slot);
  }

  #ended(worker: FileWorker): void {
    const slot = this.#slots.get(worker);
    if (slot !== undefined) this.#shared.workers.forget(slot);
    this.#relay.ended(worker);
    if (this.#missing !== undefined && this.#missing.slot === slot) this.#relay.missingLost(this.#missing.id);
    this.#slots.delete(worker);
  }

  async #watchMissing(
    slot: WorkerSlot,
    worker: FileWorker,
    params: { readonly watchId: number },
    request: RequestContext,
  ): Promise<unknown> {
    if (!this.#files.claimMissing(params.watchId)) return { watching: false };
    this.#dropMissing(params.watchId);
    const missing = { slot, id: params.watchId };
    this.#missing = missing;
    this.#shared.workers.use(slot);
    try {
      const result = (await this.#relay.call(worker, 'fs/watchMissing', params, request)) as {
        watching: boolean;
      };
      if (!result.watching) this.#takeMissing(missing.id);
      return result;
    } catch (error) {
      this.#takeMissing(missing.id);
      throw error;
    }
  }

  /** Another one takes its place. */
  #dropMissing(id: number): void {
    const missing = this.#missing;
    if (missing === undefined || id <= missing.id) return;
    this.#takeMissing(missing.id);
    const none = { watchId: id, missing: [], present: null };
    void missing.slot.worker.then((worker) => worker.call('fs/watchMissing', none)).catch(() => {});
  }

  /** Answers whether it was the one that is waited for. */
  #takeMissing(id: number): boolean {
    const missing = this.#missing;
    if (missing?.id !== id) return false;
    this.#missing = undefined;
    this.#shared.workers.giveBack(missing.slot);
    return true;
  }
}
