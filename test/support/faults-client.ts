import { createHmac } from 'node:crypto';

import { WebSocket } from 'ws';
import type { WireError } from '../../src/protocol/errors.ts';
import type { Method, WireEvent, WireParams, WireResult } from '../../src/protocol/methods.ts';
import type { Executor } from './faults-executor.ts';
import { within } from './faults-proc.ts';
import { ProcessLog } from './faults-process-log.ts';

/** An answer takes milliseconds; the rest is for a loaded machine. */
const ANSWER_MS = 60_000;
const NEWLINE = 0x0a;

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** A pipe of messages that can stop reading. */
interface Wire {
  send(text: string): void;
  pause(): void;
  resume(): void;
  close(): void;
  readonly closed: Promise<Closed>;
}

/** The error of an answer. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  readonly data: unknown;

  constructor({ code, message, data }: WireError) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

interface Incoming {
  readonly id?: number | string;
  readonly result?: unknown;
  readonly error?: WireError;
  readonly method?: string;
  readonly params?: unknown;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A program that ends by itself, or not, with everything that has a default. */
export type StartParams = Pick<WireParams<'process/start'>, 'processId' | 'argv'> &
  Partial<WireParams<'process/start'>>;

/** A client without a mind of its own: it sends what it is told and writes down what comes. */
export class RawClient implements AsyncDisposable {
  readonly closed: Promise<Closed>;
  readonly #wire: Wire;
  readonly #waiting = new Map<number, Waiting>();
  readonly #logs = new Map<string, ProcessLog>();
  #nextId = 1;
  #sessionId = '';
  #sessionSecret = '';

  private constructor(open: (onMessage: (text: string) => void) => Wire) {
    this.#wire = open((text) => this.#receive(text));
    this.closed = this.#wire.closed;
    void this.closed.then(({ code, reason }) => {
      const error = new Error(`the connection closed with ${code} ${reason}`);
      for (const call of this.#waiting.values()) call.reject(error);
      for (const log of this.#logs.values()) log.lose(error);
    });
  }

  static async connect(url: string, resumeSessionId?: string): Promise<RawClient> {
    const webSocket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 0 });
    const client = new RawClient((onMessage) => webSocketWire(webSocket, onMessage));
    await within(
      ANSWER_MS,
      'the WebSocket',
      new Promise<void>((resolve, reject) => void webSocket.once('open', resolve).once('error', reject)),
    );
    return client.#handshake(resumeSessionId);
  }

  static async overStdio(executor: Executor): Promise<RawClient> {
    const client = new RawClient((onMessage) => lineWire(executor, onMessage));
    return client.#handshake(undefined);
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  async #handshake(resumeSessionId: string | undefined): Promise<this> {
    const params = { clientName: 'faults', ...(resumeSessionId === undefined ? {} : { resumeSessionId }) };
    ({ sessionId: this.#sessionId, sessionSecret: this.#sessionSecret = '' } = await this.request(
      'initialize',
      params,
    ));
    this.#wire.send('{"method":"initialized"}');
    return this;
  }

  async request<M extends Method>(
    method: M,
    params: WireParams<M>,
    milliseconds = ANSWER_MS,
  ): Promise<WireResult<M>> {
    return within(milliseconds, `the answer to ${method}`, this.post(method, params));
  }

  /** The same without a deadline, for answers that may be long in coming. */
  async post<M extends Method>(method: M, params: WireParams<M>): Promise<WireResult<M>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as WireResult<M>), reject });
      this.#wire.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Starts a program and writes down its events. */
  async start(params: StartParams, onOutput?: (bytes: number) => void): Promise<ProcessLog> {
    const log = new ProcessLog(params.processId, onOutput);
    this.#logs.set(params.processId, log);
    await this.request('process/start', { cwd: '/', env: { PATH: '/usr/bin:/bin' }, tty: false, ...params });
    return log;
  }

  /** Attaches to a process of another client's session, and writes down its events. */
  async attach(
    other: RawClient,
    processId: string,
    role: 'writer' | 'viewer',
    onOutput?: (bytes: number) => void,
  ): Promise<ProcessLog> {
    const log = new ProcessLog(processId, onOutput);
    this.#logs.set(processId, log);
    const key = createHmac('sha256', other.#sessionSecret)
      .update(`attach\n${role}\n${processId}`)
      .digest('base64url');
    await this.request('process/attach', { processId, sessionId: other.sessionId, role, key, afterSeq: 0 });
    return log;
  }

  /** The pid of a process that runs. */
  async pidOf(processId: string): Promise<number> {
    const { processes } = await this.request('process/list', {});
    const pid = processes.find((process) => process.processId === processId)?.pid;
    if (pid == null) throw new Error(`process/list has no pid of ${processId}`);
    return pid;
  }

  /** Stops reading. What the executor sends from now on fills the buffers of the kernel, and then the executor's. */
  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wire.close();
    await within(ANSWER_MS, 'the end of the connection', this.closed);
  }

  #receive(text: string): void {
    const message = JSON.parse(text) as Incoming;
    if (message.method !== undefined) return this.#event(message.method, message.params);
    const call = this.#waiting.get(Number(message.id));
    this.#waiting.delete(Number(message.id));
    if (message.error === undefined) call?.resolve(message.result);
    else call?.reject(new Refusal(message.error));
  }

  #event(method: string, params: unknown): void {
    const { processId } = params as { readonly processId?: string };
    const log = processId === undefined ? undefined : this.#logs.get(processId);
    switch (method) {
      case 'process/output':
        return log?.output(params as WireEvent<'process/output'>);
      case 'process/exited':
        return log?.exited(params as WireEvent<'process/exited'>);
      case 'process/gap':
        return log?.gap(params as WireEvent<'process/gap'>);
      case 'process/closed':
        return log?.end(params as WireEvent<'process/closed'>);
      default:
    }
  }
}

function webSocketWire(webSocket: WebSocket, onMessage: (text: string) => void): Wire {
  webSocket.on('message', (data: Buffer) => onMessage(data.toString()));
  webSocket.on('error', () => {});
  return {
    send: (text) => webSocket.send(text),
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    close: () => webSocket.terminate(),
    closed: new Promise((resolve) => {
      webSocket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    }),
  };
}

function lineWire({ child }: Executor, onMessage: (text: string) => void): Wire {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the executor was started without pipes');
  let parts: Buffer[] = [];
  stdout.on('data', (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...parts, chunk.subarray(start, end)]);
      parts = [];
      start = end + 1;
      onMessage(line.toString());
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  });
  stdin.on('error', () => {});
  return {
    send: (text) => void stdin.write(`${text}\n`),
    pause: () => void stdout.pause(),
    resume: () => void stdout.resume(),
    close: () => {
      stdin.end();
      stdout.resume();
    },
    closed: new Promise((resolve) => {
      stdout.once('close', () => resolve({ code: 0, reason: 'the executor has closed its output' }));
    }),
  };
}
