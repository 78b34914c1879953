/**
 * Speaks just enough of the protocol for some of the rows: it answers at once and prints files from memory. What a row
 * takes against it is what any executor on Node pays, together with the client.
 */
import { readFileSync } from 'node:fs';
import { WebSocketServer, type WebSocket } from 'ws';

interface Request {
  readonly id?: number;
  readonly method: string;
  readonly params?: { readonly processId: string; readonly argv: readonly string[] };
}

/** The size of an output chunk of the reference. */
const CHUNK_BYTES = 8_192;

const files = new Map<string, readonly string[]>();

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('listening', () => {
  const address = server.address();
  if (typeof address === 'object') process.stdout.write(`ws://127.0.0.1:${address?.port}\n`);
});
server.on('connection', (socket) => {
  socket.on('message', (data: Buffer) => answer(socket, JSON.parse(data.toString())));
});
process.once('SIGTERM', () => process.exit(0));

function answer(socket: WebSocket, request: Request): void {
  const { id, method, params } = request;
  if (id === undefined) return;
  const result = method === 'initialize' ? { sessionId: 'null' } : { status: 'ready' };
  socket.send(JSON.stringify({ id, result }));
  if (method === 'process/start' && params !== undefined)
    print(socket, params.processId, params.argv[1] ?? '');
}

function print(socket: WebSocket, processId: string, file: string): void {
  const chunks = files.get(file) ?? encode(file);
  files.set(file, chunks);
  for (const [index, chunk] of chunks.entries()) {
    const params = { processId, seq: index + 1, stream: 'stdout', chunk };
    socket.send(JSON.stringify({ method: 'process/output', params }));
  }
  const exited = { processId, seq: chunks.length + 1, exitCode: 0 };
  socket.send(JSON.stringify({ method: 'process/exited', params: exited }));
  socket.send(JSON.stringify({ method: 'process/closed', params: { processId, seq: chunks.length + 2 } }));
}

function encode(file: string): string[] {
  const content = readFileSync(file);
  return Array.from({ length: Math.ceil(content.length / CHUNK_BYTES) }, (_, index) =>
    content.toString('base64', index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  );
}
