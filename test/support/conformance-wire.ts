import { randomUUID } from 'node:crypto';

import type { WireError } from '../../src/protocol/errors.ts';
import {
  type Event,
  type Method,
  type Result,
  type ServerNotification,
  type WireParams,
  requests,
  serverNotifications,
} from '../../src/protocol/methods.ts';
import type { OutputStream } from '../../src/protocol/process.ts';
import type { CloseReason, Transport } from '../../src/rpc/transport.ts';
import { ProcessView } from './conformance-view.ts';

/** Generous: it only passes when something that must happen does not. */
const deadlineMs = 40_000;
/** Characters of a message that an error text shows. */
const shownChars = 300;

export interface Answer {
  /** As it was written: an integer beyond 2^53 keeps its digits. */
  readonly id: string;
  readonly text: string;
  readonly result?: unknown;
  readonly error?: WireError;
  /** Its place among all messages of the connection. */
  readonly index: number;
}

export type WireStart = Partial<WireParams<'process/start'>> & { readonly argv: string[] };

interface Waiter {
  check(): void;
  abandon(reason: CloseReason): void;
}

/** Variables that a process gets where a test names none: a PATH, and the mark by which what is left behind is found. */
export interface WireDefaults {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * One side of a conversation as bare text, over any transport. It collects every message, and notes as a problem whatever breaks a
 * rule that holds for every message, whatever the test at hand looks at.
 */
export class WireClient implements AsyncDisposable {
  readonly transport: Transport;
  readonly texts: string[] = [];
  readonly answers: Answer[] = [];
  readonly problems: string[] = [];
  /** Methods that were sent, and notifications that came. */
  readonly covered = new Set<string>();
  readonly closed: Promise<CloseReason>;
  readonly #defaults: WireDefaults;
  readonly #byId = new Map<string, Answer[]>();
  readonly #processes = new Map<string, ProcessView>();
  readonly #startIds = new Map<string, string>();
  readonly #waiters = new Set<Waiter>();
  #sentRequests = 0;
  #nextId = 1;
  #closeReason: CloseReason | undefined;

