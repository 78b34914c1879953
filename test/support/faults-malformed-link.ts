import { WebSocket } from 'ws';
import { within } from './faults-proc.ts';
import type { Malformed } from './faults-malformed.ts';

const OUTCOME_MS = 30_000;

interface Answer {
  readonly id?: number | string;
  readonly method?: string;
  readonly result?: { readonly sessionId?: string };
  readonly error?: { readonly code: number; readonly message: string };
}

/** What one malformed message led to. */
type Outcome = { readonly closed: string } | { readonly refusals: number };

/**
 * A connection for messages that may end it. After each message it sends a valid request: once that is answered, a refusal of the
 * message has come, too.
 */
export class MalformedLink implements AsyncDisposable {
  readonly sessionId: string;
  readonly #webSocket: WebSocket;
  readonly #closed: Promise<string>;
  /** How many answers are still to come, by id. */
  readonly #owed = new Map<string, number>();
  readonly #codes = new Map<string, number>();
  #refusals = 0;
  #fences = 0;
  #onFence: () => void = () => {};
  #onSettled: () => void = () => {};
  #problem: string | undefined;

  private constructor(webSocket: WebSocket, sessionId: string) {
    this.#webSocket = webSocket;
    this.sessionId = sessionId;
    this.#closed = new Promise((resolve) => {
      webSocket.once('close', (code, reason) => resolve(`${code} ${reason.toString()}`));
    });
    webSocket.on('error', () => {});
    webSocket.on('message', (data: Buffer) => this.#receive(JSON.parse(data.toString()) as Answer));
  }

  /** Without a handshake. */
  static async connect(url: string): Promise<MalformedLink> {
    return new MalformedLink(await openWebSocket(url), '');
  }

  /** With a handshake; attached to that session, if there is one. */
  static async open(url: string, resumeSessionId?: string): Promise<MalformedLink> {
    const webSocket = await openWebSocket(url);
    const params = { clientName: 'malformed', ...(resumeSessionId === undefined ? {} : { resumeSessionId }) };
    const answer = new Promise<Answer>((resolve) => {
      const receive = (data: Buffer): void => {
        const message = JSON.parse(data.toString()) as Answer;
        if (message.id !== 0) return;
        webSocket.off('message', receive);
        resolve(message);
      };
      webSocket.on('message', receive);
    });
    webSocket.send(JSON.stringify({ id: 0, method: 'initialize', params }));
    const { result, error } = await within(OUTCOME_MS, 'the answer to initialize', answer);
    if (result?.sessionId === undefined) throw new Error(`initialize was refused: ${error?.message}`);
    webSocket.send('{"method":"initialized"}');
    return new MalformedLink(webSocket, result.sessionId);
  }

  /** Answers that have not come. */
  get owed(): string[] {
    return [...this.#owed.keys()];
  }

  /** Sends the message and says what came of it. Throws where that is not what the message deserves. */
  async send(message: Malformed): Promise<Outcome> {
    const before = this.#refusals;
    const owes = message.expect === 'answer' || message.expect === 'answerOrRefusal';
    if (owes) this.#count(message.id, 1);
    if (message.code !== undefined) this.#codes.set(message.id, message.code);
    this.#webSocket.send(message.frame, { binary: message.binary });
    this.#fences += 1;
    const fenced = new Promise<false>((resolve) => (this.#onFence = () => resolve(false)));
    this.#webSocket.send(`{"id":"fence-${this.#fences}","method":"environment/status"}`);
    const outcome = Promise.race([this.#closed, fenced]);
    const closed = await within(OUTCOME_MS, 'an answer, or the end of the connection', outcome);
    if (closed !== false) return { closed };
    const refusals = this.#refusals - before;
    if (message.expect === 'answerOrRefusal' && refusals === 1) this.#count(message.id, -1);
    if (this.#problem !== undefined) throw new Error(this.#problem);
    return { refusals };
  }

  /** Resolves when every request has its answer. */
  async settled(milliseconds: number): Promise<void> {
    if (this.#owed.size === 0) return;
    const settled = new Promise<void>((resolve) => (this.#onSettled = resolve));
    await within(milliseconds, `the answers to ${this.owed.slice(0, 10).join()}`, settled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#webSocket.terminate();
    await this.#closed;
  }

  #receive({ id, method, error }: Answer): void {
    if (method !== undefined) return;
    const key = String(id);
    if (key === `fence-${this.#fences}`) this.#onFence();
    else if (this.#owed.has(key)) this.#take(key, error?.code);
    else if (key === '-1' && error?.code === -32_600 && error.message !== '') this.#refusals += 1;
    else this.#problem ??= `an answer came that nobody asked for: ${JSON.stringify({ id, error })}`;
  }

  #take(id: string, code: number | undefined): void {
    this.#count(id, -1);
    const expected = this.#codes.get(id);
    this.#codes.delete(id);
    if (expected !== undefined && code !== expected)
      this.#problem ??= `the answer to ${id} has the code ${code} instead of ${expected}`;
  }

  #count(id: string, change: number): void {
    const owed = (this.#owed.get(id) ?? 0) + change;
    if (owed > 0) this.#owed.set(id, owed);
    else this.#owed.delete(id);
    if (this.#owed.size === 0) this.#onSettled();
  }
}

async function openWebSocket(url: string): Promise<WebSocket> {
  const webSocket = new WebSocket(url, { perMessageDeflate: false });
  const opened = new Promise((resolve, reject) => {
    webSocket.once('open', resolve).once('error', reject);
  });
  await within(OUTCOME_MS, 'the WebSocket', opened);
  return webSocket;
}
