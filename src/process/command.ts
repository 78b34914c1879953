import { RpcError, invalidRequest } from '../protocol/errors.ts';
import type { ProcessStartParams } from '../protocol/process.ts';
import type { ConfinedLaunch } from '../sandbox/launch.ts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import { readSandboxWrapper } from '../sandbox/wrapper.ts';
import { childVariables, loginShell } from './env-policy.ts';
import type { NativeSpec } from '../support/native.ts';

/** Where a bare name is looked up when the process has no PATH: the C library's default. */
const defaultPath = '/bin:/usr/bin';
const defaultSize = { rows: 24, cols: 80 };

/** What to start, resolved: nothing of it depends on the executor's own state any more. */
export interface LaunchSpec {
  readonly program: string;
  readonly native: NativeSpec;
  /** Confines the start; answers undefined where nothing is to be enforced. Absent: nothing was asked. */
  readonly confine?: ((command: NativeSpec) => Promise<ConfinedLaunch | undefined>) | undefined;
}

/** From a request to what the kernel gets. Throws what is wrong with it before anything starts. */
export function launchSpec(
  request: ProcessStartParams,
  own: Readonly<Record<string, string>>,
  sandboxes: Sandboxes,
): LaunchSpec {
  refuseManagedNetwork(request);
  const params = unwrapped(request);
  const [program = '', ...args] = params.argv;
  if (program === '') throw unusable('argv[0] is empty: it must name the program to start.');
  const env = childVariables(own, params.envPolicy, params.env);
  const size = params.size ?? defaultSize;
  if (params.tty && !env.has('SHELL')) env.set('SHELL', loginShell(own));
  const { sandbox } = params;
  const ambient = { tmpdir: env.get('TMPDIR'), sharedMemory: true };
  return {
    program,
    confine: sandbox == null ? undefined : (command) => sandboxes.confine(command, sandbox, ambient),
    native: {
      candidates: strings(candidates(program, env.get('PATH'))),
      argv: strings([params.arg0 ?? program, ...args]),
      env: strings([...env].map(([name, value]) => `${name}=${value}`)),
      cwd: Buffer.concat([params.cwd.bytes, Buffer.alloc(1)]),
      pipeStdin: params.pipeStdin ? 1 : 0,
      rows: params.tty ? size.rows : 0,
      cols: params.tty ? size.cols : 0,
    },
  };
}

/** A program with pipes, and exactly these variables. Throws where a text cannot be given to a program. */
export function programSpec(command: {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}): LaunchSpec {
  const { program, args, env, cwd } = command;
  return {
    program,
    native: {
      candidates: strings(candidates(program, env['PATH'])),
      argv: strings([program, ...args]),
      env: strings(Object.entries(env).map(([name, value]) => `${name}=${value}`)),
      cwd: strings([cwd]),
      pipeStdin: 1,
      rows: 0,
      cols: 0,
    },
  };
}

/** Clients of spring 2026 sandbox a command with a helper of their own, which need not be here: what it was told to do is done instead. */
function unwrapped(params: ProcessStartParams): ProcessStartParams {
  const wrapped = readSandboxWrapper(params.argv, params.arg0);
  if (wrapped === undefined) return params;
  if (params.sandbox != null) {
    throw invalidRequest(
      'The command brings a sandbox helper of its own and a sandbox parameter; send one of them.',
    );
  }
  const { argv, cwd, context } = wrapped;
  return { ...params, argv, arg0: undefined, cwd: cwd ?? params.cwd, sandbox: context };
}

function refuseManagedNetwork(params: ProcessStartParams): void {
  for (const name of ['managedNetwork', 'networkProxy'] as const) {
    if (params[name] != null)
      throw invalidRequest(`This executor cannot enforce ${name}. Send null to run without it.`);
  }
}

function candidates(program: string, path: string | undefined): string[] {
  if (program.includes('/')) return [program];
  return (path ?? defaultPath).split(':').map((folder) => `${folder === '' ? '.' : folder}/${program}`);
}

/** The code is -32603 because clients in the field know these two as a failed start. */
function unusable(message: string): RpcError {
  return new RpcError('internalError', message, { data: { kind: 'badArguments' } });
}

function strings(items: readonly string[]): Buffer {
  if (items.some((item) => item.includes('\0')))
    throw unusable('argv, arg0 and env must not contain a NUL character.');
  return Buffer.from(items.map((item) => `${item}\0`).join(''));
}
