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

/** Line by line; of a line that is longer than a log takes, its beginning. */
function logLines(stream: Readable, onLog: (line: string) => void): void {
  let line = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const [first = '', ...rest] = text.split('\n');
    line += first.slice(0, limits.logLineCharacters - line.length);
    for (const next of rest) {
      onLog(line.replace(/\r$/, ''));
      line = next.slice(0, limits.logLineCharacters);
    }
  });
  stream.once('end', () => {
    if (line !== '') onLog(line);
  });
}
