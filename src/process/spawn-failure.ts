import { getSystemErrorMap } from 'node:util';
import { RpcError } from '../protocol/errors.ts';
import { osErrorText } from '../support/os-error.ts';
import type { LaunchSpec } from './command.ts';
import type { NativeFailure } from '../support/native.ts';

type Kind =
  | 'notFound'
  | 'permissionDenied'
  | 'badCwd'
  | 'argumentsTooLong'
  | 'resourceLimit'
  | 'notExecutable'
  | 'failed';

const kinds: Readonly<Record<string, Kind>> = {
  ENOENT: 'notFound',
  ENOTDIR: 'notFound',
  EACCES: 'permissionDenied',
  EPERM: 'permissionDenied',
  E2BIG: 'argumentsTooLong',
  ENOEXEC: 'notExecutable',
  ELIBBAD: 'notExecutable',
  EAGAIN: 'resourceLimit',
  ENOMEM: 'resourceLimit',
  EMFILE: 'resourceLimit',
  ENFILE: 'resourceLimit',
  ENOSPC: 'resourceLimit',
};

/**
 * The error of a start that started nothing: the same for pipes and PTYs. The text ends with `(os error N)`, which clients match
 * on; `data.kind` is for programs.
 */
export function spawnFailure(failure: NativeFailure, spec: LaunchSpec): RpcError {
  const name = getSystemErrorMap().get(-failure.errno)?.[0] ?? '';
  const kind = failure.stage === 'cwd' ? 'badCwd' : (kinds[name] ?? 'failed');
  return new RpcError('internalError', `${whatFailed(failure, kind, spec)}: ${osErrorText(failure.errno)}`, {
    data: { kind, errno: failure.errno },
  });
}

function whatFailed(failure: NativeFailure, kind: Kind, spec: LaunchSpec): string {
  if (failure.stage === 'cwd') return 'The working directory cannot be entered';
  if (failure.stage === 'setup') return 'The pipes or the terminal for the process cannot be made';
  if (kind === 'notFound' && !spec.program.includes('/'))
    return 'The program is in no directory of the PATH of the process';
  return kind === 'notFound'
    ? 'The program, or the interpreter that it names, does not exist'
    : 'The program cannot be executed';
}
