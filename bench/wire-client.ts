import { once } from 'node:events';
import { WebSocket } from 'ws';
import { ProcessRun, type ProcessEvent } from './process-run.ts';

export interface ProcessRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly tty?: boolean;
  readonly pipeStdin?: boolean;
  readonly sandbox?: object;
}

/** Of all results, the only members that a row looks at. */
interface Result {
  readonly chunk?: string;
  readonly status?: string | number;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: ProcessEvent;
  readonly result?: Result;
  readonly error?: { readonly code: number; readonly message: string };
}

interface Delta {
  readonly deltaBase64?: string;
  readonly done?: boolean;
  readonly error?: string | null;
}

/** The executor answered with an error. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: number;

  constructor(method: string, error: { readonly code: number; readonly message: string }) {
    super(`${method}: ${error.message} (${error.code})`);
    this.code = error.code;
  }
}

/** A connection serves one row of one round; the slowest takes about 3 s on two cores. */
const CONNECTION_DEADLINE_MS = 120_000;

/** Shorter messages are parsed at once. */
const POSTPONE_ABOVE_BYTES = 1_024;
/** How both executors begin an output; anything written differently is parsed at once as well. */
const OUTPUT_HEAD = /^\{"method":"process\/output","params":\{"processId":"([\w-]+)","seq":(\d+),/u;
const OUTPUT_HEAD_BYTES = 200;
const DELTA_HEAD = '{"method":"http/request/bodyDelta"';

/** One count for all connections: an id is then unique in every session. */
let lastProcess = 0;

/**
 * The wire protocol and nothing else: no retries, no validation, no queue. `ws` turns on TCP_NODELAY on its own.
 */
export class WireClient {
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, { method: string; settle: PromiseWithResolvers<Result> }>();
  readonly #runs = new Map<string, ProcessRun>();
  /** Of the one body that is streamed at a time. */
  #body: { readonly deltas: Buffer[]; readonly end: PromiseWithResolvers<void> } | undefined;
  readonly #deadline: NodeJS.Timeout;
  #lastId = 0;
  #failure: Error | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      if (!this.#keepDelta(data)) this.#receive(postpone(data) ?? JSON.parse(data.toString()));
    });
    socket.on('close', (code) => this.#fail(new Error(`the connection ended with ${code}`)));
    // `close` follows and tells the calls.
    socket.on('error', () => undefined);
    this.#deadline = setTimeout(() => {
      this.#fail(new Error(`no end within ${CONNECTION_DEADLINE_MS / 1000} s`));
      socket.terminate();
    }, CONNECTION_DEADLINE_MS);
  }

  /** Connects, initializes and tells so. Compression is not offered: early releases drop a client that does. */
  static async open(url: string): Promise<WireClient> {
    const socket = new WebSocket(url, { perMessageDeflate: false, generateMask });
    const client = new WireClient(socket);
    try {
      await once(socket, 'open');
      await client.call('initialize', { clientName: 'bench' });
      client.#send({ method: 'initialized', params: {} });
      return client;
    } catch (error) {
      client[Symbol.dispose]();
      throw error;
    }
  }

  call(method: string, params?: object): Promise<Result> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const settle = Promise.withResolvers<Result>();
    // A row that failed for another reason no longer waits for its calls: they must not end the benchmark.
    settle.promise.catch(() => undefined);
    this.#lastId += 1;
    this.#calls.set(this.#lastId, { method, settle });
    this.#send({ id: this.#lastId, method, params });
    return settle.promise;
  }

  /** Starts a process; the run knows it before the request leaves, because output may overtake the reply. */
  start(request: ProcessRequest): { id: string; run: ProcessRun; started: Promise<Result> } {
    lastProcess += 1;
    const id = `bench-${lastProcess}`;
    const run = new ProcessRun();
    this.#runs.set(id, run);
    const { argv, cwd, tty = false, pipeStdin = false, sandbox } = request;
    const env = { PATH: '/usr/bin:/bin' };
    const started = this.call('process/start', { processId: id, argv, cwd, env, tty, pipeStdin, sandbox });
    started.catch((error: Error) => run.fail(error));
    return { id, run, started };
  }

  /** Streams the body of an http/request. What is answered puts it together, which is not for the clock to count. */
  async stream(params: object): Promise<() => Buffer> {
    const body = { deltas: [] as Buffer[], end: Promise.withResolvers<void>() };
    body.end.promise.catch(() => undefined);
    this.#body = body;
    await this.call('http/request', { ...params, streamResponse: true });
    await body.end.promise;
    const bytes = (text: Buffer): Buffer => {
      const { deltaBase64 = '' } = (JSON.parse(text.toString()) as { params: Delta }).params;
      return Buffer.from(deltaBase64, 'base64');
    };
    return () => Buffer.concat(body.deltas.map(bytes));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#deadline);
    this.#socket.terminate();
  }

  #send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  /** Takes a delta of a body as it is. Only the last one, which is short, is read. */
  #keepDelta(data: Buffer): boolean {
    const body = this.#body;
    if (body === undefined || !data.toString('latin1', 0, DELTA_HEAD.length).startsWith(DELTA_HEAD))
      return false;
    body.deltas.push(data);
    if (data.length > POSTPONE_ABOVE_BYTES) return true;
    const { done, error } = (JSON.parse(data.toString()) as { params: Delta }).params;
    if (error != null) body.end.reject(new Error(`the body failed: ${error}`));
    else if (done === true) body.end.resolve();
    return true;
  }

  #receive(message: Message): void {
    const { id, method, params, error } = message;
    if (method !== undefined) {
      if (params !== undefined) this.#runs.get(params.processId)?.accept(method, params);
      return;
    }
    const call = id === undefined ? undefined : this.#calls.get(id);
    if (id === undefined || call === undefined) return;
    this.#calls.delete(id);
    if (error === undefined) call.settle.resolve(message.result ?? {});
    else call.settle.reject(new RpcError(call.method, error));
  }

  #fail(reason: Error): void {
    this.#failure ??= reason;
    for (const call of this.#calls.values()) call.settle.reject(reason);
    for (const run of this.#runs.values()) run.fail(reason);
    this.#body?.end.reject(reason);
    this.#calls.clear();
    this.#runs.clear();
  }
}

/** Calls `send` with 0 … total − 1, at most `limit` of them unanswered at any time. */
export async function keepInFlight(
  total: number,
  limit: number,
  send: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < total) {
      next += 1;
      await send(next - 1);
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
}

/** A mask of zeros is valid and changes nothing, so that `ws` does not rewrite each byte of a large frame. */
function generateMask(mask: Buffer): void {
  mask.fill(0);
}

/**
 * A long output needs nothing but its process and its number while the clock runs. Parsing all of it would more than
 * double the client's own time, on the cores that the executor computes on.
 */
function postpone(data: Buffer): Message | undefined {
  if (data.length <= POSTPONE_ABOVE_BYTES) return undefined;
  const [, processId, seq] = OUTPUT_HEAD.exec(data.toString('latin1', 0, OUTPUT_HEAD_BYTES)) ?? [];
  if (processId === undefined || seq === undefined) return undefined;
  return { method: 'process/output', params: { processId, seq: Number(seq), chunk: data } };
}
