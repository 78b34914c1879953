import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { ExecClient } from '../client/exec-client.ts';
import { limits } from '../protocol/limits.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { LineTransport } from '../rpc/line-transport.ts';
import type { Transport } from '../rpc/transport.ts';
import type { OpenContext, OpenedEnvironment } from './environment-source.ts';
import type { Hop, HopChild, HopCommand } from './hop.ts';

/** Starts an executor that speaks over its standard input and output; the child ends with the transport, and the other way round. */
export async function startExecutor(
  hop: Hop,
  command: HopCommand,
  context: Pick<OpenContext, 'signal' | 'onLog'>,
): Promise<{ readonly transport: Transport; readonly child: HopChild }> {
  const child = await hop.spawn(command, context.signal);
  logLines(child.stderr, context.onLog);
  const transport = new LineTransport(child.stdout, child.stdin);
  // The end of either stream is the end of the conversation, whatever the child still does.
  const end = (): void => void child[Symbol.asyncDispose]();
  child.stdout.once('close', end);
  child.stdin.once('close', end);
  return { transport, child };
}

/** The same with a session on it. */
export async function openOnHop(
  hop: Hop,
  command: HopCommand,
  context: OpenContext,
): Promise<OpenedEnvironment> {
  const { child, transport } = await startExecutor(hop, command, context);
  try {
    const client = await ExecClient.connect({ transport }, { ...context.connect, signal: context.signal });
    return {
      client,
      [Symbol.asyncDispose]: async () => {
        await client.close();
        await child[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    transport.close({ kind: 'lost', message: 'the handshake failed' });
    await child[Symbol.asyncDispose]();
    if (!(error instanceof ConnectionError) || error.reason !== 'closed') throw error;
    const { code, signal } = await child.exited;
    const how = signal === null ? `with status ${code}` : `by ${signal}`;
    throw new ConnectionError(
      'refused',
      `The command ended ${how}, or closed its output, before it answered as an executor does.`,
      { cause: error },
    );
  }
}

/** Cuts lines that are longer than a log takes. */
function logLines(stream: Readable, onLog: (line: string) => void): void {
  const lines = createInterface({ input: stream, crlfDelay: Infinity });
  lines.on('line', (line) => onLog(line.slice(0, limits.logLineCharacters)));
  lines.on('error', () => {});
}
