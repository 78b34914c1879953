import { once } from 'node:events';
import { type Server, type Socket, createServer } from 'node:net';
import { gzipSync } from 'node:zlib';

import { eventually } from './conformance-leftovers.ts';
import { portOf } from './reference.ts';
import { numbered } from './transfer-view.ts';

/** One request as the origin has read it. */
export interface SeenRequest {
  /** The first line and the header, as they came. */
  readonly head: readonly string[];
  readonly method: string;
  readonly path: string;
  /** In lower case; the last one of a name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

type Answer = (socket: Socket, request: SeenRequest, origin: Origin) => void;

const crlf = '\r\n';

function text(status: string, headers: readonly string[], body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body);
  const head = [
    `HTTP/1.1 ${status}`,
    ...headers,
    'connection: close',
    `content-length: ${bytes.length}`,
    '',
    '',
  ].join(crlf);
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes]);
}

const plain =
  (status: string, headers: readonly string[], body?: string | Buffer): Answer =>
  (socket) =>
    void socket.end(text(status, headers, body));

const raw =
  (...parts: readonly (string | Buffer)[]): Answer =>
  (socket) => {
    for (const part of parts) socket.write(part);
    socket.end();
  };

/** What each path answers; what it does with the connection is part of the answer. */
const answers: Readonly<Record<string, Answer>> = {
  '/plain': plain('200 OK', ['content-type: text/plain'], 'content'),
  '/empty': plain('200 OK', []),
  '/no-content': raw('HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n'),
  '/not-modified': raw('HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n'),
  '/duplicates': plain('200 OK', ['Set-Cookie: a=1', 'X-One: 1', 'set-cookie: b=2', 'X-One: 2'], 'ok'),
  '/latin1': plain('200 OK', ['x-bad: caf\u00e9', 'x-good: cafe'], 'ok'),
  '/gzip': plain('200 OK', ['content-encoding: gzip'], gzipSync('unpacked')),
  '/chunked': raw(
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n',
    '4\r\none \r\n3\r\ntwo\r\n',
    '0\r\nX-Sum: 7\r\n\r\n',
  ),
  '/until-close': raw('HTTP/1.1 200 OK\r\n\r\n', 'until the end'),
  '/early-hints': raw(
    'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
  ),
  '/truncated': raw('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!'),
  '/truncated-chunk': raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfive!\r\n'),
  '/garbage': raw('this is no HTTP\r\n\r\n'),
  '/nothing': (socket) => void socket.end(),
  '/large-header': plain('200 OK', [`x-large: ${'x'.repeat(300 * 1024)}`], 'ok'),
  '/hang': () => {},
  '/hang-body': (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!'),
  '/reset': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!', () => resetSoon(socket));
  },
  '/reset-until-close': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\nfive!', () => resetSoon(socket));
  },
  '/reset-at-once': (socket) => void socket.resetAndDestroy(),
  '/slow': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    let left = 5;
    const timer = setInterval(() => {
      socket.write(`1\r\n${left}\r\n`);
      if (--left > 0) return;
      clearInterval(timer);
      socket.end('0\r\n\r\n');
    }, 20);
  },
  '/echo': (socket, { head, body }) =>
    void socket.end(
      text('200 OK', ['content-type: application/json'], JSON.stringify({ head, body: body.toString() })),
    ),
  // The test writes the rest.
  '/held': (socket, _request, origin) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    origin.held.push(socket);
  },
  // These two are answered, or not, before the body has come.
  '/early': plain('413 Too Large', [], 'enough'),
  '/no-read': (socket) => void socket.pause(),
  '/loop': plain('302 Found', ['location: /loop']),
  '/to-ftp': plain('302 Found', ['location: ftp://127.0.0.1/x'], 'elsewhere'),
  '/to-file': plain('302 Found', ['location: file:///etc/passwd'], 'elsewhere'),
  '/to-nowhere': plain('302 Found', [], 'no location'),
  '/to-invalid': plain('302 Found', ['location: http://[x'], 'bad location'),
};

/** Waits for a condition that no event tells. */
export async function until(what: string, probe: () => boolean | Promise<boolean>): Promise<void> {
  await eventually(what, async () => ((await probe()) ? true : undefined));
}

const partBytes = 64 * 1024;

