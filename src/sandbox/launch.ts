import { closeSync, constants, openSync, readSync } from 'node:fs';
import { native, type NativeSpec } from '../support/native.ts';
import { osErrorText } from '../support/os-error.ts';
import { bubblewrapArguments, deviceFiles } from './bubblewrap.ts';
import type { HostFacts } from './host.ts';
import { commandEntries, encodeSpec, type SpecEntry } from './launcher-spec.ts';
import { LauncherStatus } from './launcher-status.ts';
import { type MountPlan, withoutPlaces } from './mounts.ts';
import type { PlaceholderLease } from './placeholders.ts';
import type { LandlockPlan, Plan, WeakerGuarantee } from './plan.ts';
import type { SandboxState } from './state.ts';

/** In the child; the order in which they are passed. */
const passed = { spec: 3, status: 4, input: 5, launcher: 8, args: 9 } as const;
const firstSource = 10;

/** What confines a start. */
export interface Confined {
  readonly enforcer: 'bubblewrap' | 'landlock' | 'seccomp';
  /** Guarantees that the operator has given up, and that were asked for. */
  readonly givenUp: readonly WeakerGuarantee[];
  readonly networkCut: boolean;
}

export interface ConfinedLaunch {
  readonly confined: Confined;
  readonly native: NativeSpec;
  readonly status: LauncherStatus;
  /** What the program that makes the sandbox has written: it names paths and system errors only. Until `release`. */
  readonly complaint: () => string;
  /** This side's copies of what the child was given. To be closed when it has been started, or has not. */
  readonly closePassed: () => void;
  /** Gives up what has to be there while the command runs. */
  readonly release: () => Promise<void>;
}

export interface LaunchOptions {
  readonly plan: Plan;
  readonly host: HostFacts;
  readonly state: SandboxState;
  /** Shared memory in /dev/shm, as programs expect it. */
  readonly sharedMemory: boolean;
}

/** Something of the tree has changed since the plan was made; another plan is needed. */
export class StalePlanError extends Error {}

/** Opens everything that a confined start needs. Throws with nothing left open. */
export async function prepareLaunch(command: NativeSpec, options: LaunchOptions): Promise<ConfinedLaunch> {
  const { plan, host } = options;
  if (!host.launcher.usable) throw new Error('A plan needs a launcher.');
  const open: number[] = [];
  const own = (fd: number): number => {
    if (fd < 0) throw new StalePlanError();
    open.push(fd);
    return fd;
  };
  const closers: number[] = [];
  const leases: PlaceholderLease[] = [];
  const closePassed = (): void => open.splice(0).forEach((fd) => closeSync(fd));
  const release = async (): Promise<void> => {
    closers.splice(0).forEach((fd) => closeSync(fd));
    await Promise.all(leases.splice(0).map((lease) => lease.release()));
  };
  try {
    const { enforcement, networkCut } = plan;
    if (enforcement.enforcer === 'none') throw new Error('There is nothing to confine.');
    const entries: SpecEntry[] = [
      ...commandEntries(command),
      ['streams-aside', '1'],
      noCoreDump,
      ['seccomp', networkCut ? 'network' : 'base'],
    ];
    const launcher = host.launcher.path;
    let program: { path: string; argv: string[]; extra: number[] };
    if (enforcement.enforcer === 'bubblewrap') {
      if (!host.bubblewrap.usable) throw new Error('A plan for bubblewrap needs it.');
      const mounts = await leaseAll(enforcement.mounts, options.state, leases);
      entries.push(...mountEntries(mounts, options.sharedMemory));
      if (command.rows > 0) entries.push(ownTerminal);
      const sources: number[] = [];
      const args = bubblewrapArguments({
        plan: mounts,
        ownProc: enforcement.ownProc,
        networkCut,
        sharedMemory: options.sharedMemory,
        source: (path) => {
          sources.push(own(native().openPath(terminated(path))));
          return `/proc/self/fd/${firstSource + sources.length - 1}`;
        },
        terminal: command.rows > 0 ? `/proc/self/fd/${passed.input}` : undefined,
        deniedFile: options.state.deniedFile,
        hidden: options.state.visibleIn(mounts) ? [options.state.directory] : [],
      });
      const argsFile = own(native().sealedFile(terminatedAll(args)));
      program = {
        path: host.bubblewrap.path,
        argv: ['bwrap', '--args', String(passed.args), '--', `/proc/self/fd/${passed.launcher}`],
        extra: [own(openSync(launcher, constants.O_RDONLY)), argsFile, ...sources],
      };
    } else {
      if (enforcement.enforcer === 'landlock') entries.push(...landlockEntries(enforcement.grants));
      program = { path: launcher, argv: ['exec-server-confine'], extra: [] };
    }
    // What bubblewrap says when it cannot go on: the paths and the system's error.
    const errors = native().memoryFile();
    if (errors < 0) throw new Error(`No memory for a launcher: ${osErrorText(-errors)}`);
    closers.push(errors);
    const spec = own(native().sealedFile(encodeSpec(entries)));
    const pair = native().statusPair();
    if (typeof pair === 'number') throw new Error(`No sockets for a launcher: ${osErrorText(-pair)}`);
    const [ours, theirs] = pair;
    own(theirs);
    return {
      confined: { enforcer: enforcement.enforcer, givenUp: plan.givenUp, networkCut },
      native: {
        ...command,
        candidates: terminated(Buffer.from(program.path)),
        argv: terminatedAll(program.argv.map((arg) => Buffer.from(arg))),
        // Nothing that the request names reaches a program outside of the sandbox.
        env: Buffer.alloc(0),
        cwd: terminated(Buffer.from('/')),
        pass: [spec, theirs, ...program.extra],
        asideError: errors,
      },
      status: new LauncherStatus(ours),
      complaint: () => firstLine(errors),
      closePassed,
      release,
    };
  } catch (error) {
    closePassed();
    await release();
    throw error;
  }
}

