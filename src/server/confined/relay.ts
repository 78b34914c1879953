import { errorCodes } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { WireEvent } from '../../protocol/methods.ts';
import type { Peer, RequestContext } from '../../rpc/peer.ts';
import type { FileMethod } from '../handlers.ts';
import type { FileWorker } from './file-worker.ts';
import type { Route, Routes } from './routes.ts';

export interface RelayEvents {
  /** Something that a worker had open is over. */
  readonly onFree: (route: Route) => void;
  /** Answers whether the watch for a missing path has this id; it is over then. */
  readonly takeMissing: (id: number) => boolean;
}

/** Streams to the executor: their clients hear of an end by the answers to what they send. */
const takesBytes: ReadonlySet<FileMethod> = new Set(['fs/upload', 'fs/extract']);

/** Carries requests of a connection to its workers, and what they answer and tell back: neither faster than the other side takes it. */
export class Relay {
  readonly #peer: Peer;
  readonly #routes: Routes;
  readonly #events: RelayEvents;
  /** Workers that have been asked something. */
  readonly #workers = new Set<FileWorker>();
  /** Those that are behind with reading, each with what lets the client go on. */
  readonly #behind = new Map<FileWorker, () => void>();

  constructor(peer: Peer, routes: Routes, events: RelayEvents) {
    this.#peer = peer;
    this.#routes = routes;
    this.#events = events;
  }

  call(worker: FileWorker, method: FileMethod, params: object, request: RequestContext): Promise<unknown> {
    this.#workers.add(worker);
    request.afterReply(() => this.#throttle());
    const answer = worker.call(method, params);
    if (worker.unsentBytes > limits.outboxStallBytes && !this.#behind.has(worker))
      this.#behind.set(worker, this.#peer.hold());
    return answer;
  }

  /** Tells the client what a worker tells, as far as it is about something that the worker has open. */
  notify(worker: FileWorker, method: string, params: unknown): void {
    const { streamId, searchId, watchId, cursor, ended } = params as {
      readonly streamId?: string;
      readonly searchId?: string;
      readonly watchId?: string | number;
      readonly cursor?: number;
      readonly ended?: boolean;
    };
    const tell = (): void => this.#peer.notify(method, params as object);
    switch (method) {
      case 'stream/data':
      case 'stream/end':
      case 'stream/error': {
        const route = this.#routes.get('stream', streamId);
        if (route?.worker !== worker) return;
        tell();
        if (method !== 'stream/data') this.#over(route);
        break;
      }
      case 'fs/matches':
        if (this.#routes.get('search', searchId) === undefined) return;
        tell();
        break;
      case 'fs/changed': {
        const route = typeof watchId === 'string' ? this.#routes.get('watch', watchId) : undefined;
        if (route?.worker !== worker) return;
        route.cursor = cursor ?? route.cursor;
        tell();
        if (ended === true) this.#over(route);
        break;
      }
      case 'fs/missingChanged':
        if (typeof watchId === 'number' && this.#events.takeMissing(watchId)) tell();
        break;
      default:
        return;
    }
    this.#throttle();
  }

  /** The worker takes more. */
  drained(worker: FileWorker): void {
    if (worker.unsentBytes > limits.outboxHighBytes) return;
    this.#behind.get(worker)?.();
    this.#behind.delete(worker);
  }

  /** The client takes more. */
  readOn(): void {
    if (this.#peer.unsentBytes >= limits.outboxHighBytes) return;
    for (const worker of this.#workers) worker.setReading(true);
  }

  /** A worker is gone, and with it all that it had open. */
  ended(worker: FileWorker): void {
    this.#workers.delete(worker);
    this.#behind.get(worker)?.();
    this.#behind.delete(worker);
    for (const route of this.#routes.ofWorker(worker)) this.lost(route);
  }

  /** Tells the client that something which it has open is not there any more. */
  lost(route: Route): void {
    const message = 'The sandboxed worker that had this open has ended.';
    if (route.kind === 'watch') {
      const event: WireEvent<'fs/changed'> = {
        watchId: route.id,
        cursor: route.cursor + 1,
        changes: [],
        resync: true,
        ended: true,
        reason: 'worker',
        message,
      };
      this.#peer.notify('fs/changed', event);
    } else if (route.kind === 'stream' && !takesBytes.has(route.openedBy)) {
      const event: WireEvent<'stream/error'> = {
        streamId: route.id,
        code: errorCodes.internalError,
        message,
      };
      this.#peer.notify('stream/error', event);
    }
    this.#over(route);
  }

  /** Nobody looks any more: that something has changed makes the client look itself. */
  missingLost(id: number): void {
    if (this.#events.takeMissing(id)) this.#peer.notify('fs/missingChanged', { watchId: id });
  }

  #over(route: Route): void {
    if (this.#routes.drop(route)) this.#events.onFree(route);
  }

  #throttle(): void {
    if (this.#peer.unsentBytes < limits.outboxHighBytes) return;
    for (const worker of this.#workers) worker.setReading(false);
  }
}