/** What `/bytes/N` sends: it tells its place, so that a mix-up of two parts is seen. */
export function bytesOf(length: number): Buffer {
  return numbered(length);
}

/** The other side sees a reset only where it has read what came before. */
function resetSoon(socket: Socket): void {
  setTimeout(() => socket.resetAndDestroy(), 50);
}

/** An HTTP server that does what servers do and also what they should not. */
export class Origin implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** In the order in which they came. */
  readonly seen: SeenRequest[] = [];
  /** Connections whose answers the test writes. */
  readonly held: Socket[] = [];
  /** Bytes of `/bytes/N` that the connections have taken. */
  sentBytes = 0;

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      void this.#serve(socket);
    });
  }

  static async start(listen: { readonly path?: string; readonly host?: string } = {}): Promise<Origin> {
    const origin = new Origin();
    origin.#server.listen(
      listen.path === undefined ? { port: 0, host: listen.host ?? '127.0.0.1' } : { path: listen.path },
    );
    await once(origin.#server, 'listening');
    return origin;
  }

  get port(): number {
    return portOf(this.#server);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Reads again: who does not read does not hear of the end. */
  resume(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #sendBytes(socket: Socket, length: number): Promise<void> {
    socket.write(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n`);
    const all = bytesOf(length);
    for (let at = 0; at < length && !socket.destroyed; at += partBytes) {
      const part = all.subarray(at, at + partBytes);
      if (!socket.write(part)) {
        const ready = new AbortController();
        await Promise.race([
          once(socket, 'drain', { signal: ready.signal }),
          once(socket, 'close', { signal: ready.signal }),
        ]).catch(() => {});
        ready.abort();
      }
      this.sentBytes += part.length;
    }
    socket.end();
  }

  async #serve(socket: Socket): Promise<void> {
    const request = await readRequest(socket);
    if (request === undefined) return void socket.destroy();
    this.seen.push(request);
    const [path = ''] = request.path.split('?');
    const [, status] = /^\/status\/(\d{3})$/.exec(path) ?? [];
    const [, code, target] = /^\/redirect\/(\d{3})\/(.*)$/.exec(path) ?? [];
    const answer =
      status !== undefined
        ? plain(`${status} Any`, [], `status ${status}`)
        : code !== undefined
          ? plain(`${code} Redirect`, [`location: ${decodeURIComponent(target ?? '')}`], 'moved')
          : answers[path];
    const [, length] = /^\/bytes\/(\d+)$/.exec(path) ?? [];
    if (length !== undefined) return this.#sendBytes(socket, Number(length));
    if (answer === undefined) return void socket.end(text('404 Not Found', [], 'no such path'));
    if (request.method === 'HEAD') return void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n');
    answer(socket, request, this);
  }
}

/** Undefined where the connection ended before. */
async function readRequest(socket: Socket): Promise<SeenRequest | undefined> {
  let bytes = Buffer.alloc(0);
  return new Promise((resolve) => {
    socket.on('close', () => resolve(undefined));
    socket.on('data', (part: Buffer) => {
      bytes = Buffer.concat([bytes, part]);
      // TLS, of which this server knows nothing.
      if (bytes[0] === 0x16) return void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = bytes.subarray(0, end).toString('latin1').split(crlf);
      const headers = new Map(
        head.slice(1).map((line) => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
      );
      const [method = '', path = ''] = head[0]?.split(' ') ?? [];
      const rest = /^\/(early|no-read)$/.test(path) ? Buffer.alloc(0) : bytes.subarray(end + 4);
      const body = /^\/(early|no-read)$/.test(path)
        ? rest
        : headers.get('transfer-encoding') === 'chunked'
          ? dechunk(rest)
          : whole(rest, headers.get('content-length'));
      if (body === undefined) return;
      socket.removeAllListeners('data');
      resolve({ head, method, path, headers, body });
    });
  });
}

function whole(bytes: Buffer, length = '0'): Buffer | undefined {
  return bytes.length >= Number(length) ? bytes.subarray(0, Number(length)) : undefined;
}

function dechunk(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const line = bytes.indexOf(crlf, at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, line).toString(), 16);
    if (bytes.length < line + 2 + size + 2) return undefined;
    if (size === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