/**
 * A dump is written, or handed to a program of the host, outside of the sandbox. The kernel makes neither for a limit of one byte; with none
 * it would still start the program.
 */
const noCoreDump: SpecEntry = ['rlimit', 'core:1:1'];

/** Takes what has to be there, all at once; adds every lease to the list, also when it throws. Answers what can be mounted. */
async function leaseAll(
  plan: MountPlan,
  state: SandboxState,
  leases: PlaceholderLease[],
): Promise<MountPlan> {
  const outcomes = await Promise.allSettled(plan.placeholders.map((place) => state.placeholder(place)));
  const found = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined));
  leases.push(...found.filter((lease) => typeof lease === 'object'));
  const failure = outcomes.find(({ status }) => status === 'rejected');
  if (failure?.status === 'rejected') throw failure.reason;
  if (found.includes('changed')) throw new StalePlanError();
  return withoutPlaces(
    plan,
    plan.placeholders.filter((_place, index) => found[index] === undefined),
  );
}

/** Whatever the name of the terminal is where the command runs. */
const ownTerminal: SpecEntry = ['landlock-write', '/proc/self/fd/0'];

/** Beside the mounts: writes to FIFOs, devices and files of the kernel are no matter of a read-only mount. */
function mountEntries(plan: MountPlan, sharedMemory: boolean): SpecEntry[] {
  const writable = [...plan.writable, ...deviceFiles, ...(sharedMemory ? ['/dev/shm'] : [])];
  const expected = plan.mounts.flatMap((mount): SpecEntry[] =>
    mount.kind === 'bind' && mount.identity !== undefined
      ? [['expect', Buffer.concat([Buffer.from(`${mount.identity}:`), mount.path])]]
      : [],
  );
  return [['landlock', '1'], ...writable.map((path): SpecEntry => ['landlock-write', path]), ...expected];
}

/** Where nothing is mounted the devices are the host's: the harmless ones can be used, and the terminal. */
function landlockEntries({ readable, writable, protected: guarded }: LandlockPlan): SpecEntry[] {
  const write = guarded.length > 0 ? 'broker-write' : 'landlock-write';
  return [
    ['landlock', '1'],
    ...(readable === undefined ? [] : [['landlock-reads', '1'] as const]),
    ...[...(readable ?? []), ...(readable === undefined ? [] : [...deviceFiles, '/proc'])].map(
      (path): SpecEntry => ['landlock-read', path],
    ),
    ...writable.map((path): SpecEntry => [write, path]),
    ...deviceFiles.map((path): SpecEntry => ['landlock-write', path]),
    ...guarded.map((path): SpecEntry => ['broker-protect', path]),
  ];
}

function firstLine(fd: number): string {
  const buffer = Buffer.alloc(512);
  const count = readSync(fd, buffer, 0, buffer.length, 0);
  return buffer.toString('utf8', 0, count).split('\n')[0]?.trim() ?? '';
}

function terminated(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}

function terminatedAll(strings: readonly Buffer[]): Buffer {
  return Buffer.concat(strings.map(terminated));
}
