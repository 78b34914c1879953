import { type Child, startChild } from '../../src/process/child.ts';
import { launchSpec } from '../../src/process/command.ts';
import type { ChildExit } from '../../src/process/exit-watch.ts';
import { ManagedProcess } from '../../src/process/managed-process.ts';
import { type OutputStream, ProcessStartParams } from '../../src/protocol/process.ts';
import { Sandboxes } from '../../src/sandbox/sandboxes.ts';
import { journalRoom } from './unit-journal.ts';
import { expectSoon } from './unit-wait.ts';

export interface Launch {
  readonly tty?: boolean;
  readonly pipeStdin?: boolean;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly arg0?: string;
  readonly size?: { rows: number; cols: number };
}

/** For starts that ask for none. */
export const sandboxes = new Sandboxes({ stateDirectory: '/nonexistent' });

/** What a client would have sent, decoded. */
export function startParams(argv: readonly string[], launch: Launch = {}): ProcessStartParams {
  return ProcessStartParams.parse({
    processId: 'p',
    argv,
    cwd: launch.cwd ?? '/',
    env: launch.env ?? { PATH: '/usr/bin:/bin' },
    tty: launch.tty ?? false,
    pipeStdin: launch.pipeStdin ?? false,
    arg0: launch.arg0,
    size: launch.size,
  });
}

/** A running program, with everything that it has told so far. Disposing it kills its group and gives its pid back. */
export class RunningChild implements AsyncDisposable {
  readonly child: Child;
  readonly told: ('exit' | 'streamsEnded' | OutputStream)[];
  readonly #exit: Promise<ChildExit | null>;
  readonly #streamsEnded: Promise<void>;
  readonly #output: Map<OutputStream, Buffer[]>;
  #changed: PromiseWithResolvers<void>;

  static async start(argv: readonly string[], launch: Launch = {}): Promise<RunningChild> {
    const spec = launchSpec(startParams(argv, launch), {}, sandboxes);
    const told: RunningChild['told'] = [];
    const output = new Map<OutputStream, Buffer[]>();
    const exit = Promise.withResolvers<ChildExit | null>();
    const ended = Promise.withResolvers<void>();
    let running: RunningChild | undefined;
    const child = await startChild(spec, {
      onOutput: (stream, bytes) => {
        told.push(stream);
        output.set(stream, [...(output.get(stream) ?? []), bytes]);
        running?.wake();
      },
      onExit: (status) => {
        told.push('exit');
        exit.resolve(status);
      },
      onStreamsEnded: () => {
        told.push('streamsEnded');
        ended.resolve();
      },
    });
    running = new RunningChild(child, told, output, exit.promise, ended.promise);
    return running;
  }

  private constructor(
    child: Child,
    told: RunningChild['told'],
    output: Map<OutputStream, Buffer[]>,
    exit: Promise<ChildExit | null>,
    streamsEnded: Promise<void>,
  ) {
    this.child = child;
    this.told = told;
    this.#output = output;
    this.#exit = exit;
    this.#streamsEnded = streamsEnded;
    this.#changed = Promise.withResolvers();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  bytes(stream: OutputStream): Buffer {
    return Buffer.concat(this.#output.get(stream) ?? []);
  }

  text(stream: OutputStream = this.child.tty ? 'pty' : 'stdout'): string {
    return this.bytes(stream).toString();
  }

  /** Resolves when the stream's text so far contains or matches it. */
  async until(text: string | RegExp, stream?: OutputStream): Promise<void> {
    const found = (): boolean => {
      const told = this.text(stream);
      return text instanceof RegExp ? text.test(told) : told.includes(text);
    };
    while (!found()) {
      const what = `${String(text)} behind ${JSON.stringify(this.text(stream).slice(-500))}`;
      await expectSoon(what, this.#changed.promise);
    }
  }

  exited(): Promise<ChildExit | null> {
    return expectSoon('the exit', this.#exit);
  }

  /** Resolves when it has exited and its streams have ended. */
  async ended(): Promise<ChildExit | null> {
    await expectSoon('the end of the streams', this.#streamsEnded);
    return this.exited();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL', 'group');
    await this.exited();
    this.child.detach();
    void this.child.reap();
  }
}

export interface RunningProcess extends AsyncDisposable {
  readonly process: ManagedProcess;
  /** Resolves when the journal has this many events. */
  events(count: number): Promise<void>;
  closed(): Promise<void>;
}

/** The same with a journal, as a session has it. */
export async function runProcess(
  argv: readonly string[],
  launch: Launch & { readonly bytesPerProcess?: number } = {},
): Promise<RunningProcess> {
  const { bytesPerProcess } = launch;
  const room = await journalRoom(bytesPerProcess === undefined ? {} : { bytesPerProcess });
  const params = startParams(argv, launch);
  const process = new ManagedProcess(params, room.budget);
  await process.start(launchSpec(params, {}, sandboxes), undefined);
  const closed = (): Promise<void> => expectSoon('the close of the process', process.closed);
  return {
    process,
    closed,
    events: async (count) => {
      while (process.journal.nextSeq <= count) {
        const told = Promise.withResolvers<void>();
        using _subscription = process.journal.subscribe(() => told.resolve());
        await expectSoon(`event ${count}`, told.promise);
      }
    },
    [Symbol.asyncDispose]: async () => {
      await process.terminate('terminated', 0);
      await closed();
      process.dispose();
      await room[Symbol.asyncDispose]();
    },
  };
}
