import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { Transport } from '../../src/rpc/transport.ts';
import { dialWebSocket } from '../../src/client/dial.ts';
import { LineTransport } from '../../src/rpc/line-transport.ts';
import { markVariable } from './conformance-leftovers.ts';
import { executorVariables } from './conformance-targets.ts';
import { WireClient } from './conformance-wire.ts';

const main = path.resolve(import.meta.dirname, '..', '..', 'src', 'main.ts');
const deadlineMs = 30_000;

/** Opens a session on a connection on which nothing was said. */
export async function openSession(transport: Transport, mark: string): Promise<WireClient> {
  const client = new WireClient(transport, {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', [markVariable]: mark },
  });
  await client.handshake();
  return client;
}

/** What puts a command under a user who owns nothing here; nothing where this is no root. */
export function asNobody(): readonly string[] {
  return process.getuid?.() === 0
    ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--']
    : [];
}

export interface PrefixedExecutor extends AsyncDisposable {
  readonly client: WireClient;
}

/** An executor behind a command that runs it under other conditions, as another user or with a limit, and a session with it. */
export async function startPrefixed(
  over: 'stdio' | 'websocket',
  prefix: readonly string[],
  mark: string,
): Promise<PrefixedExecutor> {
  const home = await mkdtemp(path.join(tmpdir(), 'exec-files-home-'));
  await chmod(home, 0o777);
  const listen = over === 'stdio' ? 'stdio' : 'ws://127.0.0.1:0';
  const [command, ...rest] = [...prefix, process.execPath, main, 'serve', '--listen', listen];
  const child = spawn(command, rest, {
    cwd: '/',
    env: { ...executorVariables(mark), HOME: home },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text));
  const exited = once(child, 'exit');
  exited.catch(() => {});
  const stop = async (): Promise<void> => {
    if (over === 'stdio') child.stdin.end();
    else child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
    await exited;
    clearTimeout(killer);
    await rm(home, { recursive: true, force: true });
  };
  try {
    const transport =
      over === 'stdio'
        ? new LineTransport(child.stdout, child.stdin)
        : await dialWebSocket(await firstLine(child.stdout), {}, AbortSignal.timeout(deadlineMs));
    const client = await openSession(transport, mark);
    return {
      client,
      [Symbol.asyncDispose]: async () => {
        await client[Symbol.asyncDispose]();
        await stop();
      },
    };
  } catch (cause) {
    await stop();
    throw new Error(`The executor under ${prefix.join(' ')} does not serve: ${errors}`, { cause });
  }
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  return new Promise((resolve, reject) => {
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    stream.on('end', () => reject(new Error(`It ended before it said its URL: ${text}`)));
  });
}
