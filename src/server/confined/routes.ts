import { RpcError, invalidRequest } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { ConnectionFiles } from '../connection-files.ts';
import type { FileMethod } from '../handlers.ts';
import type { Streams } from '../streams.ts';
import type { FileWorker } from './file-worker.ts';
import type { WorkerSlot } from './file-workers.ts';

type Kind = 'handle' | 'stream' | 'search' | 'watch';

/** Something that a client has opened, or is opening, through a worker. */
export interface Route {
  readonly kind: Kind;
  readonly id: string;
  readonly openedBy: FileMethod;
  /** Resolves when the worker has been asked; to undefined where it never will be. */
  readonly asked: Promise<WorkerSlot | undefined>;
  readonly settle: (slot: WorkerSlot | undefined) => void;
  /** Who has it; undefined until it is open. */
  worker: FileWorker | undefined;
  /** Of a watch: the last that the client has had. */
  cursor: number;
}

const openers: { readonly [M in FileMethod]?: Kind } = {
  'fs/open': 'handle',
  'fs/download': 'stream',
  'fs/upload': 'stream',
  'fs/archive': 'stream',
  'fs/manifest': 'stream',
  'fs/extract': 'stream',
  'fs/glob': 'search',
  'fs/grep': 'search',
  'fs/watch': 'watch',
};

const followers: { readonly [M in FileMethod]?: Kind } = {
  'fs/readBlock': 'handle',
  'fs/writeBlock': 'handle',
  'fs/close': 'handle',
  'stream/credit': 'stream',
  'stream/write': 'stream',
  'stream/finish': 'stream',
  'stream/cancel': 'stream',
  'fs/cancelSearch': 'search',
  'fs/unwatch': 'watch',
};

/** After whose answer the id is free. */
export const enders: ReadonlySet<FileMethod> = new Set([
  'fs/close',
  'stream/finish',
  'stream/cancel',
  'fs/cancelSearch',
  'fs/unwatch',
] satisfies FileMethod[]);

const idNames = { handle: 'handleId', stream: 'streamId', search: 'searchId', watch: 'watchId' } as const;
const most = {
  handle: limits.fileHandles,
  stream: limits.streams,
  search: limits.searches,
  watch: limits.watches,
};

/** Which worker has what a connection has opened. An id is one thing on a connection, in the executor itself or in any of its workers. */
export class Routes {
  readonly #files: ConnectionFiles;
  readonly #streams: Streams;
  readonly #routes: Readonly<Record<Kind, Map<string, Route>>> = {
    handle: new Map(),
    stream: new Map(),
    search: new Map(),
    watch: new Map(),
  };

  constructor(files: ConnectionFiles, streams: Streams) {
    this.#files = files;
    this.#streams = streams;
  }

  /** What a request goes on with; undefined where it is none of a worker. */
  follow(method: FileMethod, params: object): Route | undefined {
    const kind = followers[method];
    return kind && this.get(kind, idOf(kind, params));
  }

  get(kind: Kind, id: string | undefined): Route | undefined {
    return id === undefined ? undefined : this.#routes[kind].get(id);
  }

  /** Refuses an id that is in use in a worker, and one thing too many. Before a request opens something, wherever. */
  check(method: FileMethod, params: object): void {
    const kind = openers[method];
    const id = kind && idOf(kind, params);
    if (kind === undefined || id === undefined) return;
    if (this.#routes[kind].has(id)) throw taken(kind, id);
    const own = this.#routes[kind].size;
    if (own > 0 && own + this.#direct(kind).size >= most[kind]) throw tooMany(kind);
  }

  /** Takes the id of what a request opens through a worker; undefined where it opens nothing. */
  reserve(method: FileMethod, params: object): Route | undefined {
    const kind = openers[method];
    const id = kind && idOf(kind, params);
    if (kind === undefined || id === undefined) return undefined;
    if (this.#direct(kind).has(id)) throw taken(kind, id);
    const asked = Promise.withResolvers<WorkerSlot | undefined>();
    const route: Route = {
      kind,
      id,
      openedBy: method,
      asked: asked.promise,
      settle: asked.resolve,
      worker: undefined,
      cursor: 0,
    };
    this.#routes[kind].set(id, route);
    return route;
  }

  /** Answers whether it was there. */
  drop(route: Route): boolean {
    route.settle(undefined);
    if (this.#routes[route.kind].get(route.id) !== route) return false;
    return this.#routes[route.kind].delete(route.id);
  }

  ofWorker(worker: FileWorker): Route[] {
    return Object.values(this.#routes).flatMap((routes) =>
      [...routes.values()].filter((route) => route.worker === worker),
    );
  }

  #direct(kind: Kind): { has(id: string): boolean; readonly size: number } {
    const { handles, searches, watches } = this.#files;
    return { handle: handles, stream: this.#streams, search: searches, watch: watches }[kind];
  }
}

function idOf(kind: Kind, params: object): string | undefined {
  const id = (params as Record<string, unknown>)[idNames[kind]];
  return typeof id === 'string' ? id : undefined;
}

function taken(kind: Kind, id: string): RpcError {
  const shown = id.slice(0, limits.handleIdBytes);
  return invalidRequest(
    {
      handle: `file handle \`${shown}\` already exists`,
      stream: 'A stream with this id is open.',
      search: 'A search with this searchId is running on this connection.',
      watch: `watch \`${id}\` already exists`,
    }[kind],
  );
}

function tooMany(kind: Kind): RpcError {
  const text = `at most ${most[kind]} ${kind === 'handle' ? 'file handles' : `${kind}s`} may be open per connection`;
  return kind === 'handle' ? invalidRequest(text) : new RpcError('overloaded', text);
}