  constructor(transport: Transport, defaults: WireDefaults) {
    this.transport = transport;
    this.#defaults = defaults;
    const gone = Promise.withResolvers<CloseReason>();
    this.closed = gone.promise;
    transport.attach({
      onMessage: (text) => this.#receive(text),
      onGarbage: (problem) => this.problems.push(`A message ${problem}.`),
      onDrain: () => {},
      onClose: (reason) => {
        this.#closeReason = reason;
        for (const waiter of this.#waiters) waiter.check();
        for (const waiter of this.#waiters) waiter.abandon(reason);
        gone.resolve(reason);
      },
    });
  }

  get closeReason(): CloseReason | undefined {
    return this.#closeReason;
  }

  send(text: string): void {
    const method = /"method"\s*:\s*("[^"]+")/.exec(text.slice(0, 400))?.[1];
    if (method !== undefined) this.covered.add(JSON.parse(method) as string);
    this.#sentRequests += 1;
    this.transport.send(text);
  }

  notify(method: string, params?: unknown): void {
    this.send(JSON.stringify({ method, params }));
  }

  /** Sends a text and waits for the answer with that id, which is given as it is written in JSON. */
  async ask(text: string, id: string): Promise<Answer> {
    const seen = this.#byId.get(id)?.length ?? 0;
    this.send(text);
    return this.waitFor(`the answer with id ${id}`, () => this.#byId.get(id)?.[seen]);
  }

  /** Sends a request at once; the promise is its answer, whatever it says. */
  async request(method: string, params?: unknown): Promise<Answer> {
    const id = this.#nextId++;
    if (method === 'process/start') {
      const { processId } = (params ?? {}) as { processId?: unknown };
      if (typeof processId === 'string') this.#startIds.set(String(id), processId);
    }
    return this.ask(JSON.stringify({ id, method, params }), String(id));
  }

  /** A request that succeeds. Its result has the shape that the protocol's table says. */
  async call<M extends Method>(method: M, params?: WireParams<M>): Promise<Result<M>> {
    const answer = await this.request(method, params);
    if (answer.error !== undefined) throw new Error(`${method} was refused: ${answer.text}`);
    return requests[method].result.parse(answer.result) as Result<M>;
  }

  /** A request that fails. */
  async refused(method: string, params?: unknown): Promise<WireError> {
    const answer = await this.request(method, params);
    if (answer.error === undefined)
      throw new Error(`${method} was not refused: ${answer.text.slice(0, shownChars)}`);
    return answer.error;
  }

  async handshake(resumeSessionId?: string): Promise<Result<'initialize'>> {
    const result = await this.call('initialize', { clientName: 'conformance', resumeSessionId });
    this.notify('initialized');
    return result;
  }

  /** Complete parameters of a start that names only what the test is about. */
  startParams(start: WireStart): WireParams<'process/start'> {
    return {
      processId: randomUUID(),
      tty: false,
      ...this.#defaults,
      env: { ...this.#defaults.env },
      ...start,
    };
  }

  async start(start: WireStart): Promise<ProcessView> {
    const params = this.startParams(start);
    await this.call('process/start', params);
    return this.process(params.processId);
  }

  async shell(script: string, start: Partial<WireStart> = {}): Promise<ProcessView> {
    return this.start({ ...start, argv: ['/bin/sh', '-c', script] });
  }

  /** Starts it and waits for its end. */
  async run(start: WireStart): Promise<ProcessView> {
    return this.end(await this.start(start));
  }

  async runShell(script: string, start: Partial<WireStart> = {}): Promise<ProcessView> {
    return this.end(await this.shell(script, start));
  }

  process(id: string): ProcessView {
    const known = this.#processes.get(id) ?? new ProcessView(id);
    this.#processes.set(id, known);
    return known;
  }

  async end(view: ProcessView): Promise<ProcessView> {
    await this.waitFor(`process/closed of ${view.id}`, () => view.closed);
    return view;
  }

  async exit(view: ProcessView): Promise<Event<'process/exited'>> {
    return this.waitFor(`process/exited of ${view.id}`, () => view.exited);
  }

  /** Waits until the stream matches, and answers the match. */
  async output(view: ProcessView, stream: OutputStream, pattern: RegExp | string): Promise<RegExpMatchArray> {
    const wanted = typeof pattern === 'string' ? new RegExp(escapeRegExp(pattern)) : pattern;
    return this.waitFor(`${stream} of ${view.id} with ${wanted}`, () => wanted.exec(view.text(stream)));
  }

  /** What `probe` answers, as soon as it answers something. It is asked again after each message. */
  async waitFor<T>(what: string, probe: () => T | null | undefined): Promise<T> {
    const now = probe();
    if (now !== null && now !== undefined) return now;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const fail = (why: string): void => {
        settle();
        const last = this.texts.slice(-4).map((text) => text.slice(0, shownChars));
        reject(new Error(`${why} while waiting for ${what}; the last messages:\n${last.join('\n')}`));
      };
      const waiter: Waiter = {
        check: () => {
          const value = probe();
          if (value === null || value === undefined) return;
          settle();
          resolve(value);
        },
        abandon: (reason) => fail(`the connection ended (${reason.kind}: ${reason.message})`),
      };
      const timer = setTimeout(() => fail(`${deadlineMs} ms passed`), deadlineMs);
      this.#waiters.add(waiter);
      if (this.#closeReason !== undefined) waiter.abandon(this.#closeReason);
    });
  }

  /** Waits until the other side has ended the connection. */
  async ended(): Promise<CloseReason> {
    return this.waitFor('the end of the connection', () => this.#closeReason);
  }

  /** Everything that was wrong, of the connection and of each process. */
  allProblems(): string[] {
    const ofProcesses = [...this.#processes.values()].flatMap((view) =>
      view.problems.map((problem) => `process ${view.id.slice(0, 64)}: ${problem}`),
    );
    return [...this.problems, ...ofProcesses];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.transport.resume();
    this.transport.close({ kind: 'normal', message: 'the test is done' });
    await this.closed;
  }

  #receive(text: string): void {
    const index = this.texts.push(text) - 1;
    const message = JSON.parse(text) as Record<string, unknown>;
    if ('method' in message) this.#notified(message, text);
    else this.#answered(message, text, index);
    for (const waiter of this.#waiters) waiter.check();
  }

  #answered(message: Record<string, unknown>, text: string, index: number): void {
    const keys = Object.keys(message).sort().join();
    if (keys !== 'id,result' && keys !== 'error,id')
      this.problems.push(`An answer has the members ${keys}: ${text.slice(0, shownChars)}`);
    const id = idText(message['id'], text);
    const answer: Answer = {
      id,
      text,
      index,
      ...('result' in message && { result: message['result'] }),
      ...('error' in message && { error: checkError(message['error'], this.problems) }),
    };
    this.answers.push(answer);
    if (this.answers.length > this.#sentRequests) this.problems.push(`An answer to nothing: ${text}`);
    const same = this.#byId.get(id) ?? [];
    same.push(answer);
    this.#byId.set(id, same);
    const started = this.#startIds.get(id);
    if (started === undefined || answer.error !== undefined) return;
    // The id was free again: this is another process.
    if (this.process(started).closed !== undefined) this.#processes.delete(started);
    const view = this.process(started);
    if (view.firstSeq !== undefined) view.problems.push('An event came before the answer to the start.');
    view.started = true;
  }

  #notified(message: Record<string, unknown>, text: string): void {
    const method = message['method'] as ServerNotification;
    if (Object.keys(message).sort().join() !== 'method,params')
      this.problems.push(`A notification has other members: ${text.slice(0, shownChars)}`);
    if (!Object.hasOwn(serverNotifications, method)) {
      this.problems.push(`An unknown notification: ${text.slice(0, shownChars)}`);
      return;
    }
    this.covered.add(method);
    const decoded = serverNotifications[method].params.safeParse(message['params']);
    if (!decoded.success) {
      this.problems.push(`A malformed notification: ${text.slice(0, shownChars)}`);
      return;
    }
    const event = decoded.data as Event<ServerNotification>;
    if (!('processId' in event)) return;
    const view = this.process(event.processId);
    if (method === 'process/output') view.output(event as Event<'process/output'>);
    else if (method === 'process/exited') view.exit(event as Event<'process/exited'>);
    else if (method === 'process/closed') view.close(event as Event<'process/closed'>);
    else if (method === 'process/gap') view.gap(event as Event<'process/gap'>);
  }
}

export function base64(data: string | Uint8Array): string {
  return Buffer.from(data as Uint8Array).toString('base64');
}

function checkError(value: unknown, problems: string[]): WireError {
  const error = value as WireError;
  const members = Object.keys(error).filter((key) => !['code', 'message', 'data'].includes(key));
  if (members.length > 0 || !Number.isInteger(error.code) || typeof error.message !== 'string')
    problems.push(`A malformed error: ${JSON.stringify(value)}`);
  return error;
}

/** The id as it was written. */
function idText(id: unknown, text: string): string {
  if (typeof id !== 'number' || Number.isSafeInteger(id)) return JSON.stringify(id);
  let source = '';
  JSON.parse(text, function (this: unknown, key: string, value: unknown, context?: { source?: string }) {
    if (key === 'id') source = context?.source ?? '';
    return value;
  } as (key: string, value: unknown) => unknown);
  return source;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
