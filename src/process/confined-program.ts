import { closeSync } from 'node:fs';
import { RpcError } from '../protocol/errors.ts';
import type { Confined, ConfinedLaunch } from '../sandbox/launch.ts';
import type { LaunchOutcome, LauncherStatus } from '../sandbox/launcher-status.ts';
import { type NativeChild, native } from '../support/native.ts';
import { osErrorText } from '../support/os-error.ts';
import type { LaunchSpec } from './command.ts';
import { addConfinedRoot, removeConfinedRoot } from './confined-roots.ts';
import { type ChildExit, endedBy, watchExit } from './exit-watch.ts';
import type { Program } from './program.ts';
import { spawnFailure } from './spawn-failure.ts';

/** A program behind a launcher, which is the child of this process in its place. */
export class ConfinedProgram implements Program {
  readonly pid: number;
  readonly confined: Confined;
  readonly #status: LauncherStatus;
  readonly #released: Promise<void>;

  private constructor(pid: number, launch: ConfinedLaunch, released: Promise<void>) {
    this.pid = pid;
    this.confined = launch.confined;
    this.#status = launch.status;
    this.#released = released;
  }

  /** Starts it. Throws an RpcError that says what is wrong, with everything cleaned up, when it does not run. */
  static async start(
    launch: ConfinedLaunch,
    spec: LaunchSpec,
  ): Promise<{ program: ConfinedProgram; fds: NativeChild }> {
    const { status } = launch;
    const fds = await native().spawn(launch.native).finally(launch.closePassed);
    if ('errno' in fds) {
      status[Symbol.dispose]();
      await launch.release();
      throw notSetUp(osErrorText(fds.errno));
    }
    const ended = Promise.withResolvers<void>();
    if (!launch.confined.networkCut) addConfinedRoot(fds.pid);
    watchExit(fds.pid, () => {
      native().reap(fds.pid);
      removeConfinedRoot(fds.pid);
      ended.resolve();
    });
    const outcome = await status.outcome;
    // Not before: until then something is mounted there.
    const released = ended.promise.then(launch.release);
    if (outcome.kind === 'started') {
      return { program: new ConfinedProgram(outcome.pid, launch, released), fds };
    }
    status[Symbol.dispose]();
    const said = launch.complaint();
    await released;
    for (const fd of new Set([fds.stdin, fds.stdout, fds.stderr])) if (fd >= 0) closeSync(fd);
    throw startFailure(outcome, said, spec);
  }

  onExit(callback: (exit: ChildExit | null) => void): void {
    this.#status.onExit((exit) => {
      if (exit === null) return callback(null);
      const { waitStatus, userCpuMs, systemCpuMs, denials } = exit;
      // The kernel's encoding: the low seven bits are a signal, the next byte an exit status.
      const ended = endedBy((waitStatus >> 8) & 0xff, waitStatus & 0x7f);
      callback({ ...ended, usage: { userCpuMs, systemCpuMs }, denials });
    });
  }

  async release(): Promise<void> {
    this.#status[Symbol.dispose]();
    await this.#released;
  }
}

function startFailure(outcome: LaunchOutcome, said: string, spec: LaunchSpec): RpcError {
  if (outcome.kind !== 'failed') return notSetUp(said === '' ? 'its launcher ended' : said);
  const { stage, errno, detail } = outcome;
  if (stage === 'exec' || stage === 'cwd') return spawnFailure({ stage, errno }, spec);
  return notSetUp(`${detail === '' ? '' : `${detail}: `}${osErrorText(errno)}`);
}

function notSetUp(reason: string): RpcError {
  return new RpcError(
    'internalError',
    `The sandbox could not be set up, and nothing was started: ${reason}`,
    {
      data: { kind: 'sandboxFailed' },
    },
  );
}
