import { constants } from 'node:os';
import type { ManagedProcess } from '../../process/managed-process.ts';
import type { WriteOutcome } from '../../process/input.ts';
import { readProcess } from '../../process/read.ts';
import { invalidParams, invalidRequest } from '../../protocol/errors.ts';
import type { WireResult } from '../../protocol/methods.ts';
import type { Handlers, SessionContext } from '../handlers.ts';

type ProcessHandlers = Pick<Handlers, Extract<keyof Handlers, `process/${string}`>>;

const writeResults: Readonly<Record<WriteOutcome, WireResult<'process/write'>>> = {
  written: { status: 'accepted' },
  // The status is that of other executors: clients in the field take stdinClosed for the end of the process.
  discarded: { status: 'accepted', discarded: true },
  duplicate: { status: 'accepted', duplicate: true },
  noInput: { status: 'stdinClosed' },
};

export const processHandlers: ProcessHandlers = {
  'process/start': async (params, { session, push, request }) => {
    const process = await session.processes.start(params);
    request.afterReply(() => push.attach(process, 0));
    const { confined } = process;
    if (confined === undefined) return { processId: process.id, sandboxType: 'none' };
    const { enforcer, givenUp } = confined;
    return {
      processId: process.id,
      sandboxType: 'linuxSeccomp',
      sandbox: { enforcer, givenUp: [...givenUp] },
    };
  },

  'process/read': async ({ processId, afterSeq, maxBytes, waitMs }, { session, request }) => {
    const process = await known(session, processId);
    const read = { afterSeq: afterSeq ?? 0, maxBytes: maxBytes ?? undefined, waitMs: waitMs ?? 0 };
    return readProcess(process, read, request.signal);
  },

  'process/write': async ({ processId, chunk, writeId }, { session }) => {
    const process = await session.processes.find(processId);
    if (process === undefined) return { status: 'unknownProcess' };
    return writeResults[await process.write(chunk, writeId)];
  },

  'process/closeStdin': async ({ processId }, { session }) => {
    const process = await session.processes.find(processId);
    if (process === undefined) return { status: 'unknownProcess' };
    return { status: (await process.closeInput()) ? 'accepted' : 'stdinClosed' };
  },

  'process/resize': async ({ processId, size }, { session }) => {
    const process = await known(session, processId);
    process.resize(size.rows, size.cols);
    return {};
  },

  'process/signal': async ({ processId, signal, scope }, { session }) => {
    const name = signalName(signal);
    const process = await session.processes.find(processId);
    return { delivered: process?.signal(name, scope) ?? false };
  },

  'process/terminate': async ({ processId, graceMs }, { session }) => {
    // Not `find`: a start that hangs is ended, not waited for.
    const process = session.processes.peek(processId);
    if (process === undefined) return { running: false };
    const running = process.state === 'starting' || process.state === 'running';
    const survivors = await process.terminate('terminated', graceMs ?? 0);
    return survivors.length === 0 ? { running } : { running, survivors };
  },

  'process/list': ({ includeClosed }, { session }) => {
    const processes = session.processes
      .list()
      .filter((process) => includeClosed || process.state !== 'closed');
    return { processes: processes.map(describeProcess) };
  },
};

async function known(session: SessionContext['session'], processId: string): Promise<ManagedProcess> {
  const process = await session.processes.find(processId);
  if (process === undefined) throw invalidRequest(`unknown process id ${processId}`);
  return process;
}

function signalName(text: string): NodeJS.Signals {
  const upper = text.toUpperCase();
  if (upper === 'INTERRUPT') return 'SIGINT';
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  if (Object.hasOwn(constants.signals, name)) return name as NodeJS.Signals;
  throw invalidParams(
    'params.signal: is no signal of this executor; use "interrupt" or a name such as SIGTERM',
  );
}

function describeProcess(process: ManagedProcess): WireResult<'process/list'>['processes'][number] {
  return {
    processId: process.id,
    state: process.state,
    tty: process.tty,
    pid: process.pid,
    startedAt: process.startedAt.toISOString(),
    nextSeq: process.journal.nextSeq,
    exitCode: process.ending?.exitCode ?? null,
    signal: process.ending?.signal ?? null,
    endReason: process.ending?.endReason ?? null,
  };
}
