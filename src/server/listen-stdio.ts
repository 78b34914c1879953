import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { LineTransport } from '../rpc/line-transport.ts';
import type { CloseReason } from '../rpc/transport.ts';
import type { ExecServer } from './exec-server.ts';

/** Serves one client on standard input and output. Resolves when the client is gone. */
export async function serveStdio(server: ExecServer): Promise<CloseReason> {
  return server.serve(new LineTransport(openInput(), openOutput(), server.limits.messageBytes));
}

/** `process.stdin` and `process.stdout` would do, if the latter did not block the whole executor on a pipe that nobody reads. */
function isStream(fd: number): boolean {
  const stat = fstatSync(fd);
  return stat.isFIFO() || stat.isSocket();
}

function openInput(): Readable {
  return isStream(0)
    ? new Socket({ fd: 0, readable: true, writable: false })
    : createReadStream('', { fd: 0 });
}

function openOutput(): Writable {
  return isStream(1)
    ? new Socket({ fd: 1, readable: false, writable: true })
    : createWriteStream('', { fd: 1 });
}
