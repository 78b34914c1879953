import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { limits } from '../protocol/limits.ts';
import { type HostFacts as NativeFacts, native } from '../support/native.ts';

type Usable<T> =
  | ({ readonly usable: true } & T)
  | { readonly usable: false; readonly problem: string; readonly fix: string };

/** What this host can enforce, found by trying and not by version numbers. */
export interface HostFacts {
  /** The program that confines what it starts: needed by every enforcement. */
  readonly launcher: Usable<{ readonly path: string }>;
  /** `ownProc`: the sandbox gets a /proc and process ids of its own. */
  readonly bubblewrap: Usable<{ readonly path: string; readonly ownProc: boolean }>;
  /** `broker`: paths inside of a writable tree can be kept read-only. */
  readonly landlock: Usable<{ readonly abi: number; readonly broker: boolean }>;
}

/** Scopes of signals and abstract sockets came with it; without them a confined process could end the executor. */
const landlockAbi = 6;
/** Where distributions install it. Never the PATH: a client may have a say in that. */
const places = ['/usr/bin/bwrap', '/usr/local/bin/bwrap', '/bin/bwrap'];

export interface HostOptions {
  /** The path of bubblewrap, or "off". Looked for where distributions install it if absent. */
  readonly bubblewrap?: string | undefined;
  /** For tests of what a lesser host does. */
  readonly landlock?: 'off' | undefined;
}

export async function probeHost(options: HostOptions = {}): Promise<HostFacts> {
  if (process.platform !== 'linux') {
    const no = { usable: false, problem: 'sandboxes need Linux', fix: 'run the executor on Linux' } as const;
    return { launcher: no, bubblewrap: no, landlock: no };
  }
  const path = fileURLToPath(new URL('../../build/Release/exec_server_confine', import.meta.url));
  const facts = native().hostFacts();
  const launcher: HostFacts['launcher'] = !canExecute(path)
    ? {
        usable: false,
        problem: 'the launcher of exec-server is not built',
        fix: 'build it with `npm rebuild exec-server` (in a clone: `npm ci`)',
      }
    : facts.seccomp
      ? { usable: true, path }
      : {
          usable: false,
          problem: 'the kernel has no seccomp filters',
          fix: 'use a kernel with CONFIG_SECCOMP_FILTER',
        };
  const landlock = await probeLandlock(options.landlock, facts, launcher.usable ? path : undefined);
  if (!launcher.usable) return { launcher, bubblewrap: launcher, landlock };
  return {
    launcher,
    landlock,
    bubblewrap: await probeBubblewrap(options.bubblewrap, launcher.path, facts.landlockAbi),
  };
}

async function probeLandlock(
  configured: HostOptions['landlock'],
  { landlockAbi: abi, seccompNotify }: NativeFacts,
  launcher: string | undefined,
): Promise<HostFacts['landlock']> {
  if (configured === 'off' || abi < landlockAbi) {
    const problem =
      abi > 0
        ? `Landlock of this kernel is of ABI ${abi}, and ${landlockAbi} is needed`
        : 'the kernel has no Landlock, or it is not enabled';
    return { usable: false, problem, fix: 'use Linux 6.12 or later with landlock in its lsm= list' };
  }
  // Beside bubblewrap it needs none of that. Alone it cannot start anything without.
  if (seccompNotify && launcher !== undefined && (await saysNo(launcher, ['--probe-broker'])) !== undefined) {
    return {
      usable: false,
      problem:
        'no program may read the memory of those that it starts, which Landlock without bubblewrap needs',
      fix: 'set kernel.yama.ptrace_scope to 1 (with 2 and 3 that is forbidden), and give a container its own /proc',
    };
  }
  return { usable: true, abi, broker: seccompNotify };
}

async function probeBubblewrap(
  configured: string | undefined,
  launcher: string,
  abi: number,
): Promise<HostFacts['bubblewrap']> {
  const fix =
    'allow user namespaces (docs/sandbox.md has the seccomp profile for containers) and install bubblewrap';
  if (configured === 'off') return { usable: false, problem: 'bubblewrap is switched off', fix };
  const path = (configured === undefined ? places : [configured]).find(canExecute);
  if (path === undefined) {
    return {
      usable: false,
      problem: 'bubblewrap is not installed',
      fix: 'install bubblewrap (apt-get install bubblewrap)',
    };
  }
  if (abi === 0) {
    // Mounts alone do not keep a process from writing to a FIFO or a device outside of its grants.
    return {
      usable: false,
      problem: 'bubblewrap needs Landlock beside it',
      fix: 'use a kernel with landlock in its lsm= list',
    };
  }
  const problem = await tryBubblewrap(path, launcher, true);
  if (problem === undefined) return { usable: true, path, ownProc: true };
  // A container that hides parts of /proc lets nobody mount another one. Its own then stays, and Landlock guards the processes in it.
  if (abi >= landlockAbi && (await tryBubblewrap(path, launcher, false)) === undefined) {
    return { usable: true, path, ownProc: false };
  }
  return { usable: false, problem: `bubblewrap does not work here (${problem})`, fix };
}

/** What it says when it cannot make a sandbox; undefined when it can. */
async function tryBubblewrap(path: string, launcher: string, ownProc: boolean): Promise<string | undefined> {
  const namespaces = ['--unshare-user', '--unshare-ipc', '--unshare-net', '--unshare-uts'];
  const proc = ownProc ? ['--unshare-pid', '--as-pid-1', '--proc', '/proc'] : [];
  const args = [
    ...namespaces,
    '--cap-drop',
    'ALL',
    '--ro-bind',
    '/',
    '/',
    '--dev',
    '/dev',
    ...proc,
    '--',
    launcher,
    '--probe',
  ];
  return saysNo(path, args);
}

/** Runs it. Answers what it says when it fails; undefined when it does not. */
async function saysNo(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { env: {}, cwd: '/', timeout: limits.sandboxProbeMs };
    execFile(program, args, options, (error, _stdout, stderr) =>
      resolve(error === null ? undefined : (stderr.trim().split('\n')[0] ?? error.message)),
    );
  });
}

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
