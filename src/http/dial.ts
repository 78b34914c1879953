import { lookup } from 'node:dns/promises';
import { type LookupFunction, type Socket, connect as connectSocket, isIP } from 'node:net';
import { type SecureContext, connect as connectTls } from 'node:tls';
import { limits } from '../protocol/limits.ts';
import type { EgressPolicy } from './egress.ts';
import { connectFailure, httpFailure, resolveFailure } from './failure.ts';

/** All addresses of a name. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

export interface DialTarget {
  /** As in a URL, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Whom to trust; undefined without TLS. */
  readonly tls: SecureContext | undefined;
  readonly unixSocket: Buffer | undefined;
}

export interface DialOptions {
  readonly egress: EgressPolicy;
  readonly resolve: Resolve;
  readonly signal: AbortSignal;
}

export interface Dialled {
  readonly socket: Socket;
  readonly dnsMs: number;
  readonly connectMs: number;
  readonly tlsMs?: number;
}

/**
 * Connects to where the egress policy permits. A name is resolved once, and only the addresses that were checked are dialled: a resolver
 * that says something else the next time is not asked.
 */
export async function dial(target: DialTarget, options: DialOptions): Promise<Dialled> {
  const { host, port, unixSocket } = target;
  const started = performance.now();
  const addresses = unixSocket === undefined ? await permittedAddresses(target, options) : [];
  const resolved = performance.now();
  const place = unixSocket === undefined ? `${host}:${port}` : 'the unix socket';
  if (unixSocket !== undefined && !options.egress.permitsUnixSockets()) {
    throw httpFailure('the egress policy of this executor permits no unix sockets');
  }
  const socket =
    unixSocket === undefined
      ? connectSocket({ host, port, lookup: answering(addresses), noDelay: true })
      : connectSocket({ path: socketPath(unixSocket) });
  try {
    await ready(socket, 'connect', options.signal);
    // What was dialled is asked once more, of the socket itself.
    const { remoteAddress, destroyed } = socket;
    if (destroyed) throw new Error('it was closed at once');
    if (unixSocket === undefined && !options.egress.permits(host, port, remoteAddress ?? '')) {
      throw denied(host, port);
    }
    const connected = performance.now();
    const timing = { dnsMs: resolved - started, connectMs: connected - resolved };
    if (target.tls === undefined) return { socket, ...timing };
    const secure = connectTls({
      socket,
      host,
      // Names only, says RFC 6066.
      servername: isIP(host) === 0 ? host.replace(/\.$/, '') : '',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
      secureContext: target.tls,
    });
    await ready(secure, 'secureConnect', options.signal);
    return { socket: secure, ...timing, tlsMs: performance.now() - connected };
  } catch (error) {
    socket.destroy();
    throw connectFailure(place, error);
  }
}

async function permittedAddresses(
  { host, port }: DialTarget,
  { egress, resolve, signal }: DialOptions,
): Promise<readonly string[]> {
  const all = isIP(host) === 0 ? await resolved(host, resolve, signal) : [host];
  const permitted = all.filter((address) => egress.permits(host, port, address));
  if (permitted.length === 0) throw denied(host, port);
  return permitted.slice(0, limits.httpAddresses);
}

/** The system's resolver cannot be interrupted, but nobody has to wait for it. */
async function resolved(host: string, resolve: Resolve, signal: AbortSignal): Promise<readonly string[]> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason as Error);
  if (signal.aborted) throw signal.reason;
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([
      resolve(host).catch((error: unknown) => {
        throw resolveFailure(host, error);
      }),
      aborted.promise,
    ]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function denied(host: string, port: number): Error {
  return httpFailure(`the egress policy of this executor does not permit ${host}:${port}`);
}

/** Stands in for the resolver: these are the addresses that were checked. */
function answering(addresses: readonly string[]): LookupFunction {
  return (_host, { all }, done) => {
    const list = addresses.map((address) => ({ address, family: isIP(address) }));
    const [first] = list;
    if (all === true || first === undefined) done(null, list);
    else done(null, first.address, first.family);
  };
}

/** Node takes the path of a socket as text only. */
function socketPath(bytes: Buffer): string {
  const path = bytes.toString();
  if (!Buffer.from(path).equals(bytes)) throw httpFailure('the path of the unix socket is not UTF-8');
  return path;
}

async function ready(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => void socket.destroy(signal.reason as Error);
    const closed = (): void => settle(() => reject(new Error('it was closed at once')));
    const settle = (end: () => void): void => {
      signal.removeEventListener('abort', abort);
      socket.off('close', closed);
      end();
    };
    signal.addEventListener('abort', abort);
    socket.once(event, () => settle(resolve));
    // Stays: a socket without a listener would end the executor with its error.
    socket.on('error', (error) => settle(() => reject(error)));
    socket.once('close', closed);
    if (signal.aborted) abort();
  });
}
