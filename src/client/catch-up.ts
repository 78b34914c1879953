import { requests } from '../protocol/methods.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { describe } from '../rpc/decode.ts';
import type { Link } from './link.ts';
import { OutputLostError } from './output-lost-error.ts';
import type { RemoteProcess } from './remote-process.ts';

/**
 * Reads what a process did while there was no connection, from an executor that takes no cursors and sends new events only. Its answer
 * has the numbers of the output, and says of the exit and the close only that they were: the close is the newest event, and the exit the
 * one number that is missing. Throws an OutputLostError where more are, for then output is gone.
 */
export async function catchUp(
  link: Link,
  process: RemoteProcess,
  processId: string,
  signal: AbortSignal,
): Promise<void> {
  const afterSeq = process.lastSeq;
  const raw = await link.peer.call('process/read', { processId, afterSeq, waitMs: 0 }, { signal });
  const decoded = requests['process/read'].result.safeParse(raw);
  if (!decoded.success)
    throw new ConnectionError(
      'protocol',
      `The executor's answer is wrong: ${describe('result', decoded.error)}`,
    );
  const { chunks, nextSeq, exited, closed, exitCode } = decoded.data;
  const seen = new Set(chunks.map(({ seq }) => seq));
  const last = closed ? nextSeq - 2 : nextSeq - 1;
  const missing: number[] = [];
  for (let seq = afterSeq + 1; seq <= last && missing.length < 2; seq++)
    if (!seen.has(seq)) missing.push(seq);
  const [exit] = missing;
  if (missing.length > (exited ? 1 : 0))
    throw new OutputLostError({ fromSeq: exit ?? 0, toSeq: last, bytes: 0 });
  for (const { seq, stream, chunk } of chunks) process.receive({ kind: 'output', seq, stream, bytes: chunk });
  if (exit !== undefined) process.receive({ kind: 'exited', processId, seq: exit, exitCode: exitCode ?? -1 });
  // Where it is not there, it has come before, and is the last of what has.
  if (closed) process.receive({ kind: 'closed', processId, seq: nextSeq - 1 });
}
