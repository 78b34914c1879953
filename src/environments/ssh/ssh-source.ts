import { ConnectionError } from '../../rpc/connection-error.ts';
import type { Transport } from '../../rpc/transport.ts';
import { type Bundle, ensureBundle } from '../bundle/bundle.ts';
import type { EnvironmentSource, OpenContext } from '../environment-source.ts';
import type { Hop, HopChild } from '../hop.ts';
import { openOnHop, startExecutor } from '../hop-executor.ts';
import { localHop } from '../local-hop.ts';
import { type SshTarget, sshArguments } from './arguments.ts';
import { install, startInstalled, startProgram } from './scripts.ts';
import { type Said, newMark, runSsh } from './ssh-child.ts';

export interface SshSourceOptions extends SshTarget {
  /** Puts the portable bundle on the other machine where it is not there yet, and runs that. */
  readonly install?: boolean | undefined;
  /** Where it is put; `exec-server` in the user's cache folder if absent. */
  readonly folder?: string | undefined;
  /** The executor that is there already; `exec-server` on the PATH if absent. Not used with `install`. */
  readonly program?: string | undefined;
  /** Options of `exec-server serve`, such as `--limit`. */
  readonly args?: readonly string[] | undefined;
  readonly bundle?: string | undefined;
  /** The environment whose `ssh` is used; that of this machine if absent. */
  readonly via?: string | undefined;
  /** Usually those of this process: the agent's socket and EXEC_SERVER_BUNDLE are looked up in them. */
  readonly variables: Readonly<Record<string, string>>;
}

/** An executor on another machine, over the standard streams of the system's ssh. */
export function sshSource(options: SshSourceOptions): EnvironmentSource {
  // Mistakes are told when the source is made.
  sshArguments(options, '');
  const { via, variables } = options;
  return {
    kind: 'ssh',
    label: via === undefined ? 'a machine over ssh' : `a machine over ssh inside "${via}"`,
    via,
    open: async (context) => {
      const hop = via === undefined ? localHop(variables) : await context.hop(via);
      const machine = remoteHop(hop, options, context);
      const opened = await openOnHop(machine, executor, context);
      const dial = async (signal: AbortSignal): Promise<Transport> =>
        (await startExecutor(machine, executor, { ...context, signal })).transport;
      return { ...opened, dial };
    },
  };
}

/** What is started there is decided by the scripts. */
const executor = { program: 'exec-server', args: [] };

/** The other machine as something that can start one program: the executor. */
function remoteHop(hop: Hop, options: SshSourceOptions, { onLog }: OpenContext): Hop {
  return {
    label: `"${options.host}"`,
    spawn: async (_command, signal) => {
      const run: Run = { hop, options, onLog, signal };
      if (options.install !== true) return startThere(run);
      const bundle = await ensureBundle(options);
      const first = await startBundle(run, bundle);
      if (!('missing' in first)) return first;
      const fitting = first.missing === bundle.arch ? bundle : await ensureBundle(options, first.missing);
      await installBundle(run, fitting);
      const second = await startBundle(run, fitting);
      if ('missing' in second) throw refused(options, 'does not have the executor that was just installed');
      return second;
    },
  };
}

interface Run {
  readonly hop: Hop;
  readonly options: SshSourceOptions;
  readonly onLog: (line: string) => void;
  readonly signal: AbortSignal;
}

async function startThere({ hop, options, onLog, signal }: Run): Promise<HopChild> {
  const { program = 'exec-server', args = [] } = options;
  const { child, said, noiseBytes } = await runSsh({
    hop,
    target: options,
    signal,
    script: startProgram,
    args: [newMark(), program, ...args],
  });
  tellNoise(noiseBytes, onLog);
  if (said.verb === 'ready') return child;
  await child[Symbol.asyncDispose]();
  const advice =
    'Install it there, name its path (`executor` in a file, `program` in code), or let `install` put the portable bundle there';
  throw refused(options, `has no program "${program}" (status 127). ${advice}`);
}

/** Answers the architecture of a machine that does not have it. */
async function startBundle(run: Run, bundle: Bundle): Promise<HopChild | { readonly missing: string }> {
  const { hop, options, onLog, signal } = run;
  const { folder = '', args = [] } = options;
  const { child, said, noiseBytes } = await runSsh({
    hop,
    target: options,
    signal,
    script: startInstalled,
    args: [newMark(), bundle.digest, folder, ...args],
  });
  tellNoise(noiseBytes, onLog);
  if (said.verb === 'ready') return child;
  await child[Symbol.asyncDispose]();
  if (said.verb === 'foreign')
    throw refused(
      options,
      `has ${said.rest}, which belongs to somebody else. Name another folder with \`folder\``,
    );
  return { missing: architecture(said, options) };
}

async function installBundle({ hop, options, signal }: Run, bundle: Bundle): Promise<void> {
  const { child, said } = await runSsh({
    hop,
    target: options,
    signal,
    script: install,
    args: [newMark(), bundle.digest, options.folder ?? ''],
    input: bundle.read(),
  });
  await child[Symbol.asyncDispose]();
  if (said.verb === 'installed') return;
  throw refused(options, problems[said.rest.split(' ')[0] ?? ''] ?? 'cannot take the executor');
}

const problems: Readonly<Record<string, string>> = {
  folder: 'has no folder for the executor that can be written to. Name one with `folder`',
  space: 'has no space left for the executor, about 160 MiB while it is put there',
  digest: 'has received another archive than was sent, or has no `sha256sum` (package coreutils)',
  unpack: 'cannot unpack the executor: it needs `tar` and `gzip`, and about 160 MiB of space',
  run: "does not run the executor's Node: it needs glibc 2.28 or later, and a folder that is not mounted noexec",
  place: 'has something else in the place of the executor. Name another folder with `folder`',
};

function architecture({ rest }: Said, options: SshSourceOptions): string {
  const [system, machine = ''] = rest.split(' ');
  const known: Readonly<Record<string, string>> = { x86_64: 'x64', aarch64: 'arm64' };
  const arch = known[machine];
  if (system === 'Linux' && arch !== undefined) return arch;
  throw refused(
    options,
    'is no machine that the portable bundle is for, which is Linux on x86_64 or aarch64. Install exec-server there and leave out `install`',
  );
}

function refused({ host, via }: SshSourceOptions, problem: string): ConnectionError {
  const where = via === undefined ? '' : `, reached from "${via}",`;
  return new ConnectionError('refused', `"${host}"${where} ${problem}.`);
}

function tellNoise(bytes: number, onLog: (line: string) => void): void {
  if (bytes > 0)
    onLog(`The shell's profile has printed ${bytes} bytes on standard output; they were left out.`);
}
