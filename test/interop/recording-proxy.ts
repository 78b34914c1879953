import { once } from 'node:events';

import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { z } from 'zod';

import { portOf, within } from '../support/reference.ts';

const members = z.record(z.string(), z.unknown());
const wireMessage = z.object({
  id: z.union([z.number(), z.string()]).optional(),
  method: z.string().optional(),
  // 0.145.0 sends null where a method has none.
  params: members.nullish().transform((params) => params ?? undefined),
  result: members.optional(),
});
const chunks = z.array(z.object({ seq: z.int(), stream: z.string(), chunk: z.base64() }));

export type WireMessage = z.infer<typeof wireMessage>;

export interface RecordedMessage {
  readonly from: 'client' | 'server';
  readonly message: WireMessage;
}

export interface OutputChunk {
  readonly seq: number;
  readonly stream: string;
  readonly bytes: Buffer;
}

/** All that the executor said about one process, in the order of the sequence numbers. */
export interface ProcessRecord {
  readonly processId: string;
  readonly start: Readonly<Record<string, unknown>>;
  /** The result of the start; empty where it was refused. */
  readonly answer: Readonly<Record<string, unknown>>;
  /** From `process/output`. */
  readonly pushed: readonly OutputChunk[];
  /** From the answers to `process/read`; empty for releases that only listen. */
  readonly read: readonly OutputChunk[];
  readonly exited: { readonly seq: number; readonly exitCode: number } | undefined;
  readonly closed: { readonly seq: number } | undefined;
}

export interface RecordingProxy extends AsyncDisposable {
  readonly url: string;
  readonly messages: readonly RecordedMessage[];
  /** The processes the CLI asked for, in the order of their starts. */
  readonly processes: () => ProcessRecord[];
  /** Ends as soon as the recorded messages satisfy the condition; fails at the deadline. */
  waitFor(what: string, condition: (proxy: RecordingProxy) => boolean): Promise<void>;
}

/** An awaited event takes 3 s at most; the rest is for a loaded machine. */
const WAIT_DEADLINE_MS = 60_000;

/** Passes WebSocket messages between a client and an executor unchanged, and keeps a copy of each. */
export async function startRecordingProxy(executorUrl: string): Promise<RecordingProxy> {
  const messages: RecordedMessage[] = [];
  const waiting = new Set<() => void>();
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  const upstreams = new Set<WebSocket>();

  const record = (from: RecordedMessage['from'], data: RawData) => {
    messages.push({ from, message: wireMessage.parse(JSON.parse(toText(data))) });
    for (const check of waiting) check();
  };

  server.on('connection', (client) => {
    // The executor of 0.129.0 drops a connection that offers compression.
    const upstream = new WebSocket(executorUrl, { perMessageDeflate: false });
    upstreams.add(upstream);
    const opened = once(upstream, 'open');
    // A refused connection shows as a closed one.
    opened.catch(() => client.terminate());
    client.on('message', (data, isBinary) => {
      record('client', data);
      void opened.then(
        () => upstream.send(data, { binary: isBinary }),
        () => undefined,
      );
    });
    upstream.on('message', (data, isBinary) => {
      record('server', data);
      client.send(data, { binary: isBinary });
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('close', () => other.terminate());
      one.on('error', () => other.terminate());
    }
  });
  await once(server, 'listening');

  const proxy: RecordingProxy = {
    url: `ws://127.0.0.1:${portOf(server)}`,
    messages,
    processes: () => collectProcesses(messages),
    async waitFor(what, condition) {
      let check: () => void = () => undefined;
      const satisfied = new Promise<true>((resolve) => {
        check = () => {
          if (condition(proxy)) resolve(true);
        };
      });
      waiting.add(check);
      check();
      const outcome = await within(WAIT_DEADLINE_MS, satisfied);
      waiting.delete(check);
      if (outcome === undefined) throw new Error(`${what}: not seen within ${WAIT_DEADLINE_MS} ms`);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...server.clients, ...upstreams]) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

function collectProcesses(messages: readonly RecordedMessage[]): ProcessRecord[] {
  const requests = messages.filter(({ from, message }) => from === 'client' && message.id !== undefined);
  const replies = messages.filter(({ from, message }) => from === 'server' && message.result !== undefined);
  const results = new Map(replies.map(({ message }) => [message.id, message.result]));
  const starts = requests.filter(({ message }) => message.method === 'process/start');
  return starts.map(({ message: { id, params: start = {} } }) => {
    const processId = String(start['processId']);
    const concerns = ({ params }: WireMessage) => params?.['processId'] === processId;
    const said = (method: string) =>
      messages
        .filter(({ from, message }) => from === 'server' && message.method === method && concerns(message))
        .map(({ message }) => message.params ?? {});
    const reads = requests
      .filter(({ message }) => message.method === 'process/read' && concerns(message))
      .flatMap(({ message }) => results.get(message.id)?.['chunks'] ?? []);
    const exited = said('process/exited')[0];
    const closed = said('process/closed')[0];
    return {
      processId,
      start,
      answer: results.get(id) ?? {},
      pushed: toChunks(said('process/output')),
      read: toChunks(reads),
      exited: exited && { seq: Number(exited['seq']), exitCode: Number(exited['exitCode']) },
      closed: closed && { seq: Number(closed['seq']) },
    };
  });
}

/** Notifications may overtake each other on the wire: the sequence number is what orders them. */
function toChunks(entries: unknown): OutputChunk[] {
  return chunks
    .parse(entries)
    .map(({ seq, stream, chunk }) => ({ seq, stream, bytes: Buffer.from(chunk, 'base64') }))
    .sort((one, other) => one.seq - other.seq);
}

function toText(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return (Buffer.isBuffer(data) ? data : Buffer.from(data)).toString('utf8');
}
