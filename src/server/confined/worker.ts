import { Socket } from 'node:net';
import { ripgrepFinder } from '../../file-system/search/ripgrep.ts';
import { systemError } from '../../file-system/file-error.ts';
import { Unseen } from '../../file-system/unseen.ts';
import { RpcError } from '../../protocol/errors.ts';
import { limitSettings } from '../../protocol/limit-settings.ts';
import { limits } from '../../protocol/limits.ts';
import { LineTransport } from '../../rpc/line-transport.ts';
import { Peer, type RequestContext } from '../../rpc/peer.ts';
import { ConnectionFiles } from '../connection-files.ts';
import type { FileContext, FileHandlers, FileMethod } from '../handlers.ts';
import { fileHandlers } from '../handlers/file-system.ts';
import type { Streams } from '../streams.ts';
import { carried } from './carried-params.ts';
import { isConfinedMethod, requestPaths } from './request-paths.ts';
import { readWorkerOptions, workerRuns } from './worker-options.ts';

/**
 * A worker: the files of an executor, for the requests of one connection with one sandbox, in which this process runs. It speaks the
 * protocol of clients on its standard streams, without handshake, and ends with them.
 */
const options = readWorkerOptions(process.argv[2] ?? '');
const ripgrep = ripgrepFinder(options.ripgrep ?? 'off', undefined);
const own = limitSettings();
const files = new ConnectionFiles(new Unseen(options.unseen));

/** Loaded when they are needed, because they cost more than the start of everything else. */
const loaders: readonly (readonly [prefix: RegExp, load: () => Promise<Partial<FileHandlers>>])[] = [
  [
    /^fs\/(glob|grep|cancelSearch)$/,
    once(async () => (await import('../handlers/search.ts')).searchHandlers(ripgrep)),
  ],
  [/^fs\/(watch|unwatch)$/, once(async () => (await import('../handlers/watch.ts')).watchHandlers)],
  [
    /^(stream\/|fs\/(download|upload|archive|manifest|extract)$)/,
    once(async () => {
      const [{ transferHandlers }, { Streams: Opened }] = await Promise.all([
        import('../handlers/transfer.ts'),
        import('../streams.ts'),
      ]);
      streams = new Opened(peer);
      return transferHandlers;
    }),
  ],
  [/^fs\//, once(async () => fileHandlers)],
];

const transport = new LineTransport(
  new Socket({ fd: 0, readable: true, writable: false }),
  new Socket({ fd: 1, readable: false, writable: true }),
  limits.fileWorkerMessageBytes,
);
const peer = new Peer(transport, {
  onRequest: (method, params, request) => serve(method as FileMethod, params, request),
  onNotification: () => {},
  onDrain: () => streams?.resume(),
  onClose: () => void end(),
  onInternalError: (error) =>
    void process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`),
});
let streams: Streams | undefined;
peer.notify(workerRuns, {});

/** Whoever comes later starts later, however long a look at a path takes: a cancel must not overtake what it cancels. */
let turn: Promise<unknown> = Promise.resolve();

async function serve(method: FileMethod, params: unknown, request: RequestContext): Promise<unknown> {
  const decoded = carried(params) as object;
  const prepared = turn.then(async () => ({
    handlers: await loaders.find(([methods]) => methods.test(method))?.[1](),
    refusal: await unseenRefusal(method, decoded),
  }));
  turn = prepared.catch(() => {});
  const { handlers, refusal } = await prepared;
  if (refusal !== undefined) {
    if (refusal instanceof RpcError) throw refusal;
    return refusal;
  }
  const handler = handlers?.[method] as ((params: object, context: FileContext) => unknown) | undefined;
  if (handler === undefined) throw new RpcError('methodNotFound', 'A worker has no such method.');
  return handler(decoded, {
    files,
    get streams() {
      if (streams === undefined) throw new Error('Only transfers have streams.');
      return streams;
    },
    notify: (name, event) => peer.notify(name, event),
    unsentBytes: () => peer.unsentBytes,
    limits: own,
    request,
  });
}

/** What is not to be seen is not there, and cannot be made. Answers an error, or the answer itself. */
async function unseenRefusal(method: FileMethod, params: object): Promise<RpcError | object | undefined> {
  if (files.unseen.isEmpty || method === 'fs/watchMissing' || !isConfinedMethod(method)) return undefined;
  for (const { path, intent, follow } of requestPaths(method, params)) {
    if (!(await files.unseen.covers(path, follow))) continue;
    if (intent === 'write') return systemError('EROFS');
    const isForced = 'force' in params && params.force === true;
    return intent === 'remove' && isForced ? {} : systemError('ENOENT');
  }
  return undefined;
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return async () => (loaded ??= load());
}

async function end(): Promise<void> {
  // What was not finished is given up, which removes what was written for it.
  await Promise.allSettled([files.dispose(), streams?.dispose()]);
  process.exit(0);
}
