import { Readable, Writable } from 'node:stream';
import { type Child, startChild } from '../process/child.ts';
import { programSpec } from '../process/command.ts';
import { killMember, sessionMembers } from '../process/terminal-session.ts';
import { limits } from '../protocol/limits.ts';
import type { Hop, HopChild, HopCommand, HopExit } from './hop.ts';

/** Children of this process, each leading a session of its own. They end with this process, however that ends. */
export function localHop(variables: Readonly<Record<string, string>>): Hop {
  return {
    label: 'this machine',
    spawn: async (command, signal) => {
      signal.throwIfAborted();
      return LocalChild.start(command, variables);
    },
  };
}

class LocalChild implements HopChild {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly #child: Child;
  readonly #exited = Promise.withResolvers<HopExit>();
  readonly #gone = Promise.withResolvers<void>();
  #ending: Promise<void> | undefined;

  static async start(command: HopCommand, variables: Readonly<Record<string, string>>): Promise<LocalChild> {
    const { program, args, env = {}, cwd = process.cwd() } = command;
    const spec = programSpec({ program, args, env: { ...variables, ...env }, cwd });
    // Events come in later turns of the event loop, when `self` is there.
    const holder: { self?: LocalChild } = {};
    const child = await startChild(spec, {
      onOutput: (stream, bytes) => holder.self?.output(stream === 'stderr' ? 'stderr' : 'stdout', bytes),
      onExit: (exit) => holder.self?.exit(exit),
      onStreamsEnded: () => holder.self?.streamsEnded(),
    });
    const self = new LocalChild(child);
    holder.self = self;
    return self;
  }

  private constructor(child: Child) {
    this.#child = child;
    const resume = (): void => child.pauseOutput(false);
    this.stdout = new Readable({ read: resume });
    this.stderr = new Readable({ read: resume });
    // One that nobody reads must not end this process.
    for (const stream of [this.stdout, this.stderr]) stream.on('error', () => {});
    this.stdin = new Writable({
      highWaterMark: limits.stdinQueueBytes,
      write: (bytes: Buffer, _encoding, whenTaken) => {
        if (child.inputBroken) return whenTaken(new Error('The child no longer reads its input.'));
        child.write(bytes);
        child.inputRoom(limits.stdinQueueBytes).then(() => whenTaken(), whenTaken);
      },
      final: (done) => {
        child.closeInput();
        done();
      },
      destroy: (error, done) => {
        child.closeInput();
        done(error);
      },
    });
    this.stdin.on('error', () => {});
  }

  get exited(): Promise<HopExit> {
    return this.#exited.promise;
  }

  output(stream: 'stdout' | 'stderr', bytes: Buffer): void {
    const target = this[stream];
    if (!target.destroyed && !target.push(bytes)) this.#child.pauseOutput(true);
  }

  streamsEnded(): void {
    this.stdout.push(null);
    this.stderr.push(null);
  }

  exit(exit: { code: number; signal: NodeJS.Signals | null } | null): void {
    this.#child.readAvailable();
    this.#exited.resolve({
      code: exit === null || exit.signal !== null ? null : exit.code,
      signal: exit?.signal ?? null,
    });
    // What it has started ends with it.
    void this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await this.#gone.promise;
  }

  async #end(): Promise<void> {
    this.#ending ??= this.#stop();
    return this.#ending;
  }

  async #stop(): Promise<void> {
    // Whoever reads standard input to its end may have ended by the time that the signal comes.
    this.#child.closeInput();
    this.#child.kill('SIGTERM', 'group');
    await within(limits.commandGraceMs, this.#exited.promise);
    this.#child.kill('SIGKILL', 'group');
    for (const member of await sessionMembers(this.#child.pid)) killMember(member.pid);
    await this.#exited.promise;
    this.#child.detach();
    this.streamsEnded();
    await this.#child.reap();
    this.#gone.resolve();
  }
}

async function within(milliseconds: number, event: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise((resolve) => void (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([event, over]);
  clearTimeout(timer);
}
