import { constants } from 'node:os';
import type { ManagedProcess } from '../../process/managed-process.ts';
import type { WriteOutcome } from '../../process/input.ts';
import { readProcess } from '../../process/read.ts';
import { invalidParams, invalidRequest } from '../../protocol/errors.ts';
import type { WireResult } from '../../protocol/methods.ts';
import type { Access, ConnectionProcesses } from '../connection-processes.ts';
import type { Handlers } from '../handlers.ts';
import { refuseScarceDescriptors } from '../scarce-descriptors.ts';

type ProcessHandlers = Pick<Handlers, Extract<keyof Handlers, `process/${string}`>>;

const writeResults: Readonly<Record<WriteOutcome, WireResult<'process/write'>>> = {
  written: { status: 'accepted' },
  // The status is that of other executors: clients in the field take stdinClosed for the end of the process.
  discarded: { status: 'accepted', discarded: true },
  duplicate: { status: 'accepted', duplicate: true },
  noInput: { status: 'stdinClosed' },
};

export const processHandlers: ProcessHandlers = {
  'process/start': async (params, { processes, request, limits }) => {
    refuseScarceDescriptors(limits);
    const { processId } = params;
    const process = await processes.start(params);
    // What the first answer said of its sandbox still holds.
    if (process === undefined) return { processId, duplicate: true };
    request.afterReply(() => processes.follow(process, 0));
    const { confined } = process;
    if (confined === undefined) return { processId, sandboxType: 'none' };
    const { enforcer, givenUp } = confined;
    return { processId, sandboxType: 'linuxSeccomp', sandbox: { enforcer, givenUp: [...givenUp] } };
  },

  'process/read': async ({ processId, afterSeq, maxBytes, waitMs }, { processes, request }) => {
    const process = await known(processes, processId, 'read');
    const read = { afterSeq: afterSeq ?? 0, maxBytes: maxBytes ?? undefined, waitMs: waitMs ?? 0 };
    return readProcess(process, read, request.signal);
  },

  'process/write': async ({ processId, chunk, writeId }, { processes }) => {
    const process = await processes.find(processId, 'write');
    if (process === undefined) return { status: 'unknownProcess' };
    return writeResults[await process.write(chunk, writeId)];
  },

  'process/closeStdin': async ({ processId, writeId }, { processes }) => {
    const process = await processes.find(processId, 'write');
    if (process === undefined) return { status: 'unknownProcess' };
    return writeResults[await process.closeInput(writeId)];
  },

  'process/resize': async ({ processId, size }, { processes }) => {
    processes.resize(processId, await known(processes, processId, 'read'), size);
    return {};
  },

  'process/signal': async ({ processId, signal, scope }, { processes }) => {
    const name = signalName(signal);
    const process = await processes.find(processId, 'control');
    return { delivered: process?.signal(name, scope) ?? false };
  },

  'process/terminate': async ({ processId, graceMs }, { processes }) => {
    // Not `find`: a start that hangs is ended, not waited for.
    const process = processes.toEnd(processId);
    if (process === undefined) return { running: false };
    const running = process.state === 'starting' || process.state === 'running';
    const survivors = await process.terminate('terminated', graceMs ?? 0);
    return survivors.length === 0 ? { running } : { running, survivors };
  },

  'process/list': ({ includeClosed }, { processes }) => {
    const listed = processes.list().filter((process) => includeClosed || process.state !== 'closed');
    return { processes: listed.map(describeProcess) };
  },

  'process/attach': async (params, { processes, request }) => {
    const { answer, start } = await processes.attach(params);
    request.afterReply(start);
    return answer;
  },

  'process/detach': ({ processId }, { processes }) => {
    processes.detach(processId);
    return {};
  },
};

async function known(processes: ConnectionProcesses, id: string, access: Access): Promise<ManagedProcess> {
  const process = await processes.find(id, access);
  if (process === undefined) throw invalidRequest(`unknown process id ${id}`);
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
