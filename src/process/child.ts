import type { OutputStream } from '../protocol/process.ts';
import type { LaunchSpec } from './command.ts';
import { ConfinedProgram } from './confined-program.ts';
import { Descriptor } from './descriptor.ts';
import type { ChildExit } from './exit-watch.ts';
import { openGuard } from './guard.ts';
import { DirectProgram, type Program } from './program.ts';
import { spawnFailure } from './spawn-failure.ts';
import type { Confined } from '../sandbox/launch.ts';
import { native } from '../support/native.ts';

const EOT = 0x04;
/** A line ends with either: a terminal turns what Enter sends into a line feed. */
const lineEnds = [0x0a, 0x0d];

export interface ChildEvents {
  onOutput(stream: OutputStream, bytes: Buffer): void;
  /** The program has ended. null: its status could not be read. */
  onExit(exit: ChildExit | null): void;
  /** Every output stream has ended, or was cut off by `detach`. */
  onStreamsEnded(): void;
}

/** Starts a program. Throws an RpcError that names what is wrong when nothing was started. */
export async function startChild(spec: LaunchSpec, events: ChildEvents): Promise<Child> {
  openGuard();
  const tty = spec.native.rows > 0;
  const launch = await spec.confine?.(spec.native);
  if (launch !== undefined) {
    const { program, fds } = await ConfinedProgram.start(launch, spec);
    return new Child(program, fds, tty, events);
  }
  const started = await native().spawn(spec.native);
  if ('errno' in started) throw spawnFailure(started, spec);
  return new Child(new DirectProgram(started.pid), started, tty, events);
}

/** A running program with its pipes or PTY. */
export class Child {
  readonly tty: boolean;
  readonly #program: Program;
  readonly #input: Descriptor | undefined;
  readonly #outputs: Descriptor[] = [];
  #openOutputs = 0;
  #lastInputByte: number | undefined;
  #reaped = false;
  #discarded = false;

  constructor(
    program: Program,
    fds: { stdin: number; stdout: number; stderr: number },
    tty: boolean,
    events: ChildEvents,
  ) {
    this.#program = program;
    this.tty = tty;
    const output = (fd: number, stream: OutputStream): Descriptor => {
      this.#openOutputs += 1;
      const ended = (): void => {
        this.#openOutputs -= 1;
        if (this.#openOutputs === 0 && !this.#discarded) events.onStreamsEnded();
      };
      const descriptor = new Descriptor(fd, (bytes) => events.onOutput(stream, bytes), ended, tty);
      this.#outputs.push(descriptor);
      return descriptor;
    };
    if (tty) {
      this.#input = output(fds.stdin, 'pty');
    } else {
      output(fds.stdout, 'stdout');
      output(fds.stderr, 'stderr');
      if (fds.stdin >= 0) this.#input = new Descriptor(fds.stdin, undefined, () => {});
    }
    program.onExit((exit) => {
      if (this.#discarded) return void this.reap();
      events.onExit(exit);
      // A terminal that nobody has open now stays so.
      for (const descriptor of this.#outputs) descriptor.expectEnd();
    });
  }

  get pid(): number {
    return this.#program.pid;
  }

  /** What confines it. */
  get confined(): Confined | undefined {
    return this.#program.confined;
  }

  get hasInput(): boolean {
    return this.#input !== undefined;
  }

  /** Nobody can read what is written: the child has ended or closed its input. */
  get inputBroken(): boolean {
    return this.#input?.inputBroken ?? true;
  }

  async inputRoom(bytes: number): Promise<void> {
    await this.#input?.room(bytes);
  }

  write(bytes: Uint8Array): void {
    this.#lastInputByte = bytes.at(-1) ?? this.#lastInputByte;
    this.#input?.write(bytes);
  }

  /** On a terminal, end of file counts only on an empty line: a line that has begun needs a first one to be handed over. */
  closeInput(): void {
    if (!this.tty) return this.#input?.endInput();
    const byte = this.#input?.eofByte() ?? EOT;
    const eof = byte > 0 ? byte : EOT;
    const lineBegun = this.#lastInputByte !== undefined && ![...lineEnds, eof].includes(this.#lastInputByte);
    this.write(Buffer.alloc(lineBegun ? 2 : 1, eof));
  }

  resize(rows: number, cols: number): void {
    this.#input?.resize(rows, cols);
  }

  pauseOutput(paused: boolean): void {
    for (const output of this.#outputs) output.pauseReading(paused);
  }

  /** Until it is reaped the pid and the group's id are this child's, even after it has ended. */
  kill(signal: NodeJS.Signals, scope: 'group' | 'process'): boolean {
    if (this.#reaped) return false;
    try {
      process.kill(scope === 'group' ? -this.pid : this.pid, signal);
      return true;
    } catch {
      return false;
    }
  }

  /** Takes the output that is there already. After the exit that is all that the program itself wrote. */
  readAvailable(): void {
    for (const output of this.#outputs) output.readAvailable();
  }

  /** Stops reading and writing, whoever still holds the other ends. */
  detach(): void {
    for (const output of this.#outputs) output.destroy();
    this.#input?.destroy();
  }

  /** Ends it without a trace: nobody is told any more. */
  discard(): void {
    this.#discarded = true;
    this.kill('SIGKILL', 'group');
    this.detach();
  }

  /** Gives the pid back. Only after the exit. Resolves when nothing of it is left; undefined: at once. */
  reap(): Promise<void> | undefined {
    if (this.#reaped) return undefined;
    this.#reaped = true;
    this.#input?.destroy();
    return this.#program.release();
  }
}
