import { limits } from '../protocol/limits.ts';
import type { WireResult } from '../protocol/methods.ts';
import type { Gap, OutputStream } from '../protocol/process.ts';
import type { JournalEvent } from './journal-event.ts';
import type { Closing, Ending, ManagedProcess } from './managed-process.ts';

export interface ReadRequest {
  readonly afterSeq: number;
  /** undefined: no limit of the caller's. */
  readonly maxBytes: number | undefined;
  readonly waitMs: number;
}

/** Output after a cursor, waiting for news if asked. Ends early when nobody waits for the answer any more. */
export async function readProcess(
  process: ManagedProcess,
  request: ReadRequest,
  signal: AbortSignal,
): Promise<WireResult<'process/read'>> {
  const deadline = performance.now() + request.waitMs;
  for (;;) {
    const before = process.journal.nextSeq;
    const answer = await readOnce(process, request);
    const news = answer.chunks.length > 0 || answer.gap !== undefined;
    // An exit is news once: to a reader whose cursor is behind it.
    const exitIsNews = answer.exited && request.afterSeq < answer.nextSeq - 1;
    const left = deadline - performance.now();
    if (news || answer.closed || exitIsNews || left <= 0 || signal.aborted) return answer;
    if (process.journal.nextSeq === before) await nextAppend(process, left, signal);
  }
}

async function readOnce(process: ManagedProcess, request: ReadRequest): Promise<WireResult<'process/read'>> {
  // Taken together, so that the answer never tells an end that its events do not cover.
  const { ending, closing } = process;
  const newest = process.journal.nextSeq;
  const chunks: WireResult<'process/read'>['chunks'] = [];
  let cursor = Math.min(request.afterSeq, newest - 1);
  const maxBytes = Math.min(request.maxBytes ?? Infinity, limits.readBytes);
  let room = maxBytes;
  let gap: Gap | undefined;
  let full = false;
  while (!full && gap === undefined && cursor < newest - 1) {
    const pull = await process.journal.pull(cursor, Math.max(0, room));
    for (const event of pull.events) {
      room -= event.bytes.length;
      full = event.seq >= newest || chunks.length >= limits.readChunks || (room < 0 && chunks.length > 0);
      if (full) break;
      if (isOutput(event))
        chunks.push({ seq: event.seq, stream: event.kind, chunk: event.bytes.toString('base64') });
      cursor = event.seq;
    }
    // A gap behind chunks is told by the next answer.
    if (pull.gap !== undefined && chunks.length > 0) full = true;
    else if (pull.gap !== undefined) {
      const { fromSeq, toSeq, endOffset } = pull.gap;
      gap = { fromSeq, toSeq, bytes: endOffset - process.journal.offsetAfter(cursor) };
      cursor = toSeq;
    }
  }
  process.journal.took(cursor);
  // An answer that our own limits cut is not the end of anything yet.
  const cutByCaller = maxBytes === request.maxBytes && chunks.length < limits.readChunks;
  const tellEnd = cursor === newest - 1 || cutByCaller;
  return {
    chunks,
    nextSeq: nextSeq(request, chunks, cursor),
    ...describeEnd(tellEnd ? ending : undefined, tellEnd ? closing : undefined),
    ...(gap && { gap }),
  };
}

/**
 * Clients of both generations take `nextSeq - 1` as their next cursor. A caller with a byte limit gets one past its last chunk; one without
 * gets one past everything that the answer covers, exit and close included.
 */
function nextSeq(request: ReadRequest, chunks: readonly { readonly seq: number }[], cursor: number): number {
  const last = request.maxBytes === undefined ? undefined : chunks.at(-1);
  return (last?.seq ?? cursor) + 1;
}

function describeEnd(
  ending: Ending | undefined,
  closing: Closing | undefined,
): Omit<WireResult<'process/read'>, 'chunks' | 'nextSeq' | 'gap'> {
  return {
    exited: ending !== undefined,
    exitCode: ending?.exitCode ?? null,
    closed: closing !== undefined,
    failure: null,
    sandboxDenied: ending?.sandboxDenied ?? false,
    ...(ending && { signal: ending.signal, endReason: ending.endReason }),
    ...(closing && { bytes: closing.bytes, droppedBytes: closing.droppedBytes }),
  };
}

function isOutput(event: JournalEvent): event is JournalEvent & { kind: OutputStream } {
  return event.kind !== 'exited' && event.kind !== 'closed';
}

/** Resolves at the next event of the process, when the time is over, or when nobody waits any more. */
async function nextAppend(process: ManagedProcess, milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      subscription[Symbol.dispose]();
      signal.removeEventListener('abort', done);
      resolve();
    };
    // The longest that a timer of Node takes; the caller asks again.
    const timer = setTimeout(done, Math.min(milliseconds, 2 ** 31 - 1));
    const subscription = process.journal.subscribe(done);
    signal.addEventListener('abort', done, { once: true });
  });
}
